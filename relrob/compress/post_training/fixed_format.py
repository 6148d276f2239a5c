"""A float MLP in one fixed-point format Q(w, p) (Zhao et al. 2018), as exact integers for the
runtime `fixed`.

Weights, biases and the outputs of hidden layers have the format's n = w - p bits after the point. A
pixel is a level k of 0 to 255 that stands for k/255, as it does in the float network, and is not
quantised. Logits are not either.

A first layer with integer weights W and biases b has, in units of 2^-n, the sums T/255 + b with
T = W k. The runtime shifts and does not divide. With 2^S - 1 = 255 M it computes

    floor((M T + 2^S b + 2^(S-1)) / 2^S) = floor(T/255 + b + 1/2 - T / (255 2^S)).

T/255 + 1/2 is an odd number of 510ths, so that it is 1/510 away from every whole number at least.
The last term is smaller than that for |T| < 2^(S-1), and the result is exactly T/255 + b, rounded.
No such sum lies half-way between two codes. In later layers some do: they go up here, and to the
even code in the quantiser of the paper.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.compress.calibration import Calibration
from relrob.domain.arrays import Ints
from relrob.domain.formats import FixedFormat
from relrob.domain.network import Layer, Network
from relrob.errors import NetworkError, QuantiseError
from relrob.networks.exact_dot import SINGLE
from relrob.networks.fixed.file import fixed_bytes
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.shapes import Shape

_PIXEL: Final = 255
# 255 divides 2^S - 1 for these S.
_SHIFTS: Final = range(8, 57, 8)


def quantise(
    reference: Network, scheme: str, calibration: Calibration | None, image_shape: Shape
) -> bytes:
    """The bytes of the fixed-point network, scheme "q-integer:W:P". Raises QuantiseError for a
    network that is no float MLP, or a format whose sums need more than 62 bits."""
    if reference.dense is None:
        raise QuantiseError(
            f"{reference.path} as {scheme}", "a float MLP whose weights relrob reads"
        )
    _, width, point = scheme.split(":")
    form = FixedFormat(int(width), int(point))
    layers = reference.dense.layers
    try:
        made = [
            _layer(layer, form, first=number == 0, last=number == len(layers) - 1)
            for number, layer in enumerate(layers)
        ]
        return fixed_bytes(FixedNetwork(tuple(made), 0, _PIXEL, _PIXEL))
    except NetworkError as error:
        raise QuantiseError(
            f"{reference.path} as {scheme}: {error}", "fewer bits", "q-integer:16:4"
        ) from error


def _layer(layer: Layer, form: FixedFormat, first: bool, last: bool) -> FixedLayer:
    """The layer in integers."""
    weights, bias = form.codes(layer.weights), form.codes(layer.bias)
    low, high = (0 if layer.relu else form.lowest), form.highest
    if last:
        return _logits(weights, bias * _PIXEL if first else bias, 0 if first else form)
    if not first:
        return FixedLayer(weights, bias, form.fraction, form.fraction, low, high)
    reach = _reach(weights) * _PIXEL
    shift = next((s for s in _SHIFTS if reach < 2 ** (s - 1)), 0)
    factor = (2**shift - 1) // _PIXEL
    if not shift or reach * factor >= 2**62:
        raise NetworkError(f"sums of {reach.bit_length()} bits in the first layer")
    return FixedLayer(weights * factor, bias, shift, shift, low, high)


def _logits(weights: Ints, bias: Ints, form: FixedFormat | int) -> FixedLayer:
    """The last layer, whose outputs are the sums themselves; rounded to 24 bits where they could
    have more."""
    fraction, most = (0, _PIXEL) if isinstance(form, int) else (form.fraction, form.highest)
    reach = _reach(weights) * most + (int(np.abs(bias).max(initial=0)) << fraction)
    shift = max(0, reach.bit_length() - SINGLE.bit_length() + 1)
    return FixedLayer(weights, bias, fraction, shift, -SINGLE, SINGLE)


def _reach(weights: Ints) -> int:
    """The largest sum of magnitudes of a column."""
    return int(np.abs(weights).sum(axis=0).max(initial=0))
