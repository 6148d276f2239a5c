"""Steps that stand before or behind the weights of a quantised layer in its own file, against those
of the reference: each is in the weights or stands, and never both.

A layer computes `behind(weights(before(x)) + bias)`. Where the quantised file keeps steps of its
own, its weights must hold what is left of the reference's: `behind` of the reference less that of
the file, and `before` likewise. Every format whose reader tells these steps is compared so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from relrob.domain.arrays import Bools, Doubles
from relrob.networks.folds import forms
from relrob.networks.steps import composed
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
    left = (
        *(step for step, _ in form.earlier),
        *(form.before if known else ()),
        *(form.after if theirs.after else ()),
    )
    return tuple(step for step in left if places([step]))


def places(steps: Sequence[Affine]) -> int:
    """The number of inputs or outputs on which steps do something, of the step with the most."""
    # Groups of outputs read different channels in one column.
    moves = (np.atleast_2d(_moves(step)) for step in steps)
    return max(
        (int((each.any(axis=0) if min(each.shape) > 1 else each).sum()) for each in moves),
        default=0,
    )


def _moves(step: Affine) -> Bools:
    """Where a step does more than rounding does."""
    moves: Bools = (np.abs(step.factor - 1) > _SAME) | (step.shift != 0)
    return moves


def left_in(ours: Weighted, theirs: Weighted) -> Weighted:
    """The reference's layer with only those steps that do not stand in the quantised file."""
    if theirs.after:
        bare = ours if ours.bare is None else ours.bare
        rest = _behind(composed(ours.behind)[0], *composed(theirs.after, theirs.after_off))
        ours = replace(
            ours,
            values=bare.values,
            stored=bare.stored,
            bias=bare.bias,
            bias_steps=bare.bias_steps,
            folded=bare.folded,
            after=rest,
        )
    start = _start(ours, theirs)
    ours = replace(ours, earlier=tuple(_other_earlier(ours, theirs, start)))
    if not (ours.known and theirs.known and theirs.before):
        return ours
    steps, off = theirs.before[start:], theirs.before_off[start:]
    stands, far = composed(steps, off)
    # What stands may be the first of the reference's steps; the others are in the weights.
    for count in range(len(ours.before), 0, -1):
        if not _before(composed(ours.before[:count])[0], stands, far):
            return _fed_by(ours, ours.before[count:])
    return _fed_by(ours, _before(composed(ours.before)[0], stands, far))


def _start(ours: Weighted, theirs: Weighted) -> int:
    """The number of steps in the file that stand before a ReLU which a quantiser took away: those
    behind it are the reference's."""
    starts = (0, *theirs.cuts)
    return next((n for n in starts if len(theirs.before) - n == len(ours.before)), 0)


def _other_earlier(ours: Weighted, theirs: Weighted, start: int) -> Iterator[tuple[Affine, Affine]]:
    """What is left of the steps before activations; nothing where those of the file are not known
    to stand for the same. `start`: the number of steps before the last activation that was taken
    away."""
    ends = [number for number in theirs.cuts if number <= start]
    cut = [
        composed(theirs.before[one:two], theirs.before_off[one:two])
        for one, two in itertools.pairwise([0, *ends])
    ]
    kept = ours.earlier[: len(ours.earlier) - len(cut)]
    lost = [ours.fed_by([step]).before for step, _ in ours.earlier[len(kept) :]]
    if len(lost) < len(cut) or not all(lost):
        return
    traced = ours.traced and theirs.traced and (start in theirs.cuts or not theirs.cuts)
    beside = _beside([step for step, _ in kept], theirs.earlier, traced=traced)
    if beside is None:
        return
    mine = [*(step for step, _ in kept), *(step for (step,) in lost)]
    for one, (other, off) in zip(mine, (*beside, *cut), strict=True):
        yield from ((step, off) for step in _before(one, other, off))


def _beside(
    ours: Sequence[Affine], theirs: Sequence[tuple[Affine, Affine]], *, traced: bool
) -> list[tuple[Affine, Affine]] | None:
    """For each step of the reference that of the file, and one that does nothing where the file
    has fewer; None where it has more, or steps of other channels. `traced`: are all of both read?
    Else the file must have as many."""
    if len(theirs) > len(ours) or (len(theirs) < len(ours) and not traced):
        return None
    nothing = Affine(np.ones(1), np.zeros(1)), Affine(np.zeros(1), np.zeros(1))
    waiting, found = list(theirs), list[tuple[Affine, Affine]]()
    for place, one in enumerate(ours):
        spare = len(ours) - place - len(waiting)
        left_out = not waiting or (spare > 0 and not _same(one, *waiting[0]))
        found.append(nothing if left_out else waiting.pop(0))
    fit = all(
        each is nothing or _size(one) == _size(each[0])
        for one, each in zip(ours, found, strict=True)
    )
    return found if fit else None


def _same(one: Affine, other: Affine, off: Affine) -> bool:
    """Do two steps of as many channels do the same but for rounding?"""
    return _size(one) == _size(other) and not _before(one, other, off)


def _size(step: Affine) -> int:
    """The number of channels of a step, 1 for all."""
    return max(len(each) for each in step)


def _fed_by(layer: Weighted, before: tuple[Affine, ...]) -> Weighted:
    bare = None if layer.bare is None else replace(layer.bare, before=before)
    return replace(layer, before=before, bare=bare)


def _before(ours: Affine, theirs: Affine, off: Affine) -> tuple[Affine, ...]:
    """What `ours` does to the value that `theirs` gives."""
    factors, shifts = map(_near, ours, theirs, off)
    if factors.all() and shifts.all():
        return ()
    factor = np.where(factors, 1.0, _quotient(ours.factor, theirs.factor))
    scaled = theirs.shift * factor
    same = _near(ours.shift, scaled, off.shift * np.abs(factor))
    return (Affine(factor, np.where(same, 0.0, ours.shift - scaled)),)


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
