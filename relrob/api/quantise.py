"""Quantise a reference network, as `relrob quantise` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relrob.api.compressing import HowData, read_reference, written
from relrob.api.subjects import HowRead
from relrob.compress.build import default_runtime, needs_calibration, quantised_bytes, suffix
from relrob.compress.calibration import Calibration
from relrob.compress.source import ended, rebuilt
from relrob.compress.table import QUANTISERS
from relrob.domain.contract import constant, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.errors import UsageError
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob.system.files import check_writable


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
    inputs = input_options(constant(input_scale), constant(mean), constant(std), channels)
    data = HowData(dataset, classes, labels, range, images_layout)
    how_read = HowRead(inputs, layout, memory=memory)
    read = read_reference(reference, data, how_read, started, listener)
    drawn: Calibration | None = None
    if needs_calibration(scheme):
        drawn = read.calibration(calibration, calibration_split, seed)
    how = f", calibrated on {drawn.name}" if drawn else ""
    listener(Event("note", f"quantising {reference} as {scheme}{how}"))
    made = quantised_bytes(read.network, scheme, drawn, read.images.image_shape)
    said = {"scheme": scheme, "calibration": drawn.name if drawn else None}
    conversion = rebuilt(read.network, scheme)
    return written(read, path, made, said, default_runtime(scheme), conversion)[0]


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
