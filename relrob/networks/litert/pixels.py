"""The first dense layer of a `.tflite` file as a function of pixels, where an input contract stands
before it.

The file reads v = a x + c of a pixel x in [0, 1], in some float32 roundings, which the slack and
the terms of a modelled layer cover (`relrob.networks.operators`).

An int8 input holds the multiple of its scale S that is nearest to v, cut at its ends. So it differs
from v by S/2 at most, and by bottom - min(c) more where the smallest v lies below its bottom. In
the unit of pixels that is divided by a.

A row that is quantised at run time has steps of range / 255 with a zero point, where the range is
that of its values and 0, or of max|v| / 127 without. Where c = 0 and a is one number, the steps of
the row in the unit of pixels are those of the pixels themselves. Otherwise the range of all of
[0, 1] is taken, and a whole step, because the zero point is rounded too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.networks.enclosure import LOOSE, EnclosedLayer
from relrob.networks.feed import entry, reversed_channels
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.layers import DynamicFull, FloatFull, Int8Full, with_zero_point
from relrob.networks.litert.limits import MOST_DYNAMIC
from relrob.networks.operators import NotDenseError, OperatorChain


def of_pixels(
    network: Network, layer: EnclosedLayer, first: Int8Full | DynamicFull | FloatFull, kernel: str
) -> EnclosedLayer:
    """The enclosed `layer`, rows in the order of the values fed, as one of pixels. Raises
    NotModelledError."""
    factor, offset = np.ones(network.inputs), np.zeros(network.inputs)
    for scale, shift in entry(network):
        factor, offset = factor * scale, offset * scale + shift
    found = _behind(network, layer) if entry(network) else layer
    even = bool((factor == factor[0]).all()) and not offset.any()
    if isinstance(first, Int8Full):
        cut = max(first.given.bottom - float(offset.min()), 0.0)
        moved = float(((first.given.scale / 2 + cut) / factor).max())
        cap = float(((first.given.top - offset) / factor).min())
        found = replace(
            found,
            # Where even black lies above the top, it is cut by the distance.
            moved=(moved + max(-cap, 0.0)) * LOOSE,
            input_cap=max(cap, 0.0),
            off_grid=not even,
        )
    if isinstance(first, DynamicFull) and not (factor + np.abs(offset)).max() < MOST_DYNAMIC:
        raise NotModelledError("pixels that become values beyond 2^92")
    if isinstance(first, DynamicFull) and not even:
        step = _step(factor, offset, with_zero_point(first, kernel))
        found = replace(found, share=0.0, moved=float((step / factor).max()), off_grid=True)
    if network.contract.bgr:
        found = replace(found, weights=found.weights[reversed_channels(network)])
    return found


def _behind(network: Network, layer: EnclosedLayer) -> EnclosedLayer:
    """The layer behind the steps of the contract over the reals, with the error of their
    rounding."""
    try:
        chain = OperatorChain((network.inputs,), entry(network))
        chain.dense(layer.weights, layer.bias)
        made = chain.finish().layers[0]
    except NotDenseError as reason:
        raise NotModelledError(str(reason)) from reason
    return replace(
        layer,
        weights=made.weights.astype(np.float64),
        bias=made.bias.astype(np.float64),
        terms=layer.terms + made.extra,
        slack=_both(layer.slack, made.slack),
    )


def _both(one: Doubles | None, other: Doubles | None) -> Doubles | None:
    return other if one is None else one if other is None else one + other


def _step(factor: Doubles, offset: Doubles, zero_point: bool) -> float:
    """The largest step of a row of values factor * x + offset."""
    low, high = min(float(offset.min()), 0.0), max(float((factor + offset).max()), 0.0)
    return ((high - low) / 255 if zero_point else max(-low, high) / 127) * LOOSE
