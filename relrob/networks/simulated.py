"""Float weights that stand on a grid: a quantisation that is simulated in float32, as training with
quantisation and many papers leave it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.networks.weighted import NotReadError, Stored, Weighted, weights_of

# The most integers of a grid, to either side of 0.
_MOST: Final = 255
# Weights that share a step, below which it is not sure.
_FEW: Final = 16
_EXACT: Final = 1e-3


def nothing_quantised(network: Network) -> bool:
    """Are all weights float32, and on no grid? Weights that are not read are taken for such."""
    if network.scheme != "float32":
        return False
    try:
        layers = weights_of(network)
    except NotReadError:
        return True
    return all(
        layer.scheme in ("float32", "float64") and on_grid(layer).stored is None for layer in layers
    )


def on_grid(layer: Weighted) -> Weighted:
    """The layer with its weights as integers, where they are float multiples of one step a tensor
    or, in long rows, one a row; otherwise the same layer."""
    if layer.stored is not None or layer.scheme not in ("float32", "float64"):
        return layer
    outputs, fan = layer.shape
    rows = np.zeros((outputs, 1), np.int64)
    scales = _steps(layer.values.reshape(1, -1))
    if scales is None and fan >= _FEW:
        scales, rows = _steps(layer.values), np.arange(outputs)[:, None]
    if scales is None or layer.values.size < 4 * _FEW:
        return layer
    groups = np.broadcast_to(rows, layer.shape)
    codes = np.rint(layer.values / scales[groups]).astype(np.int64)
    end = int(np.abs(codes).max())
    zeros = np.zeros(len(scales), np.int64)
    stored = Stored(codes, scales, zeros, groups, -end, end, "simulated")
    return replace(layer, stored=stored, scheme=stored.scheme)


def _steps(values: Doubles) -> Doubles | None:
    """The step of each row of weights, None where one is on no grid."""
    found = []
    for row in values:
        size = np.unique(np.abs(row))
        size = size[size > 0]
        if not len(size) or len(size) > _MOST:
            return None
        gaps = np.diff(size, prepend=0.0)
        step = float(gaps[gaps > 1e-6 * size[-1]].min())
        # The mean over all multiples is more exact than one gap.
        multiples = np.rint(size / step)
        step = float((size @ multiples) / (multiples @ multiples))
        if multiples[-1] > _MOST or np.abs(size / step - multiples).max() > _EXACT * 10:
            return None
        found.append(step)
    return np.array(found)
