"""The network that a file holds, as the checker reads it: exact weights and the runtime's error.

Each format has a reader of the checker's own (`reading`). This module picks the reader and checks
that the layers fit each other. Source: docs/certificates.md, "How far a runtime strays".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relrob.certificates.checking.reading.facts import LOOSE, Deployed, Facts, NoRulesError
from relrob.certificates.checking.reading.fixed import facts_of, read_fixed
from relrob.certificates.checking.reading.keras import read_archive, read_h5, read_keras1
from relrob.certificates.checking.reading.litert import read_tflite
from relrob.certificates.checking.reading.onnx import read_onnx
from relrob.domain.network import Arithmetic, Layout, Network

__all__ = ["LOOSE", "Deployed", "Facts", "NoRulesError", "read_deployed"]

_FLOATS: Final = {
    "onnx": read_onnx,
    "keras": read_archive,
    "keras-h5": read_h5,
    "keras1-h5": read_keras1,
}
_RUNTIMES: Final = {
    "tflite": ("xnnpack", "builtin", "reference"),
    "fixed": ("fixed",),
    "onnx": (
        "onnxruntime",
        "onnxruntime:disabled",
        "onnxruntime:basic",
        "onnxruntime:extended",
        "real",
    ),
    "keras": ("onnxruntime", "keras", "real"),
    "keras-h5": ("onnxruntime", "keras", "real"),
    "keras1-h5": ("onnxruntime", "real"),
}


def read_deployed(network: Network, data: bytes | None = None) -> Deployed:
    """The exact network in a file (`data`: its bytes) on the runtime that is named.

    `network`: its format, runtime and layout choose the rules; shapes, classes and arithmetic are
    compared with the file.

    Raises:
        NoRulesError: the checker does not know this network exactly.
    """
    if network.runtime not in _RUNTIMES.get(network.format, ()):
        raise NoRulesError(f"bounds on a {network.format} file on {network.runtime}")
    if network.layout is Layout.CHW and network.image_shape[2] == 1:
        raise NoRulesError("a layout of chw for one channel, which is hwc")
    data = Path(network.path).read_bytes() if data is None else data
    if network.format == "tflite":
        found = read_tflite(network, data)
    elif network.format == "fixed":
        found = facts_of(read_fixed(data))
    else:
        found = _FLOATS[network.format](network, data)
    first, last = found.layers[0].weights, found.layers[-1].weights
    if first.shape[0] != network.inputs or last.shape[1] != network.classes:
        raise NoRulesError("layers that do not fit the images or the classes")
    if any(
        a.weights.shape[1] != b.weights.shape[0]
        for a, b in zip(found.layers, found.layers[1:], strict=False)
    ):
        raise NoRulesError("layers that do not fit each other")
    if [layer.relu for layer in found.layers] != [True] * (len(found.layers) - 1) + [False]:
        raise NoRulesError("dense layers that are not ReLU, ..., ReLU, none")
    if network.arithmetic is not arithmetic_of(network, found):
        raise NoRulesError(
            f"{network.arithmetic.value} arithmetic of a file that computes otherwise"
        )
    return found


def arithmetic_of(network: Network, found: Deployed) -> Arithmetic:
    """Which arithmetic a verdict about these layers speaks of."""
    if network.runtime == "real":
        return Arithmetic.REAL
    rounds = any(layer.share or layer.shift or layer.cap is not None for layer in found.layers)
    return Arithmetic.INTEGER if rounds or network.format == "fixed" else Arithmetic.FLOAT32
