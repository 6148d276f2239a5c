"""Convolutions and pools of ONNX as steps for gradients, channels first."""

from __future__ import annotations

import numpy as np
import onnx

from relrob.domain.arrays import Floats
from relrob.networks.flow import Convolution, Pair, Pool
from relrob.networks.onnx.constants import attributes
from relrob.networks.weighted import NotReadError, Weighted


def convolution(
    source: int, node: onnx.NodeProto, layer: Weighted, bias: Floats, dims: tuple[int, ...]
) -> Convolution:
    """Conv, ConvInteger and QLinearConv over images of `dims`. Raises NotReadError."""
    height, width, depth = layer.window
    kernel = layer.values.reshape(-1, height, width, depth).transpose(1, 2, 3, 0)
    groups = int(attributes(node).get("group", 1))
    strides, dilations, pads = _window(node, (height, width), dims)
    return Convolution(
        source,
        np.ascontiguousarray(kernel, np.float32),
        bias,
        strides,
        dilations,
        pads,
        groups,
        first=True,
    )


def pool(source: int, node: onnx.NodeProto, dims: tuple[int, ...]) -> Pool:
    """MaxPool and AveragePool over images of `dims`. Raises NotReadError."""
    settings = attributes(node)
    high, wide = settings["kernel_shape"]
    window = int(high), int(wide)
    strides, dilations, pads = _window(node, window, dims)
    odd = any(settings.get(name, 0) for name in ("ceil_mode", "storage_order", "channels_last"))
    if odd or dilations != (1, 1):
        raise NotReadError(f"a {node.op_type} with ceil_mode, dilations or another order")
    padding = bool(settings.get("count_include_pad", 0))
    return Pool(source, node.op_type == "MaxPool", window, strides, pads, True, padding)


def _window(
    node: onnx.NodeProto, window: Pair, dims: tuple[int, ...]
) -> tuple[Pair, Pair, tuple[Pair, Pair]]:
    """(strides, dilations, zeros before and after the rows and the columns)."""
    settings = attributes(node)
    if len(dims) != 3:
        raise NotReadError(f"a {node.op_type} over {dims}")
    strides, dilations = (
        (int(a), int(b))
        for a, b in (settings.get("strides", (1, 1)), settings.get("dilations", (1, 1)))
    )
    auto = settings.get("auto_pad", b"NOTSET")
    if auto == b"NOTSET":
        top, left, bottom, right = (int(n) for n in settings.get("pads", (0, 0, 0, 0)))
        return strides, dilations, ((top, bottom), (left, right))
    if auto == b"VALID":
        return strides, dilations, ((0, 0), (0, 0))
    found = []
    for size, reach, stride, dilation in zip(dims[1:], window, strides, dilations, strict=True):
        whole = max((-(-size // stride) - 1) * stride + (reach - 1) * dilation + 1 - size, 0)
        less, more = whole // 2, whole - whole // 2
        found.append((less, more) if auto == b"SAME_UPPER" else (more, less))
    return strides, dilations, (found[0], found[1])
