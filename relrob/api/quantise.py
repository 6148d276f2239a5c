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
from relrob.compress.calibration import DEFAULT_COUNT, Calibration, draw
from relrob.compress.source import rebuilt
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import QUANTISERS
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob.system.files import check_writable, readable, write_atomic
from relrob_datasets.dataset import Dataset
from relrob_datasets.first import load_guarded


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
    memory: float | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Quantise `reference` and write it as `output`; returns the document of
    `relrob quantise --json`.

    `output` ends in .tflite, .onnx for qdq, or .npz for fixed:B. Schemes that need calibration draw
    `calibration` images (512) from `calibration_split` (train), by `seed` (0); other schemes
    refuse these three. `memory`: GiB that the first reading
    of a file may take. Raises RelrobError.
    """
    leave_unguarded()
    started, path = time.monotonic(), Path(output)
    if path.suffix != suffix(scheme):
        raise UsageError(
            f"output {path} for scheme {scheme}", f"a file name that ends in {suffix(scheme)}"
        )
    _refuse_idle(
        scheme,
        {"calibration": calibration, "calibration_split": calibration_split, "seed": seed},
    )
    check_writable(path)
    test = load_guarded(dataset, "test", memory)
    shape, more = test.image_shape, not test.classes_known
    asked: dict[str, Any] = {
        "image_shape": shape,
        "classes": test.classes,
        "more_classes": more,
        "layout": layout,
    }
    try_network(reference, memory=memory, **asked)
    network = load_network(reference, **asked)
    check_quantisable(network)
    drawn: Calibration | None = None
    if needs_calibration(scheme):
        images = load_guarded(dataset, calibration_split or "train", memory)
        drawn = draw(images, DEFAULT_COUNT if calibration is None else calibration, seed or 0)
    how = f", calibrated on {drawn.name}" if drawn else ""
    listener(Event("note", f"quantising {reference} as {scheme}{how}"))
    data = quantised_bytes(network, scheme, drawn, shape)
    write_atomic(path, data)
    quantised = load_network(
        path,
        image_shape=shape,
        classes=test.classes,
        more_classes=more,
        runtime=default_runtime(scheme),
        inherit=network.layout,
    )
    before, after = shown_accuracy(network, test), shown_accuracy(quantised, test)
    lost, how = accuracy_warnings(before, after), rebuilt(network, scheme)
    return {
        "path": readable(path),
        "sha256": quantised.sha256,
        "bytes": len(data),
        "scheme": scheme,
        "calibration": drawn.name if drawn else None,
        **({"conversion": how} if how else {}),
        "reference": {"path": readable(reference), "sha256": network.sha256},
        "accuracy": after,
        **({"warnings": lost} if lost else {}),
        "images": len(test),
        "runtime": quantised.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }


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
