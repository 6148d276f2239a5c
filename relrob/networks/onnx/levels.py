"""The levels at which onnxruntime optimises a graph, each a runtime of its own."""

from __future__ import annotations

from typing import Any, Final

import onnxruntime as ort

from relrob.networks.details import ONNX_LEVELS

_LEVELS: Final = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def level_of(runtime: str) -> Any:
    """onnxruntime's own word for the level of one of `ONNX_LEVELS`.

    >>> level_of("onnxruntime:basic").name
    'ORT_ENABLE_BASIC'
    """
    return _LEVELS[ONNX_LEVELS[runtime]]
