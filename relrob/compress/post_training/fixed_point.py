"""Post-training quantisation of a float MLP to fixed point of B bits, with a power of two a layer
for weights, biases and outputs.

Each layer gets the finest unit in which its largest weight, bias and calibrated output fit.
Weights, biases and logits have B signed bits, hidden outputs B unsigned ones, pixels 8 bits. A
value beyond the calibrated range saturates.
"""

from __future__ import annotations

from math import floor, log2
from typing import Final

import numpy as np

from relrob.compress.calibration import Calibration
from relrob.domain.arrays import Doubles
from relrob.domain.network import Layer, Network
from relrob.errors import QuantiseError
from relrob.networks.fixed.file import fixed_bytes
from relrob.networks.fixed.network import FixedLayer, FixedNetwork, away
from relrob.networks.shapes import Shape

_PIXEL: Final = 255


def quantise(
    reference: Network, scheme: str, calibration: Calibration | None, image_shape: Shape
) -> bytes:
    """The bytes of the fixed-point network, scheme "fixed:B". Raises QuantiseError for a network
    that is no float MLP."""
    if reference.dense is None:
        raise QuantiseError(
            f"{reference.path} as {scheme}", "a float MLP whose weights relrob reads"
        )
    if calibration is None:
        raise QuantiseError("calibration images are missing", "a Calibration")
    bits = int(scheme.partition(":")[2])
    layers: list[FixedLayer] = []
    values: Doubles = calibration.images.astype(np.float64)
    # The unit of the values that enter the layer.
    unit = 1.0 / _PIXEL
    for layer in reference.dense.layers:
        values = values @ layer.weights + layer.bias
        values = np.maximum(values, 0.0) if layer.relu else values
        made, unit = _layer(layer, bits, unit, float(np.abs(values).max()))
        layers.append(made)
    return fixed_bytes(FixedNetwork(tuple(layers), 0, _PIXEL, _PIXEL))


def _fraction(largest: float, most: int) -> int:
    """The most bits after the point with which `largest` still fits into `most`. It is negative
    where even whole numbers are too many."""
    return floor(log2((most + 0.5) / largest)) if largest > 0 else 0


def _layer(layer: Layer, bits: int, unit: float, reach: float) -> tuple[FixedLayer, float]:
    """The layer in integers, and the unit of its outputs.

    `unit`: of its inputs. `reach`: its largest calibrated output. A product of input and weight has
    the unit `unit` / 2^weights, and the shift takes it to 2^-outputs. The part of `unit` that is no
    power of two (a pixel is 1/255) therefore goes into the weights.
    """
    signed = 2 ** (bits - 1) - 1
    low, high = (0, 2**bits - 1) if layer.relu else (-signed - 1, signed)
    outputs = _fraction(reach, high)
    # The scale is 256/255 for pixels, else 1.
    scale = unit * 2.0 ** round(-log2(unit))
    weights = layer.weights.astype(np.float64) * scale
    fine = _fraction(float(np.abs(weights).max()), signed)
    total = fine + round(-log2(unit))
    shift = total - outputs
    # Outputs are no finer than products.
    if shift < 0:
        outputs, shift = total, 0
    whole = np.clip(away(weights, fine), -signed - 1, signed).astype(np.int64)
    largest = float(np.abs(layer.bias).max())
    coarse = min(_fraction(largest, signed), total) if largest > 0 else total
    bias = np.clip(away(layer.bias, coarse), -signed - 1, signed).astype(np.int64)
    return FixedLayer(whole, bias, total - coarse, shift, low, high), 2.0**-outputs
