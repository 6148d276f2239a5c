"""Prune a reference network, as `relrob prune` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.compressing import HowData, Reference, read_reference, written
from relrob.api.subjects import HowRead
from relrob.compress.calibration import Calibration, calibration_images
from relrob.compress.pruning.asked import Pruning
from relrob.compress.source import check_keras, in_keras
from relrob.domain.contract import constant, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.networks.weighted import NotReadError, weights_of
from relrob.study.data import labelled
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob.system.child import size_of
from relrob.system.files import check_writable
from relrob.system.quiet import quiet_native
from relrob_datasets.dataset import Dataset


def prune(
    reference: str | Path,
    output: str | Path,
    *,
    method: str = "magnitude",
    density: float | None = None,
    threshold: float | None = None,
    scope: str | None = None,
    gradients: str | None = None,
    block: str | None = None,
    granularity: str | None = None,
    epochs: int | None = None,
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
    """Prune `reference` and write it as `output` (.keras); returns the document of
    `relrob prune --json`.

    `method` and its parameters up to `epochs`: `relrob.compress.pruning.asked.Pruning`; `epochs`: 1
    for surgery, else 0. The method "activations" draws `calibration` images (512) from
    `calibration_split` (train), by `seed` (0), which is that of training too. The other options are
    those of `relrob.api.quantise.quantise`. Raises RelrobError.
    """
    leave_unguarded()
    started, path = time.monotonic(), Path(output)
    trained = (1 if method == "surgery" else 0) if epochs is None else epochs
    asked = Pruning(
        method, density, threshold, scope, gradients, block, granularity, epochs=trained
    )
    if path.suffix != ".keras":
        raise UsageError(f"output {path}", "a file name that ends in .keras", "-o p.keras")
    idle = {"calibration": calibration, "calibration_split": calibration_split}
    _refuse_idle(asked, {**idle, "seed": None if asked.epochs else seed})
    # Pruning leaves the shapes of the weights as they are.
    check_writable(path, max(size_of(reference), 1 << 16))
    inputs = input_options(constant(input_scale), constant(mean), constant(std), channels)
    data = HowData(dataset, classes, labels, range, images_layout)
    read = read_reference(
        reference, data, HowRead(inputs, layout, memory=memory), started, listener
    )
    check_keras(read.network)
    drawn: Calibration | None = None
    if asked.method == "activations":
        drawn = read.calibration(calibration, calibration_split, seed)
    how = f", means over {drawn.name}" if drawn else ""
    listener(Event("note", f"pruning {reference} by {asked.text}{how}"))
    shape = read.images.image_shape
    with quiet_native():
        pruned = load_on_tensorflow("relrob.compress.pruning.keras_file:pruned")
    lessons = _lessons(read, seed or 0) if asked.epochs else None
    made: bytes = pruned(read.network, asked, drawn, lessons, shape, listener)
    said = {"method": asked.text, "calibration": drawn.name if drawn else None}
    conversion = in_keras(read.network)
    found, network = written(read, path, made, said, conversion=conversion)
    return {**found, **_densities(network)}


def _refuse_idle(asked: Pruning, given: dict[str, Any]) -> None:
    """Refuse options of drawn images where nothing is drawn. Raises UsageError."""
    typed = [name for name, value in given.items() if value is not None]
    if typed and asked.method != "activations":
        raise UsageError(
            f"{spelled(typed[0])} has no effect with method {asked.text}, which draws no images",
            f"{spelled(typed[0])} with activations",
            f"leave out {spelled(typed[0])}",
        )


def _lessons(read: Reference, seed: int) -> Any:
    """The images of the training split. Raises DatasetError."""
    images = calibration_images(read.dataset, read.images, "train", read.memory)
    data = images if isinstance(images, Dataset) else labelled(images, read.network)
    made = load_on_tensorflow("relrob.compress.pruning.keras_file:Lessons")
    return made(data.pixels, np.asarray(data.labels, np.int64), seed)


def _densities(network: Network) -> dict[str, Any]:
    """The share of weights that are not 0, of each layer and of all."""
    try:
        layers = weights_of(network)
    except NotReadError:
        return {}
    kept = {each.label: int(np.count_nonzero(each.values)) for each in layers}
    size = {each.label: each.values.size for each in layers}
    return {
        "density": round(sum(kept.values()) / sum(size.values()), 6),
        "layers": {label: round(kept[label] / size[label], 6) for label in kept},
    }
