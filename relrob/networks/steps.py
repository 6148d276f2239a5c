"""Constants that a file adds to values and multiplies them by, on their way from one layer with
weights to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.networks.weighted import Affine, Weighted

Name = TypeVar("Name", int, str)


class Step(NamedTuple):
    """x * factor + shift, and how far rounding may have moved each number. `kinds`: of the layers
    whose channels they belong to; () for the channels that stand last, or for single numbers.
    `cut`: may a quantiser have taken a ReLU away behind it?"""

    affine: Affine
    off: Affine
    kinds: tuple[str, ...] = ()
    cut: bool = False


# The steps before each of some activations.
Earlier: TypeAlias = tuple[tuple[Step, ...], ...]


class Trail(Generic[Name]):
    """The steps since the last layer, by the name of the value that they give."""

    def __init__(self) -> None:
        self._steps: dict[Name, tuple[Step, ...]] = {}
        # Steps before each activation since the last layer or junction.
        self._earlier: dict[Name, Earlier] = {}
        # Values before which a step may stand that is not read.
        self._unsure: set[Name] = set()
        # Values before which one may stand that an activation follows.
        self._doubtful: set[Name] = set()
        # The value of which alone another is made, where that is not the value itself.
        self._origin: dict[Name, Name] = {}

    def at(self, name: Name) -> tuple[Step, ...]:
        """The steps before a value that no activation follows."""
        return self._steps.get(name, ())

    def earlier(self, name: Name) -> Earlier:
        """The steps before a value that activations follow."""
        return self._earlier.get(name, ())

    def pass_on(
        self,
        source: Name,
        out: Name,
        kept: tuple[Step, ...] | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        """A value in another shape, or as other codes; `kept`: the steps that still stand for its
        channels, the last ones, where these are not all; `earlier`: those before activations, where
        their channels stand elsewhere."""
        steps = self.at(source)
        self._steps[out] = steps if kept is None else kept
        self._earlier[out] = self.earlier(source) if earlier is None else earlier
        self._origin[out] = self._origin.get(source, source)
        lost = kept is not None and len(kept) < len(steps)
        for names in (self._unsure, self._doubtful):
            if lost or source in names:
                names.add(out)

    def add(self, source: Name, out: Name, step: Step) -> None:
        """A value times a factor and with a shift."""
        self.pass_on(source, out)
        self._steps[out] = (*self._steps[out], step)

    def end(self, sources: Sequence[Name], out: Name, *, sure: bool, unread: bool = False) -> None:
        """A value that is something else. `sure`: is it an activation, behind which no step before
        it can stand? `unread`: is it a step that is not read?"""
        activation = sure and len(sources) == 1
        before = self.at(sources[0]) if activation else ()
        lost = any(self.at(name) or name in self._unsure for name in sources)
        origins = {self._origin.get(name, name) for name in sources}
        doubtful = any(name in self._doubtful for name in sources)
        if activation:
            earlier: Earlier = self.earlier(sources[0])
            self._earlier[out] = (*earlier, before) if before else earlier
        else:
            # Of one value alone, it may be an activation in parts.
            doubtful = doubtful or lost or any(self.earlier(name) for name in sources)
            self._earlier.pop(out, None)
        if len(origins) == 1:
            self._origin[out] = origins.pop()
        else:
            doubtful = False
        self._steps.pop(out, None)
        for names, told in (
            (self._unsure, unread or (lost and not sure)),
            (self._doubtful, unread or doubtful),
        ):
            names.discard(out)
            if told:
                names.add(out)

    def put_before(
        self,
        layer: Weighted,
        source: Name,
        told: tuple[Step, ...] | None = None,
        earlier: Earlier | None = None,
    ) -> Weighted:
        """The layer, which reads the value `source`, with the steps before it; `told`: those of
        its channels, where these are not all; `earlier`: those before activations, where their
        numbers are of its columns."""
        steps = self.at(source)
        told = steps if told is None else told
        made = layer.fed_by([step.affine for step in told])
        off = layer.fed_by([step.off for step in told]).before
        whole = len(made.before) == len(steps)
        ended = [_as_one(each) for each in (self.earlier(source) if earlier is None else earlier)]
        found = tuple(each for each in ended if each is not None)
        cuts = tuple(number for number, step in enumerate(told, start=1) if step.cut)
        return replace(
            made,
            before_off=off[len(off) - len(made.before) :],
            known=whole and source not in self._unsure,
            cuts=cuts if whole else (),
            earlier=found if len(found) == len(ended) else (),
            traced=len(found) == len(ended) and source not in self._doubtful,
        )


def _as_one(steps: Sequence[Step]) -> tuple[Affine, Affine] | None:
    """Steps as one, and how far rounding may have moved its numbers. Of channels and of values that
    hold all channels a place, it has a number a value; None where these are other channels."""
    count = max(numbers.size for step in steps for pair in step[:2] for numbers in pair)
    wide = list[list[Affine]]()
    for step in steps:
        if any(count % numbers.size for pair in step[:2] for numbers in pair):
            return None
        wide.append([Affine(*(np.resize(numbers, count) for numbers in a)) for a in step[:2]])
    return composed([affine for affine, _ in wide], [off for _, off in wide])


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


def behind(layer: Weighted, step: Step) -> Weighted | None:
    """The layer with a step on its outputs: a constant that is added goes into the bias, a factor
    into the weights where these are floats. Integers stay as they are, and the step stands behind
    them. None where its numbers are not one, or one an output."""
    outputs = layer.shape[:1]
    if any(each.size not in (1, *outputs) for each in step.affine):
        return None
    affine, off = (Affine(*(np.broadcast_to(n, outputs) for n in a)) for a in step[:2])
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


def exact(affine: Affine) -> Step:
    """A step of constants that were not rounded."""
    return Step(affine, Affine(*(np.zeros(len(numbers)) for numbers in affine)))


def normalised(
    gamma: Doubles, beta: Doubles, mean: Doubles, variance: Doubles, epsilon: float
) -> Affine:
    """A batch normalisation, of (channels,) numbers each."""
    factor = gamma / np.sqrt(variance + epsilon)
    return Affine(factor, beta - mean * factor)


def step_of(operator: str, constants: Doubles, half: Doubles, *, first: bool) -> Step | None:
    """x + c ("Add"), x - c or c - x ("Sub"), x * c ("Mul") or x / c ("Div"), and how far rounding
    of c by `half` moves it; `first`: x stands first. None for c / x."""
    one, zero = np.ones(constants.shape), np.zeros(constants.shape)
    match operator:
        case "Add":
            return Step(Affine(one, constants), Affine(zero, half))
        case "Sub":
            made = Affine(one, -constants) if first else Affine(-one, constants)
            return Step(made, Affine(zero, half))
        case "Mul":
            return Step(Affine(constants, zero), Affine(half, zero))
        case "Div" if first and constants.all():
            return Step(Affine(1 / constants, zero), Affine(half / constants**2, zero))
        case _:
            return None
