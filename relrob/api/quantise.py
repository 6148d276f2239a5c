"""Quantise a reference network, as `relrob quantise` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relrob.compress.accuracy_loss import accuracy_warnings
from relrob.compress.build import (
    check_quantisable,
    default_runtime,
    needs_calibration,
    quantised_bytes,
    suffix,
)
from relrob.compress.calibration import (
    DEFAULT_COUNT,
    Calibration,
    calibration_images,
    draw,
    judged,
)
from relrob.compress.source import ended, rebuilt
from relrob.compress.table import QUANTISERS
from relrob.domain.contract import constant, exactly, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import DatasetError, UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.study.data import in_units, labelled
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob.system.files import check_writable, readable, write_atomic
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.first import class_names, load_images_guarded
from relrob_datasets.names import naming
from relrob_datasets.read_as import ReadAs


def quantise(
    reference: str | Path,
    output: str | Path,
    *,
    scheme: str = "int8",
    dataset: str = "mnist",
    calibration: int | None = None,
    calibration_split: str | None = None,
    seed: int | None = None,
    layout: str = "auto",
    classes: str | Path | None = None,
    labels: str = "given",
    range: str | None = None,
    images_layout: str = "auto",
    input_scale: Any = None,
    mean: Any = None,
    std: Any = None,
    channels: str | None = None,
    memory: float | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Quantise `reference` and write it as `output`; returns the document of
    `relrob quantise --json`.

    `output` ends in .tflite, .onnx for qdq, .npz for fixed:B, or .keras for q:W:P, dorefa:K and
    apot:B; q:W:P of an MLP is exact integers where it ends in .npz. Schemes that need calibration
    draw `calibration` images (512) from `calibration_split` (train), by `seed` (0); other schemes
    refuse these three. `classes`, `labels`, `range` and `images_layout`: how the data are read
    (docs/data.md). `input_scale`, `mean`, `std`, `channels`: the input contract (docs/inputs.md),
    through which these are fed. `memory`: GiB that the first reading of a file may take. Raises
    RelrobError.
    """
    leave_unguarded()
    started, path = time.monotonic(), Path(output)
    scheme = ended(scheme, path.suffix)
    if path.suffix != suffix(scheme):
        raise UsageError(
            f"output {path} for scheme {scheme}", f"a file name that ends in {suffix(scheme)}"
        )
    _refuse_idle(
        scheme,
        {"calibration": calibration, "calibration_split": calibration_split, "seed": seed},
    )
    check_writable(path)
    names = class_names(None if classes is None else str(classes), memory)
    read_as = ReadAs(names, labels, range, images_layout)
    images = load_images_guarded(dataset, "test", memory, read_as)
    for sentence in images.reading.sentences:
        listener(Event("note", sentence))
    inputs = input_options(constant(input_scale), constant(mean), constant(std), channels)
    shape, more = images.image_shape, not images.classes_known
    asked: dict[str, Any] = {
        "image_shape": shape,
        "classes": images.classes,
        "more_classes": more,
        "layout": layout,
        "inputs": in_units(inputs, images),
    }
    with naming(images):
        try_network(reference, memory=memory, **asked)
    network = load_network(reference, **asked)
    check_quantisable(network)
    if not network.contract.plain:
        said = f", as {network.contract_from} says" if network.contract_from else ""
        listener(Event("note", f"{reference} reads pixels by {network.contract.text()}{said}"))
    drawn: Calibration | None = None
    if needs_calibration(scheme):
        drawn = _drawn(
            dataset,
            images,
            calibration_split or "train",
            DEFAULT_COUNT if calibration is None else calibration,
            seed or 0,
            memory,
        )
    how = f", calibrated on {drawn.name}" if drawn else ""
    listener(Event("note", f"quantising {reference} as {scheme}{how}"))
    data = quantised_bytes(network, scheme, drawn, shape)
    write_atomic(path, data)
    quantised = load_network(
        path,
        image_shape=shape,
        classes=images.classes,
        more_classes=more,
        runtime=default_runtime(scheme),
        inherit=network.layout,
        inputs=exactly(network.contract),
    )
    test = labelled(images, network)
    before, after = shown_accuracy(network, test), shown_accuracy(quantised, test)
    lost, how = accuracy_warnings(before, after), rebuilt(network, scheme)
    return {
        "path": readable(path),
        "sha256": quantised.sha256,
        "bytes": len(data),
        "scheme": scheme,
        "calibration": drawn.name if drawn else None,
        **({"conversion": how} if how else {}),
        **({} if network.contract.identity else {"input": network.contract.json()}),
        "reference": {"path": readable(reference), "sha256": network.sha256},
        "accuracy": after,
        **({"warnings": lost} if lost else {}),
        "images": len(test),
        **({"data": images.reading.json()} if images.reading.json() else {}),
        "runtime": quantised.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }


def _drawn(
    dataset: str, images: Images, split: str, count: int, seed: int, memory: float | None
) -> Calibration:
    """Calibration images of a split; of all images where the data have no splits and the user named
    none. Raises DatasetError."""
    if not images.reading.splits and split not in ("train", "test"):
        raise DatasetError(
            f"{dataset} has no splits: calibration split {split!r}", "test, which is all of it"
        )
    chosen = calibration_images(dataset, images, split, memory)
    return draw(chosen, count, seed, own=judged(images, split))


def _refuse_idle(scheme: str, given: Mapping[str, Any]) -> None:
    """Refuse options of calibration that are not None, where the scheme needs none. Raises
    UsageError."""
    typed = [name for name, value in given.items() if value is not None]
    if typed and not needs_calibration(scheme):
        calibrated = [entry.name for entry in QUANTISERS if entry.calibrated]
        raise UsageError(
            f"{spelled(typed[0])} has no effect with scheme {scheme}, which needs no calibration",
            f"{spelled(typed[0])} with {', '.join(calibrated)}",
            f"leave out {spelled(typed[0])}",
        )


def shown_accuracy(network: Network, test: Dataset) -> float:
    """The share of the test images that the network gets right, rounded to 6 digits."""
    return round(accuracy(open_network(network, 2), test.images, test.labels), 6)
