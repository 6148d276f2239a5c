"""Constants that a file adds to values and multiplies them by, on their way from one layer with
weights to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.networks.weighted import Affine, Weighted

Name = TypeVar("Name", int, str)


class Trail(Generic[Name]):
    """The steps since the last layer, by the name of the value that they give. Their numbers belong
    to the channels, the last dimension of a value, or are one for all of it."""

    def __init__(self) -> None:
        self._steps: dict[Name, tuple[tuple[Affine, Affine], ...]] = {}
        # Steps before each activation since the last layer or junction, as one.
        self._earlier: dict[Name, tuple[tuple[Affine, Affine], ...]] = {}
        # Values before which a step may stand that is not read.
        self._unsure: set[Name] = set()

    def pass_on(self, source: Name, out: Name) -> None:
        """A value in another shape, or as other codes."""
        self._steps[out] = self._steps.get(source, ())
        self._earlier[out] = self._earlier.get(source, ())
        if source in self._unsure:
            self._unsure.add(out)

    def add(self, source: Name, out: Name, step: Affine, off: Affine | None = None) -> None:
        """A value times a factor and with a shift; `off`: how far rounding may have moved them."""
        self.pass_on(source, out)
        nothing = Affine(np.zeros(len(step.factor)), np.zeros(len(step.shift)))
        self._steps[out] = (*self._steps[out], (step, nothing if off is None else off))

    def end(self, sources: Sequence[Name], out: Name, *, sure: bool, unread: bool = False) -> None:
        """A value that is something else. `sure`: is it an activation, behind which no step before
        it can stand? `unread`: is it a step that is not read?"""
        if sure and len(sources) == 1:
            before = self._steps.get(sources[0], ())
            ended: tuple[tuple[Affine, Affine], ...] = self._earlier.get(sources[0], ())
            if before:
                one = composed([step for step, _ in before], [off for _, off in before])
                ended = (*ended, one)
            self._earlier[out] = ended
        lost = any(self._steps.get(name) or name in self._unsure for name in sources)
        self._steps.pop(out, None)
        self._unsure.discard(out)
        if unread or (lost and not sure):
            self._unsure.add(out)

    def put_before(self, layer: Weighted, source: Name) -> Weighted:
        """The layer, which reads the value `source`, with the steps before it."""
        steps = self._steps.get(source, ())
        made = layer.fed_by([step for step, _ in steps])
        off = layer.fed_by([far for _, far in steps]).before
        known = len(made.before) == len(steps) and source not in self._unsure
        return replace(
            made,
            before_off=off[len(off) - len(made.before) :],
            known=known,
            earlier=self._earlier.get(source, ()),
        )


def composed(steps: Sequence[Affine], off: Sequence[Affine] = ()) -> tuple[Affine, Affine]:
    """Steps as one, and how far rounding may have moved its numbers; `off`: that of each step, ()
    for none."""
    factor, shift, far, moved = np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1)
    nothing = Affine(np.zeros(1), np.zeros(1))
    for step, one in zip(steps, off or [nothing] * len(steps), strict=True):
        moved = moved * np.abs(step.factor) + np.abs(shift) * one.factor + one.shift
        far = far * np.abs(step.factor) + np.abs(factor) * one.factor
        factor, shift = factor * step.factor, shift * step.factor + step.shift
    return Affine(factor, shift), Affine(far, moved)


def behind(layer: Weighted, affine: Affine, off: Affine) -> Weighted | None:
    """The layer with a step on its outputs: a constant that is added goes into the bias, a factor
    into the weights where these are floats. Integers stay as they are, and the step stands behind
    them. None where its numbers are not one, or one an output."""
    outputs = layer.shape[:1]
    if any(each.size not in (1, *outputs) for each in affine):
        return None
    affine, off = (Affine(*(np.broadcast_to(n, outputs) for n in a)) for a in (affine, off))
    added = bool((affine.factor == 1).all() and not off.factor.any())
    told = replace(layer, behind=(*layer.behind, affine), bare=layer.bare or layer)
    if not added and layer.stored is None:
        return told.folded_in(*affine)
    if not added or layer.after:
        return replace(
            told,
            after=(*layer.after, affine),
            after_off=(*layer.after_off, off),
            bare=None,
            result=None,
        )
    steps = np.zeros(outputs) if layer.bias_steps is None else layer.bias_steps
    steps = steps + 2 * off.shift
    return replace(
        layer if layer.bare is None else told,
        bias=affine.shift + (0 if layer.bias is None else layer.bias),
        bias_steps=steps if steps.any() else None,
        tied=layer.tied and not off.shift.any(),
    )


def step_of(
    operator: str, constants: Doubles, half: Doubles, *, first: bool
) -> tuple[Affine, Affine] | None:
    """x + c ("Add"), x - c or c - x ("Sub"), x * c ("Mul") or x / c ("Div"), and how far rounding
    of c by `half` moves it; `first`: x stands first. None for c / x."""
    one, zero = np.ones(constants.shape), np.zeros(constants.shape)
    match operator:
        case "Add":
            return Affine(one, constants), Affine(zero, half)
        case "Sub":
            made = Affine(one, -constants) if first else Affine(-one, constants)
            return made, Affine(zero, half)
        case "Mul":
            return Affine(constants, zero), Affine(half, zero)
        case "Div" if first and constants.all():
            return Affine(1 / constants, zero), Affine(half / constants**2, zero)
        case _:
            return None
