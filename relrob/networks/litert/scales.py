"""Scales and zero points of `.tflite` tensors, checked against the rules of the format."""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.networks.litert.flat import NotModelledError, Tensor
from relrob.networks.litert.layers import Grid

_LEAST: Final = {"INT8": -128, "UINT8": 0}
# The ends of scales. Products of two are far from the ends of float32.
_SMALLEST, _LARGEST = 2.0**-60, 2.0**60


def grid_of(tensor: Tensor) -> Grid | None:
    """The grid of an 8-bit activation, None for float32. Raises NotModelledError."""
    what = f"tensor {tensor.number}"
    if tensor.type == "FLOAT32":
        if tensor.scales is not None or tensor.zeros is not None:
            raise NotModelledError(f"{what} is float32 and has a scale")
        return None
    if tensor.type not in _LEAST:
        raise NotModelledError(f"{what} is {tensor.type.lower()}")
    scales, zeros = tensor.scales, tensor.zeros
    if (
        scales is None
        or zeros is None
        or len(scales) != 1
        or len(zeros) != 1
        or tensor.dimension != 0
    ):
        raise NotModelledError(f"{what} has not one scale and one zero point")
    least, zero = _LEAST[tensor.type], int(zeros[0])
    check_scales(what, scales)
    if not least <= zero <= least + 255:
        raise NotModelledError(f"{what} has zero point {zero}, outside {tensor.type.lower()}")
    return Grid(float(scales[0]), zero, least)


def weight_scales(tensor: Tensor, outputs: int, turned: bool = False) -> Floats:
    """The scales of symmetric int8 weights, one or one an output; `turned`: several may be along
    dimension 1 of square weights. Raises NotModelledError."""
    what, scales, zeros = f"tensor {tensor.number}", tensor.scales, tensor.zeros
    if scales is None or zeros is None or len(zeros) != len(scales):
        raise NotModelledError(f"{what} has no scales, or not a zero point for each")
    if len(scales) not in (1, outputs):
        raise NotModelledError(f"{what} has {len(scales)} scales for {outputs} outputs")
    square = turned and tensor.shape == (outputs, outputs)
    if tensor.dimension != 0 and ((len(scales) > 1 and not square) or tensor.dimension != 1):
        raise NotModelledError(f"{what} has scales along dimension {tensor.dimension}")
    if zeros.any():
        raise NotModelledError(f"{what} holds weights with a zero point")
    check_scales(what, scales)
    return scales


def check_scales(what: str, scales: Floats) -> None:
    """Raise NotModelledError unless all scales are finite, above 0 and of a usual size."""
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise NotModelledError(f"{what} has a scale that is not above 0 and finite")
    if scales.min() < _SMALLEST or scales.max() > _LARGEST:
        raise NotModelledError(f"{what} has a scale outside 2^-60 .. 2^60")
