"""`compare_weights`: the weights of the quantised network against the reference's, by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relrob.audit.activations import activation_faults, activations
from relrob.audit.faults import WHOLE, nothing_quantised, weight_faults
from relrob.audit.layers import compared, row
from relrob.audit.matching import foreign, matched
from relrob.audit.sample import WEIGHED, spread
from relrob.audit.weight_report import Activation, WeightReport
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.simulated import on_grid
from relrob.networks.weighted import NotReadError, Weighted, weights_of
from relrob_datasets.dataset import Dataset


def compare_weights(reference: Network, quantised: Network, images: Floats) -> WeightReport:
    """Dequantised weights, biases and scales of the quantised network against the reference, and
    the codes of its activations on `images` (n, d), float32 in [0, 1], some of the data set's
    (`relrob.audit.sample.spread`).

    The weights take milliseconds a million, the activations a run of both networks. A file that is
    not read, or layers that do not match, give a report that says so.
    """
    theirs: Sequence[Weighted] = ()
    ours: Sequence[Weighted] = ()
    used: tuple[Activation, ...] = ()
    try:
        theirs = [on_grid(layer) for layer in _weights(quantised, "quantised network")]
        used = activations(quantised, theirs, reference, images)
        ours = on_one_scale(_weights(reference, "reference"), reference, quantised)
        layers = [compared(match) for match in matched(ours, theirs, reference.image_shape)]
    except NotReadError as error:
        found = (*nothing_quantised(theirs), *foreign(ours, theirs, reference.image_shape))
        return WeightReport(
            False, str(error), (), used, (*found, *activation_faults(used, (), not found))
        )
    found = (*nothing_quantised(theirs), *weight_faults(layers))
    if not any(each.id in WHOLE for each in found):
        told = [one.match.quantised for one in layers if not len(one.scales.groups)]
        found += activation_faults(used, told, not found)
    return WeightReport(True, "", tuple(row(one) for one in layers), used, found)


def weights_on(reference: Network, quantised: Network, data: Dataset) -> WeightReport:
    """`compare_weights` on images of the data set, evenly apart. Raises RelrobError for a file that
    is not there any more."""
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
    network reads."""
    factor = float(reference.contract.scale / quantised.contract.scale)
    if factor == 1:
        return layers
    return [
        replace(layer, values=layer.values * factor) if layer.depth == 1 else layer
        for layer in layers
    ]
