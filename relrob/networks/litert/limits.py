"""The ends of LiteRT's integer kernels: sums of 32 bits, and the range of their requantisation."""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.layers import DynamicFull, Int8Full, Layer
from relrob.networks.litert.requantise import multipliers, output_scales

_INT32: Final = 2**31
# Inputs of a dynamic-range layer below it leave every product of it within float32, where weights
# have scales up to `_LARGEST_SCALE`: the products of sums (below 2^31) and row scales, and of both
# scales.
MOST_DYNAMIC: Final = 2.0**92
_LARGEST_SCALE: Final = 2.0**20


def check_limits(layer: Layer, kernel: str) -> None:
    """Does the kernel compute the layer as it is modelled, whatever its input? Raises
    NotModelledError."""
    if isinstance(layer, Int8Full):
        _requantised(layer, kernel, _largest(layer))
    if isinstance(layer, DynamicFull) and layer.turned and kernel == "xnnpack":
        raise NotModelledError("a dense layer of scales along dimension 1 that XNNPACK takes")
    if isinstance(layer, DynamicFull):
        _dynamic(layer, kernel)


def _dynamic(layer: DynamicFull, kernel: str) -> None:
    # On x86 the built-in kernel negates the weight where an input's code is below 0, and -(-128)
    # is -128 in int8.
    if kernel != "xnnpack" and (layer.weights == -128).any():
        raise NotModelledError(f"a dynamic-range layer with a weight of -128 on {kernel}")
    if layer.scales.max(initial=0.0) > _LARGEST_SCALE:
        raise NotModelledError("a dynamic-range layer with a weight scale above 2^20")
    if 255 * int(np.abs(layer.weights.astype(np.int64)).sum(axis=0).max()) >= _INT32:
        raise NotModelledError("a layer whose sums can leave 32 bits")


def _largest(layer: Int8Full) -> int:
    """The largest absolute value of a sum, whichever of the two ways a kernel counts the zero
    point."""
    weights, bias = layer.weights.astype(np.int64), layer.bias.astype(np.int64)
    size = np.abs(weights).sum(axis=0)
    shifted = np.abs(bias - layer.given.zero * weights.sum(axis=0))
    return int(
        max((128 * size + shifted).max(initial=0), (255 * size + np.abs(bias)).max(initial=0))
    )


def _requantised(layer: Int8Full, kernel: str, largest: int) -> None:
    """The range of each kernel's multiplier."""
    if largest >= _INT32:
        raise NotModelledError("an int8 layer whose sums can leave 32 bits")
    with np.errstate(over="ignore"):
        scales = np.asarray(output_scales(layer, kernel), np.float64)
    if scales.min(initial=1.0) < 2.0**-100:
        raise NotModelledError("an int8 layer with a requantisation scale below 2^-100")
    if kernel == "xnnpack" and scales.max() >= 256:
        raise NotModelledError(
            f"an int8 layer with a requantisation scale of {scales.max():g}, which XNNPACK refuses"
        )
    left = max(int(multipliers(scales).exponent.max()), 0)
    if kernel == "builtin" and (left > 30 or largest << left >= _INT32):
        raise NotModelledError(
            f"an int8 layer with a requantisation scale of {scales.max():g}: the built-in "
            "kernel's left shift can overflow"
        )
    if kernel == "reference" and (left > 30 or largest * float(scales.max()) >= _INT32 - 256):
        raise NotModelledError(
            f"an int8 layer with a requantisation scale of {scales.max():g}: the reference "
            "kernel's product can overflow"
        )
