"""The common part of `relrob quantise` and `relrob prune`: the reference and its data in, the file
written, read again and measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relrob.api.subjects import HowRead, read_data
from relrob.compress.accuracy_loss import accuracy_warnings
from relrob.compress.build import check_quantisable
from relrob.compress.calibration import (
    DEFAULT_COUNT,
    Calibration,
    calibration_images,
    draw,
    judged,
)
from relrob.domain.contract import exactly
from relrob.domain.events import Event, Listener
from relrob.domain.network import Network
from relrob.errors import DatasetError
from relrob.networks.accuracy import accuracy
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.study.data import in_units, labelled
from relrob.system.files import readable, write_atomic
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.names import naming
from relrob_datasets.read_as import ReadAs


@dataclass(frozen=True)
class HowData:
    """How the data are read: the options of docs/data.md."""

    dataset: str = "mnist"
    classes: str | Path | None = None
    labels: str = "given"
    range: str | None = None
    images_layout: str = "auto"


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference network, the test images that measure it, and how both are read. `started`: the
    clock at the start of the command."""

    network: Network
    images: Images
    dataset: str
    memory: float | None
    started: float

    def calibration(self, count: int | None, split: str | None, seed: int | None) -> Calibration:
        """Images of a split, 512 of train by seed 0 where not asked; of all images where the data
        have no splits and the user named none. Raises DatasetError."""
        where = split or "train"
        if not self.images.reading.splits and where not in ("train", "test"):
            raise DatasetError(
                f"{self.dataset} has no splits: calibration split {where!r}",
                "test, which is all of it",
            )
        chosen = calibration_images(self.dataset, self.images, where, self.memory)
        number = DEFAULT_COUNT if count is None else count
        return draw(chosen, number, seed or 0, own=judged(self.images, where))


def read_reference(
    path: str | Path, data: HowData, how: HowRead, started: float, listener: Listener
) -> Reference:
    """The float reference, after a child has read and run it, and the test images. Raises
    RelrobError."""
    read_as = ReadAs((), data.labels, data.range, data.images_layout)
    images = read_data(data.dataset, "test", read_as, data.classes, how.memory, listener)
    asked: dict[str, Any] = {
        "image_shape": images.image_shape,
        "classes": images.classes,
        "more_classes": not images.classes_known,
        "layout": how.layout,
        "inputs": in_units(how.inputs, images),
    }
    with naming(images):
        try_network(path, memory=how.memory, **asked)
    network = load_network(path, **asked)
    check_quantisable(network)
    if not network.contract.plain:
        said = f", as {network.contract_from} says" if network.contract_from else ""
        listener(Event("note", f"{path} reads pixels by {network.contract.text()}{said}"))
    return Reference(network, images, data.dataset, how.memory, started)


def written(
    read: Reference,
    path: Path,
    data: bytes,
    how: dict[str, Any],
    runtime: str | None = None,
    conversion: str = "",
) -> tuple[dict[str, Any], Network]:
    """(the document, the network) of a file of these bytes, written, read again and measured.
    `how`: the words that say what was done; `runtime`: None takes the format's own. Raises
    RelrobError."""
    write_atomic(path, data)
    network, images = read.network, read.images
    made = load_network(
        path,
        image_shape=images.image_shape,
        classes=images.classes,
        more_classes=not images.classes_known,
        runtime=runtime,
        inherit=network.layout,
        inputs=exactly(network.contract),
    )
    test = labelled(images, network)
    before, after = shown_accuracy(network, test), shown_accuracy(made, test)
    lost = accuracy_warnings(before, after, "pruned" if "method" in how else "quantised")
    document = {
        "path": readable(path),
        "sha256": made.sha256,
        "bytes": len(data),
        **how,
        **({"conversion": conversion} if conversion else {}),
        **({} if network.contract.identity else {"input": network.contract.json()}),
        "reference": {"path": readable(network.path), "sha256": network.sha256},
        "accuracy": after,
        **({"warnings": lost} if lost else {}),
        "images": len(test),
        **({"data": images.reading.json()} if images.reading.json() else {}),
        "runtime": made.runtime,
        "seconds": round(time.monotonic() - read.started, 2),
    }
    return document, made


def shown_accuracy(network: Network, test: Dataset) -> float:
    """The share of the test images that the network gets right, rounded to 6 digits."""
    return round(accuracy(open_network(network, 2), test.images, test.labels), 6)
