"""Where a converter may put the steps before and behind a layer with weights: into its weights and
its bias, into those of the next layer, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.networks.weighted import Affine, Weighted


def forms(layer: Weighted) -> Iterator[Weighted]:
    """The layer as it is, with the factor of the last step before it folded into the weights, with
    its shift folded into the bias besides, and so on for the steps before that; and all of these
    with the steps after it folded in as well. A shift of values that are padded stays."""
    yield from _read(layer)
    for step in layer.after:
        layer = replace(layer.folded_in(*_wide(step, layer)), after=layer.after[1:])
        yield from _read(layer)


def handed_on(layer: Weighted) -> Iterator[tuple[Weighted, Affine]]:
    """The layer without what the next one may hold instead, and that as one step: what stands
    behind the layer, its shift alone, or its shift and all that stands behind it."""
    for bare in _read(layer if layer.bare is None else layer.bare):
        bias = np.zeros(bare.shape[0]) if bare.bias is None else bare.bias
        factor, shift = _composed(layer.behind, bare)
        moved, unbiased = bias * factor + shift, replace(bare, bias=None, bias_steps=None)
        if layer.behind:
            yield bare, Affine(factor, shift)
            if bias.any():
                yield unbiased, Affine(factor, moved)
        if moved.any():
            scaled = replace(unbiased, values=bare.values * factor[:, None])
            yield replace(scaled, folded=True), Affine(np.ones_like(moved), moved)


def taken(layer: Weighted, step: Affine) -> Weighted | None:
    """The layer with a step before it in its weights and its bias; None where they have no channel
    for each number of the step, or its shift stays."""
    fed = layer.fed_by((step,))
    if not fed.before or (layer.padded and step.shift.any()):
        return None
    *_, whole = _read(fed)
    return replace(whole, bare=None if layer.bare is None else taken(layer.bare, step))


def _read(layer: Weighted) -> Iterator[Weighted]:
    """The forms of `before`; each keeps the steps that it leaves before it."""
    yield layer
    made = replace(layer, stored=None, folded=True)
    for factor, shift in reversed(layer.before):
        bias = np.zeros(layer.shape[0]) if made.bias is None else made.bias
        moved = bias + (made.values * shift).sum(axis=1)
        rest = made.before[:-1]
        left = rest
        if shift.any():
            with np.errstate(divide="ignore", invalid="ignore"):
                left = (*rest, Affine(np.ones((1, 1)), shift / factor))
        scaled = replace(made, values=made.values * factor, before=left)
        yield scaled
        if layer.padded and shift.any():
            return
        made = replace(scaled, bias=moved, bias_steps=None, before=rest)
        yield made


def _composed(steps: Sequence[Affine], layer: Weighted) -> tuple[Doubles, Doubles]:
    """Steps behind a layer as one, (out,) each."""
    factor, shift = np.ones(layer.shape[0]), np.zeros(layer.shape[0])
    for step in steps:
        scale, offset = _wide(step, layer)
        factor, shift = factor * scale, shift * scale + offset
    return factor, shift


def _wide(step: Affine, layer: Weighted) -> tuple[Doubles, Doubles]:
    """The numbers of a step, one an output."""
    factor, shift = (np.broadcast_to(each, layer.shape[:1]) for each in step)
    return factor, shift
