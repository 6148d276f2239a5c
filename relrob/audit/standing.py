"""Steps that stand before or behind the weights of a quantised layer in its own file, against those
of the reference: each is in the weights or stands, and never both.

A layer computes `behind(weights(before(x)) + bias)`. Where the quantised file keeps steps of its
own, its weights must hold what is left of the reference's: `behind` of the reference less that of
the file, and `before` likewise. Every format whose reader tells these steps is compared so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from relrob.domain.arrays import Bools, Doubles
from relrob.networks.folds import forms
from relrob.networks.weighted import Affine, Weighted

# The share by which constants differ that two programs computed in float32 from the same ones.
_SAME: Final = 1e-4


def written(ours: Weighted, theirs: Weighted) -> Iterator[Weighted]:
    """The forms of the reference's layer `ours` that the weights of `theirs` may have, which hold
    none of the steps that stand in the file of `theirs`. What a form leaves undone is in its
    `before` and `after`."""
    return forms(left_in(ours, theirs))


def undone(form: Weighted, theirs: Weighted) -> tuple[Affine, ...]:
    """The steps of the reference that the weights of `theirs`, compared in this form of `written`,
    do not hold, and that do not stand in its file as they are; () where both compute the same, and
    where a reader does not tell all steps."""
    known = form.known and theirs.known
    left = (*(form.before if known else ()), *(form.after if theirs.after else ()))
    return tuple(step for step in left if places([step]))


def places(steps: Sequence[Affine]) -> int:
    """The number of inputs or outputs on which steps do something, of the step with the most."""
    return max((int(np.sum(_moves(step))) for step in steps), default=0)


def _moves(step: Affine) -> Bools:
    """Where a step does more than rounding does."""
    moves: Bools = (np.abs(step.factor - 1) > _SAME) | (step.shift != 0)
    return moves


def left_in(ours: Weighted, theirs: Weighted) -> Weighted:
    """The reference's layer with only those steps that do not stand in the quantised file."""
    if theirs.after:
        bare = ours if ours.bare is None else ours.bare
        rest = _behind(_composed(ours.behind), *_rounded(theirs.after, theirs.after_off))
        ours = replace(
            ours,
            values=bare.values,
            stored=bare.stored,
            bias=bare.bias,
            bias_steps=bare.bias_steps,
            folded=bare.folded,
            after=rest,
        )
    if not (ours.known and theirs.known and theirs.before):
        return ours
    # Of steps on either side of a ReLU that was taken away, those behind it are the reference's.
    starts = (0, *theirs.cuts)
    start = next((n for n in starts if len(theirs.before) - n == len(ours.before)), 0)
    steps, off = theirs.before[start:], theirs.before_off[start:]
    stands, far = _rounded(steps, off)
    # What stands may be the first of the reference's steps; the others are in the weights.
    for count in range(len(ours.before), 0, -1):
        if not _before(_composed(ours.before[:count]), stands, far):
            return _fed_by(ours, ours.before[count:])
    return _fed_by(ours, _before(_composed(ours.before), stands, far))


def _fed_by(layer: Weighted, before: tuple[Affine, ...]) -> Weighted:
    bare = None if layer.bare is None else replace(layer.bare, before=before)
    return replace(layer, before=before, bare=bare)


def _composed(steps: Sequence[Affine]) -> Affine:
    """Steps as one."""
    return _rounded(steps, ())[0]


def _rounded(steps: Sequence[Affine], off: Sequence[Affine]) -> tuple[Affine, Affine]:
    """Steps as one, and how far rounding may have moved its numbers; `off`: that of each step, ()
    for none."""
    factor, shift, far, moved = np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1)
    nothing = Affine(np.zeros(1), np.zeros(1))
    for step, one in zip(steps, off or [nothing] * len(steps), strict=True):
        moved = moved * np.abs(step.factor) + np.abs(shift) * one.factor + one.shift
        far = far * np.abs(step.factor) + np.abs(factor) * one.factor
        factor, shift = factor * step.factor, shift * step.factor + step.shift
    return Affine(factor, shift), Affine(far, moved)


def _before(ours: Affine, theirs: Affine, off: Affine) -> tuple[Affine, ...]:
    """What `ours` does to the value that `theirs` gives."""
    factors, shifts = map(_near, ours, theirs, off)
    if factors.all() and shifts.all():
        return ()
    factor = np.where(factors, 1.0, _quotient(ours.factor, theirs.factor))
    shift = np.where(factors & shifts, 0.0, ours.shift - theirs.shift * factor)
    return (Affine(factor, shift),)


def _behind(ours: Affine, theirs: Affine, off: Affine) -> tuple[Affine, ...]:
    """What must be done before `theirs`, that it gives what `ours` gives."""
    factors, shifts = map(_near, ours, theirs, off)
    if factors.all() and shifts.all():
        return ()
    factor = np.where(factors, 1.0, _quotient(ours.factor, theirs.factor))
    moved = ours.shift - theirs.shift
    divisor = np.where(theirs.factor == 0, 1.0, theirs.factor)
    return (Affine(factor, np.where(shifts, 0.0, moved / divisor)),)


def _quotient(one: Doubles, other: Doubles) -> Doubles:
    """One over the other; 0 where a channel is gone."""
    quotient: Doubles = np.where(other == 0, 0.0, one / np.where(other == 0, 1.0, other))
    return quotient


def _near(one: Doubles, other: Doubles, off: Doubles) -> Bools:
    """Are numbers the same but for rounding?"""
    size = np.abs(one).max(initial=0.0)
    near: Bools = np.abs(one - other) <= off * (1 + _SAME) + _SAME * size
    return near
