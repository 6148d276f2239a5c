"""`compare_weights`: the weights of the quantised network against the reference's, by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from relrob.audit.activations import activations
from relrob.audit.faults import WHOLE, nothing_quantised, weight_faults
from relrob.audit.layers import compared, row
from relrob.audit.matching import Match, foreign, matched
from relrob.audit.ranges import activation_faults
from relrob.audit.sample import WEIGHED, spread
from relrob.audit.weight_report import WeightReport
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.simulated import on_grid
from relrob.networks.weighted import NotReadError, Weighted, weights_of
from relrob_datasets.dataset import Dataset

# The relative error of an output's weights that is coarse, and the share of outputs that have it.
_COARSE: Final = 0.05
_MANY: Final = 0.1


def compare_weights(reference: Network, quantised: Network, images: Floats) -> WeightReport:
    """Dequantised weights, biases and scales of the quantised network against the reference, and
    the codes of its activations on `images` (n, d), float32 in [0, 1], some of the data set's
    (`relrob.audit.sample.spread`).

    The weights take milliseconds a million, the activations a run of both networks. A file that is
    not read, or layers that do not match, give a report that says so.
    """
    theirs: Sequence[Weighted] = ()
    ours: Sequence[Weighted] = ()
    matches: tuple[Match, ...] = ()
    try:
        theirs = [on_grid(layer) for layer in _weights(quantised, "quantised network")]
        ours = on_one_scale(_weights(reference, "reference"), reference, quantised)
        matches = matched(ours, theirs, reference.image_shape)
        layers = [compared(match) for match in matches]
    except NotReadError as error:
        used = activations(quantised, theirs, reference, matches, images)
        found = (*nothing_quantised(theirs), *foreign(ours, theirs, reference.image_shape))
        return WeightReport(
            False, str(error), (), used, (*found, *activation_faults(used, (), not found))
        )
    used = activations(quantised, theirs, reference, matches, images)
    found = (*nothing_quantised(theirs), *weight_faults(layers))
    if not any(each.id in WHOLE for each in found):
        told = [one.match.quantised for one in layers if not len(one.scales.groups)]
        found += activation_faults(used, told, not found)
    rectified = tuple(one.match.quantised.label for one in layers if _rectified(one.match))
    coarse = any(_coarse(one.match) for one in layers)
    return WeightReport(True, "", tuple(row(one) for one in layers), used, found, rectified, coarse)


def _coarse(match: Match) -> bool:
    """Did rounding change a tenth of the outputs' weights much? 8 bits for each output change them
    by 1 %, 4 bits by 12 %."""
    ours, theirs = match.reference.values, match.quantised.values
    size = np.linalg.norm(ours, axis=1)
    far = np.linalg.norm(theirs - ours, axis=1) > _COARSE * size
    return bool(far[size > 0].mean() > _MANY) if size.any() else False


def _rectified(match: Match) -> bool:
    """Has one of the layers a ReLU, and the other none, nor codes that begin at 0?"""
    ours, theirs = match.reference, match.quantised
    floor = any(one.result and one.result.zero == one.result.least for one in (ours, theirs))
    return ours.relu != theirs.relu and not floor


def weights_on(reference: Network, quantised: Network, data: Dataset) -> WeightReport:
    """`compare_weights` on images of the data set, evenly apart. Raises RelrobError for a file that
    is not there any more. One thread, as the products are small."""
    with threadpool_limits(limits=1):
        return compare_weights(reference, quantised, data.pixels(spread(len(data), WEIGHED)))


def _weights(network: Network, role: str) -> tuple[Weighted, ...]:
    try:
        return weights_of(network)
    except NotReadError as error:
        raise NotReadError(f"the {role}: {error}") from error


def on_one_scale(
    layers: Sequence[Weighted], reference: Network, quantised: Network
) -> Sequence[Weighted]:
    """The reference's layers as they would be if it read the pixels on the scale that the quantised
    network reads: the first step before a layer is another then, or its weights are."""
    factor = float(reference.contract.scale / quantised.contract.scale)
    if factor == 1:
        return layers
    return [_rescaled(layer, factor) if layer.depth == 1 else layer for layer in layers]


def _rescaled(layer: Weighted, factor: float) -> Weighted:
    bare = None if layer.bare is None else _rescaled(layer.bare, factor)
    if layer.earlier:
        (step, off), *others = layer.earlier
        scaled = step._replace(factor=step.factor * factor)
        return replace(layer, earlier=((scaled, off), *others), bare=bare)
    if layer.before:
        first, *rest = layer.before
        scaled = first._replace(factor=first.factor * factor)
        return replace(layer, before=(scaled, *rest), bare=bare)
    return replace(layer, values=layer.values * factor, bare=bare)
