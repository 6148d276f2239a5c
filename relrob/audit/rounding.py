"""Is a matrix of integers a rounding of a matrix of reals, and where is it not?

A quantiser divides a weight w by a scale s and rounds to an integer q: |q - w/s| <= 1/2, or q is an
end of the codes and w/s lies beyond it. Both hold whatever the quantiser does with halves, with the
lowest code, or with weights beyond a percentile. So all weights under one scale bound 1/s from both
sides: (q - 1/2)/w <= 1/s <= (q + 1/2)/w for w > 0. Weights that were rounded with another scale
than the file's leave an interval that is not empty and does not hold 1/s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.networks.weighted import Stored, Weighted

HALF: Final = 0.5
# Scales and reals are float32: an error of 2^-23 of a code of up to 2^8, and as much for a rounding
# to a half; a folded normalisation adds the roundings of its constants.
PLAIN: Final = 1e-3
FOLDED: Final = 5e-3
# Scales of all groups that follow one rule agree to this.
AGREE: Final = 1e-4
# Share of the groups of a layer that agree on the rule.
MOST: Final = 0.8
# A scale of 8 bits is too small where so large a share of its weights is cut off, and those that
# are left have a cosine below this with the reference's; it is too large where it is so many times
# that of the rule. Percentiles cut off 1 %, and cutting at half of the largest weight leaves 0.99.
_CUT: Final = 0.1
_TURNED: Final = 0.97
_COARSE: Final = 4.0
_TINY: Final = 0.05


@dataclass(frozen=True, eq=False)
class Rounding:
    """The weights of a layer against those of the reference, in units of the step.

    `errors` (out, fan): quantised less reference. `beyond` (out, fan): an error that no rounding
    leaves, as it is above half a step and a tolerance. `saturated` (out, fan): the code is an end
    of its range. `dead` (out, fan): weights that became 0 and were not.
    """

    errors: Doubles
    beyond: Bools
    saturated: Bools
    dead: Bools

    @property
    def largest(self) -> float:
        """The largest error outside the ends of the codes."""
        inside = np.abs(self.errors[~self.saturated | self.beyond])
        return float(inside.max(initial=0.0))

    @property
    def rms(self) -> float:
        """The root of the mean squared error."""
        return float(np.sqrt(np.mean(self.errors**2)))


def rounding(reference: Weighted, quantised: Weighted) -> Rounding:
    """The comparison of two layers whose weights stand in the same order."""
    steps = steps_of(quantised)
    wanted = reference.values / steps
    errors = quantised.values / steps - wanted
    tolerance = FOLDED if reference.folded or quantised.folded else PLAIN
    allowed = np.full(errors.shape, HALF + tolerance)
    if reference.stored is not None:
        # The reference is rounded itself.
        allowed += HALF * np.abs(reference.stored.steps / steps)
    stored = quantised.stored
    saturated = np.zeros(errors.shape, bool)
    free = saturated
    if stored is not None:
        high, low = stored.codes == stored.most, stored.codes <= lowest(stored)
        saturated = high | low
        free = (high & (errors < 0)) | (low & (errors > 0))
    return Rounding(
        errors,
        (np.abs(errors) > allowed) & ~free,
        saturated,
        (quantised.values == 0) & (reference.values != 0),
    )


def lowest(stored: Stored) -> int:
    """The lowest code in use: quantisers may leave the lowest of a symmetric range out."""
    narrow = stored.least + 1
    return narrow if stored.least < 0 and not (stored.codes == stored.least).any() else stored.least


def steps_of(layer: Weighted) -> Doubles:
    """The distance between two neighbouring weights that the file can hold (out, fan)."""
    if layer.stored is not None:
        # A scale below 0 turns the codes round.
        steps = layer.stored.steps
        tiny = np.finfo(np.float32).tiny
        return np.where(np.abs(steps) > tiny, steps, tiny)
    size = np.abs(layer.values)
    if layer.scheme == "float16":
        # 11 bits, and 2^-24 below the normal numbers; a rounding is at most half of that.
        return np.maximum(2.0 ** np.floor(np.log2(np.maximum(size, 2.0**-14))) * 2.0**-10, 2.0**-24)
    # Float weights are copied, or multiplied by a normalisation in float32.
    largest = size.max(axis=1, keepdims=True)
    return np.broadcast_to(np.maximum(largest * 2e-5, np.finfo(np.float32).tiny), size.shape)


@dataclass(frozen=True, eq=False)
class Rescaled:
    """Groups of weights that another scale explains: `groups`, and the `factors` by which the
    file's scales are too large."""

    groups: Ints
    factors: Doubles


def rescaled(reference: Weighted, quantised: Weighted, found: Rounding) -> Rescaled:
    """The groups with errors beyond rounding that one other scale for each makes a rounding.

    A group of one error is told by the scales of the other groups: where these follow one rule
    (scale times largest code = largest weight times a constant), a scale that does not is wrong.
    """
    stored = quantised.stored
    nothing = Rescaled(np.zeros(0, np.int64), np.zeros(0))
    rounded = reference.stored is not None
    if stored is None or rounded or not found.beyond.any() or (stored.scales <= 0).any():
        return nothing
    low, high = _intervals(reference.values, stored, found.saturated)
    count = len(stored.scales)
    bad = np.bincount(stored.groups[found.beyond], minlength=count)
    size = np.bincount(stored.groups.ravel(), minlength=count)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.where(np.isfinite(high), (low + high) / 2, low)
        factors = stored.scales * middle
    off = _against_rule(reference.values, stored)
    several = (bad >= 2) & (bad > 0.02 * size)
    chosen = (bad > 0) & (low <= high) & (low > 0) & (several | off)
    groups = np.flatnonzero(chosen)
    return Rescaled(groups, factors[groups])


def _intervals(wanted: Doubles, stored: Stored, saturated: Bools) -> tuple[Doubles, Doubles]:
    """The bounds on 1/scale of each group that its weights give; an end of the codes bounds from
    below alone."""
    count, codes = len(stored.scales), stored.centred.astype(np.float64)
    sign = np.where(wanted < 0, -1.0, 1.0)
    size, code = np.abs(wanted), codes * sign
    keep = size > 0
    slack = HALF + FOLDED
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = np.where(keep, (code - slack) / size, -np.inf)
        above = np.where(keep & ~(saturated & (code > 0)), (code + slack) / size, np.inf)
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(low, stored.groups.ravel(), below.ravel())
    np.minimum.at(high, stored.groups.ravel(), above.ravel())
    return low, high


def largest_of(stored: Stored, values: NDArray[Any]) -> Doubles:
    """The largest size of the values (out, fan) of each group, 0 where there are none."""
    sizes, groups = np.abs(values), stored.groups
    # Where a row is of one group, as nearly always, its largest value stands for it.
    if groups.shape[1] and (groups == groups[:, :1]).all():
        sizes, groups = sizes.max(axis=1), groups[:, 0]
    found = np.zeros(len(stored.scales))
    np.maximum.at(found, groups.ravel(), sizes.ravel())
    return found


def _against_rule(wanted: Doubles, stored: Stored) -> Bools:
    """The groups whose scale breaks the rule that most groups of the layer follow."""
    count = len(stored.scales)
    largest = largest_of(stored, wanted)
    usual = largest > largest.max() * 1e-6
    if usual.sum() < 4:
        return np.zeros(count, bool)
    ratio = np.where(usual, stored.scales / np.where(usual, largest, 1.0), 0.0)
    middle = float(np.median(ratio[usual]))
    follows = np.abs(ratio / middle - 1) < AGREE
    if follows[usual].mean() < MOST:
        return np.zeros(count, bool)
    off: Bools = usual & ~follows
    return off


def unfit(reference: Weighted, quantised: Weighted, found: Rounding) -> tuple[Ints, Ints]:
    """The groups of 8 bits whose scale is too small for the reference's weights, so that most are
    cut off, and those whose scale is far too large beside the rule of the others: all of them are
    roundings."""
    stored = quantised.stored
    if stored is None or stored.most - stored.least < 254:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    groups, count = stored.groups.ravel(), len(stored.scales)
    wanted, given = reference.values.ravel(), quantised.values.ravel()

    def summed(values: NDArray[Any]) -> Doubles:
        return np.bincount(groups, values, minlength=count).astype(np.float64)

    cut = found.saturated & (np.abs(found.errors) > HALF + FOLDED)
    along = summed(wanted * given) / np.sqrt(
        np.maximum(summed(wanted**2) * summed(given**2), np.finfo(np.float64).tiny)
    )
    small = (summed(cut.ravel() & ~found.beyond.ravel()) > _CUT * summed(np.ones(groups.size))) & (
        along < _TURNED
    )
    reach = largest_of(stored, stored.centred)
    # Quantisers keep the scales of tiny weights above a bound of their own.
    largest = largest_of(stored, reference.values)
    large = _against_rule(reference.values, stored) & (_COARSE * reach < reach.max())
    large &= largest > _TINY * np.median(largest)
    return np.flatnonzero(small), np.flatnonzero(large)


def moved(reference: Weighted, quantised: Weighted, found: Rounding) -> tuple[Ints, Ints]:
    """The groups whose weights all lie a whole number of steps from the reference's, and these
    numbers: the zero point is wrong by them."""
    stored = quantised.stored
    if stored is None or not found.beyond.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    groups, shifts = [], []
    for group in np.unique(stored.groups[found.beyond]):
        inside = (stored.groups == group) & ~found.saturated
        errors = found.errors[inside]
        shift = float(np.rint(np.median(errors))) if len(errors) > 3 else 0.0
        if shift and (np.abs(errors - shift) <= HALF + FOLDED).mean() > 0.98:
            groups.append(int(group))
            shifts.append(int(shift))
    return np.array(groups, np.int64), np.array(shifts, np.int64)
