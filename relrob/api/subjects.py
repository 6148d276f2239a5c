"""The images and networks of a command that attacks: read as the user wants, opened twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.parameters import whole_number
from relrob.domain.arrays import Ints
from relrob.domain.contract import InputContract, InputOptions
from relrob.domain.events import Event, Listener
from relrob.domain.network import Layout, Network
from relrob.errors import UsageError
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.networks.probes import probed
from relrob.study.data import in_units
from relrob.study.work import opened
from relrob.system.files import readable
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.first import class_names, load_images_guarded
from relrob_datasets.names import naming
from relrob_datasets.read_as import Range, ReadAs, Reading
from relrob_datasets.select import clipped, select


@dataclass(frozen=True)
class HowRead:
    """How network files are read: the options `layout`, `runtime` (None: the format's own), of the
    input contract (`inputs`), and `memory` (GiB, None for the default)."""

    inputs: InputOptions
    layout: str = "auto"
    runtime: str | None = None
    memory: float | None = None


def read_data(
    dataset: str,
    split: str,
    read_as: ReadAs,
    classes: str | Path | None,
    memory: float | None,
    listener: Listener,
) -> Images:
    """The images, guarded; the listener hears how they were read. `classes`: the file of --classes.
    Raises DatasetError, UsageError."""
    names = class_names(None if classes is None else str(classes), memory)
    found = load_images_guarded(dataset, split, memory, replace(read_as, classes=names))
    for sentence in found.reading.sentences:
        listener(Event("note", sentence))
    return found


def data_of_set(found: AdversarialSet) -> Dataset:
    """The clean images of an adversarial set as a data set."""
    origin = found.origin
    shown = Range.of(origin.range) if origin.range else None
    return Dataset(
        origin.dataset,
        origin.split,
        found.images.reshape(len(found), *found.shape),
        found.labels,
        origin.classes,
        origin.data_sha256,
        origin.classes_known,
        Reading(range=shown),
    )


def opened_file(
    path: str | Path,
    data: Images | Dataset,
    how: HowRead,
    like: Network | None = None,
    contract: InputContract | None = None,
    order: Layout | None = None,
) -> Opened:
    """A network file for these images, after a child has read and run it; probed, and opened in
    batches and one image at a time. `like`: the network whose pixel order and input contract it
    takes where neither the options nor the file say others; `order` and `contract`: those that it
    takes without such a network. Raises RelrobError."""
    order = order if like is None else like.layout
    asked: dict[str, Any] = {
        "image_shape": data.image_shape,
        "classes": data.classes,
        "more_classes": not data.classes_known,
        "runtime": how.runtime,
        "layout": how.layout,
        "inputs": in_units(how.inputs, data),
        "like": contract if like is None else like.contract,
        "inherit": None if order is Layout.HWC else order,
    }
    with naming(data):
        try_network(path, memory=how.memory, **asked)
    return opened(probed(load_network(path, **asked), data.images), 1)


def chosen_images(
    data: Dataset, images: str | Sequence[int], listener: Listener | None = None
) -> Ints:
    """Places (k,) in the data, of a text as for `relrob verify` or of indices; indices are put in
    order, each once. Raises DatasetError, UsageError."""
    if isinstance(images, str):
        if listener is not None and (note := clipped(data, images)):
            listener(Event("note", note))
        return np.array(select(data, images), np.int64)
    some = images if isinstance(images, Iterable) else [images]
    found = sorted({whole_number("image", each, 0, "images=[0, 3, 17]") for each in some})
    if not found:
        raise UsageError("no image", f"indices in 0..{len(data) - 1}", "images=[0, 3, 17]")
    if found[-1] >= len(data):
        raise UsageError(f"image {found[-1]}", f"0..{len(data) - 1}", "images=[0, 3, 17]")
    return np.array(found, np.int64)


def network_json(network: Network) -> dict[str, Any]:
    """A network in JSON."""
    told = network.contract.text()
    return {
        "path": readable(network.path),
        "sha256": network.sha256,
        "format": network.format,
        "scheme": network.scheme,
        "runtime": network.runtime,
        **({"contract": told} if told else {}),
    }
