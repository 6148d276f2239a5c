"""Quantise a reference network, as `relrob quantise` does."""

from __future__ import annotations

import time
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
from relrob.domain.contract import constant, exactly, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.files import check_writable, readable, write_atomic
from relrob_datasets.dataset import Dataset
from relrob_datasets.first import load_guarded


def quantise(
    reference: str | Path,
    output: str | Path,
    *,
    scheme: str = "int8",
    dataset: str = "mnist",
    calibration: int = DEFAULT_COUNT,
    calibration_split: str = "train",
    seed: int = 0,
    layout: str = "auto",
    input_scale: Any = None,
    mean: Any = None,
    std: Any = None,
    channels: str | None = None,
    memory: float | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Quantise `reference` and write it as `output`; returns the document of
    `relrob quantise --json`.

    `output` ends in .tflite, .onnx for qdq, or .npz for fixed:B. Schemes that need calibration draw
    `calibration` images from `calibration_split`, by `seed`. `input_scale`, `mean`, `std`,
    `channels`: the input contract (docs/inputs.md), through which these are fed. `memory`: GiB that
    the first reading of a file may take. Raises RelrobError.
    """
    started, path = time.monotonic(), Path(output)
    if path.suffix != suffix(scheme):
        raise UsageError(
            f"output {path} for scheme {scheme}", f"a file name that ends in {suffix(scheme)}"
        )
    check_writable(path)
    test = load_guarded(dataset, "test", memory)
    shape, more = test.image_shape, not test.classes_known
    asked: dict[str, Any] = {
        "image_shape": shape,
        "classes": test.classes,
        "more_classes": more,
        "layout": layout,
        "inputs": input_options(constant(input_scale), constant(mean), constant(std), channels),
    }
    try_network(reference, memory=memory, **asked)
    network = load_network(reference, **asked)
    check_quantisable(network)
    if not network.contract.plain:
        said = f", as {network.contract_from} says" if network.contract_from else ""
        listener(Event("note", f"{reference} reads pixels by {network.contract.text()}{said}"))
    drawn: Calibration | None = None
    if needs_calibration(scheme):
        drawn = draw(load_guarded(dataset, calibration_split, memory), calibration, seed)
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
        inputs=exactly(network.contract),
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
        **({} if network.contract.identity else {"input": network.contract.json()}),
        "reference": {"path": readable(reference), "sha256": network.sha256},
        "accuracy": after,
        **({"warnings": lost} if lost else {}),
        "images": len(test),
        "runtime": quantised.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }


def shown_accuracy(network: Network, test: Dataset) -> float:
    """The share of the test images that the network gets right, rounded to 6 digits."""
    return round(accuracy(open_network(network, 2), test.images, test.labels), 6)
