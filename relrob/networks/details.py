"""Facts on which a runtime's answers depend besides its name, for the record of a run."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from relrob.domain.network import Network
from relrob.registry import load

# Each runtime that is onnxruntime, and its level of optimisation of the graph.
ONNX_LEVELS: Final = {
    "onnxruntime": "all",
    "onnxruntime:disabled": "disabled",
    "onnxruntime:basic": "basic",
    "onnxruntime:extended": "extended",
}
LITERT: Final = ("xnnpack", "builtin", "reference")
_INT8: Final = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2")


def runtime_details(network: Network) -> str:
    """One line that names the program's version and all else that makes a difference to its
    results."""
    if network.runtime in ONNX_LEVELS:
        return (
            f"onnxruntime {_version('onnxruntime')}, graph optimisation: "
            f"{ONNX_LEVELS[network.runtime]}, int8 path: {int8_path()}"
        )
    if network.runtime in LITERT:
        return f"LiteRT {_version('ai-edge-litert')}"
    if network.runtime == "tflm":
        return f"TFLM {_version('tflite-micro')}"
    if network.runtime == "keras":
        return f"Keras {_version('keras')}, TensorFlow {_version('tensorflow')}"
    return f"relrob {_version('relrob')}"


def int8_path(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The best instructions of the processor by which kernels choose products of int8. The name of
    its architecture where there are none."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine() or "unknown"
    flags = next(
        (
            set(line.partition(":")[2].split())
            for line in lines
            if line.startswith(("flags", "Features"))
        ),
        set(),
    )
    return next((name for name in _INT8 if name in flags), platform.machine() or "unknown")


def _version(package: str) -> str:
    try:
        version: str = load("importlib.metadata:version")(package)
    except ModuleNotFoundError:
        return "of unknown version"
    return version
