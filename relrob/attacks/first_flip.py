"""The first layer whose rounding flips an image: the quantised network with only its first layers
rounded.

With k of its L weighted layers rounded, the network has the codes of the file in layers 1 to k, and
from there on the reference's weights and no rounding. k = 0 is the reference and k = L the
quantised network, both as models; the layer that is named is the first k that gives a wrong label.
An image is left out where either end does not say what the network itself says: no proof rests on
this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from relrob.attacks.chain_gradients import ChainGradients
from relrob.attacks.victim import Gradients
from relrob.audit.matching import matched
from relrob.audit.weights import on_one_scale
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Network
from relrob.errors import RelrobError
from relrob.networks.evaluator import labels
from relrob.networks.flow import (
    Clip,
    Convolution,
    Flow,
    Product,
    Rounded,
    RowRounded,
    Step,
    flow_of,
)
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.networks.weighted import NotReadError, weights_of

_FREE: Final = Clip(0, float("-inf"), float("inf"))
_NEAR: Final = 1e-5


@dataclass(frozen=True, eq=False)
class _Layer:
    """A weighted step of the quantised flow: its place, its name, and the step with the reference's
    weights."""

    place: int
    name: str
    exact: Product | Convolution


def first_flips(
    reference: Network, quantised: Network, images: Floats, wanted: Ints, given: Ints
) -> list[str | None]:
    """The layer of each image (n, d) that fools the quantised network; None where the models do not
    say what the networks say.

    `wanted` (n,): the true labels, which the reference gives; `given` (n,): those of the quantised
    network. Raises NotReadError with the reason where the layers of the pair are not read.
    """
    try:
        flow = flow_of(quantised)
        if flow is None:
            raise NotReadError(f"the steps of a {quantised.format} file are not read")
        layers = _layers(reference, quantised, flow)
    except RelrobError as error:
        raise NotReadError(str(error)) from error
    says = np.stack(
        [
            labels(_model(quantised, _rounded_until(flow, layers, k)).logits(images))
            for k in range(len(layers) + 1)
        ]
    )
    names = [layer.name for layer in layers]
    return [
        _named(names, says[:, place], int(wanted[place]), int(given[place]))
        for place in range(len(images))
    ]


def _named(names: Sequence[str], says: Ints, wanted: int, given: int) -> str | None:
    if says[0] != wanted or says[-1] != given:
        return None
    return names[int(np.flatnonzero(says != wanted)[0]) - 1]


def _layers(reference: Network, quantised: Network, flow: Flow) -> list[_Layer]:
    """The weighted steps of the quantised flow beside the reference's layers."""
    ours = on_one_scale(weights_of(reference), reference, quantised)
    matches = matched(ours, weights_of(quantised), reference.image_shape)
    steps = [
        (place, step)
        for place, step in enumerate(flow.steps)
        if isinstance(step, Product | Convolution)
    ]
    if len(steps) != len(matches):
        raise NotReadError(f"{len(steps)} steps with weights for {len(matches)} layers")
    found = []
    for (place, step), match in zip(steps, matches, strict=True):
        theirs = match.quantised.values
        if theirs.shape != _flat(step).shape or not _near(theirs, _flat(step)):
            raise NotReadError(f"{match.quantised.label} has its weights in another order")
        bias = match.reference.bias
        exact = np.zeros(theirs.shape[0]) if bias is None else bias
        found.append(
            _Layer(place, match.quantised.label, _with(step, match.reference.values, exact))
        )
    return found


def _flat(step: Product | Convolution) -> Doubles:
    """The weights of a step as (out, fan)."""
    if isinstance(step, Product):
        return step.weights.T.astype(np.float64)
    turned = step.kernel.transpose(3, 0, 1, 2)
    return turned.reshape(len(turned), -1).astype(np.float64)


def _near(one: Doubles, other: Doubles) -> bool:
    size = float(np.abs(one).max(initial=1e-30))
    return bool(np.abs(one - other).max(initial=0.0) <= _NEAR * size)


def _with(step: Product | Convolution, values: Doubles, bias: Doubles) -> Product | Convolution:
    """The step with other weights (out, fan) and another bias (out,)."""
    shift = bias.astype(np.float32)
    if isinstance(step, Product):
        return replace(step, weights=np.ascontiguousarray(values.T, np.float32), bias=shift)
    height, width, inputs, outputs = step.kernel.shape
    kernel = values.reshape(outputs, height, width, inputs).transpose(1, 2, 3, 0)
    return replace(step, kernel=np.ascontiguousarray(kernel, np.float32), bias=shift)


def _rounded_until(flow: Flow, layers: Sequence[_Layer], k: int) -> Flow:
    """The flow with layers 1 to k as the file has them. A rounding of an activation belongs to the
    layer that gives it, one of an input to the layer that reads it."""
    steps: list[Step] = list(flow.steps)
    for layer in layers[k:]:
        steps[layer.place] = layer.exact
    places = [layer.place for layer in layers]
    for place, step in enumerate(flow.steps):
        before = sum(each < place for each in places)
        if isinstance(step, RowRounded):
            belongs = before + 1
        elif isinstance(step, Rounded):
            belongs = max(before, 1)
        else:
            continue
        if belongs > k:
            steps[place] = replace(_FREE, source=step.source)
    return replace(flow, steps=tuple(steps))


def _model(network: Network, flow: Flow) -> Gradients:
    """The flow as a model of logits."""
    if flow.chain:
        return ChainGradients(network, flow, "")
    made: Gradients = load_on_tensorflow("relrob.attacks.flow_gradients:flow_gradients")(
        network, flow, ""
    )
    return made
