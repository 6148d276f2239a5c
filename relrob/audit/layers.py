"""One layer of the quantised network against its layer of the reference, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.audit.matching import UNLIKE, Match
from relrob.audit.rounding import FOLDED, Rescaled, Rounding, moved, rescaled, rounding, unfit
from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.networks.weighted import Weighted

# Weights of a layer that may be wrong before the layer is: this many, or this share.
FEW: Final = 8
SHARE: Final = 0.01
# Errors that stand in so few of the rows, and fill so much of them, are those of these rows.
_ROWS: Final = 0.25
_FULL: Final = 0.2
# Steps of its own that a bias may be away: it may be rounded twice.
_BIAS: Final = 0.6
# Float32 roundings of a bias that was copied, and of one into which constants were folded.
_COPIED: Final = 2.0**-21
_CONSTANTS: Final = 2e-5


@dataclass(frozen=True, eq=False)
class Compared:
    """A layer and its partner.

    `found`: the errors of the weights. `scales`: groups with a wrong scale; `unfit`: those of
    roundings by a scale that is too small, and by one that is too large; `moved`: groups whose
    weights have a wrong zero point, by how many steps. `left` (out, fan): errors beyond rounding
    that neither explains. `bias` (out,): difference of the biases as reals, None where one has
    none; `bias_beyond` (out,): more than rounding.
    """

    match: Match
    found: Rounding
    scales: Rescaled
    unfit: tuple[Ints, Ints]
    moved: tuple[Ints, Ints]
    left: Bools
    bias: Doubles | None
    bias_beyond: Bools

    @property
    def wide(self) -> bool:
        """Are more weights wrong than a few?"""
        count = int(self.left.sum())
        return count > FEW and count > SHARE * self.left.size

    @property
    def resembles(self) -> bool:
        """Is it another state of the reference's layer, and not a few rows of it alone?"""
        if not self.wide or self.learned or self.unlike:
            return False
        rows = np.flatnonzero(self.left.any(axis=1))
        return bool(len(rows) > _ROWS * len(self.left) or self.left[rows].mean() <= _FULL)

    @property
    def unlike(self) -> bool:
        """Has it nothing to do with the reference's?"""
        return self.match.cosine < UNLIKE

    @property
    def learned(self) -> bool:
        """Is every weight within one step, as rounding that was learned leaves it?"""
        return bool(np.abs(self.found.errors[self.left]).max(initial=0.0) <= 1.0 + FOLDED)

    @property
    def bias_wide(self) -> bool:
        """Do most biases differ?"""
        count = int(self.bias_beyond.sum())
        return count > max(3, 0.25 * self.bias_beyond.size)


def compared(match: Match) -> Compared:
    """The comparison of a match."""
    ours, theirs = match.reference, match.quantised
    found = rounding(ours, theirs)
    scales, shifts = rescaled(ours, theirs, found), moved(ours, theirs, found)
    left = found.beyond
    if theirs.stored is not None:
        explained = np.concatenate([scales.groups, shifts[0]])
        left = left & ~np.isin(theirs.stored.groups, explained)
    difference = _bias_difference(ours, theirs)
    return Compared(
        match,
        found,
        scales,
        unfit(ours, theirs, found),
        shifts,
        left,
        difference,
        _bias_beyond(ours, theirs, difference),
    )


def _bias_difference(ours: Weighted, theirs: Weighted) -> Doubles | None:
    if ours.bias is None and theirs.bias is None:
        return None
    zeros = np.zeros(ours.shape[0])
    one, other = (zeros if layer.bias is None else layer.bias for layer in (ours, theirs))
    return other - one


def _bias_beyond(ours: Weighted, theirs: Weighted, difference: Doubles | None) -> Bools:
    """Biases that differ by more than half a step of their own and the roundings of float32."""
    if difference is None:
        return np.zeros(ours.shape[0], bool)
    step = np.zeros(ours.shape[0]) if theirs.bias_steps is None else theirs.bias_steps
    if ours.bias_steps is not None:
        step = step + ours.bias_steps
    wanted = np.zeros(ours.shape[0]) if ours.bias is None else ours.bias
    relative = _CONSTANTS if ours.folded or theirs.folded else _COPIED
    if theirs.scheme == "float16" and theirs.bias_steps is None:
        relative = 2.0**-10
    largest = np.abs(wanted).max(initial=0.0)
    beyond: Bools = np.abs(difference) > _BIAS * step + relative * max(largest, 1e-3)
    return beyond


def row(one: Compared) -> dict[str, Any]:
    """The numbers of a layer, as JSON holds them."""
    match, found = one.match, one.found
    theirs, stored = match.quantised, match.quantised.stored
    return {
        "layer": theirs.label,
        "reference": match.reference.label,
        "inputs": theirs.shape[1],
        "outputs": theirs.shape[0],
        "scheme": theirs.scheme,
        "scales": None if stored is None else _ends(stored.scales),
        "zero_points": None if stored is None else _ends(stored.zeros),
        "largest_error": round(found.largest, 4),
        "rms_error": round(found.rms, 4),
        "cosine": round(match.cosine, 6),
        "beyond_rounding": int(found.beyond.sum()),
        "saturated": round(float(found.saturated.mean()), 6),
        "dead": round(float(found.dead.mean()), 6),
        "biases_beyond_rounding": int(one.bias_beyond.sum()),
        "largest_bias_error": None if one.bias is None else _float(np.abs(one.bias).max()),
        "folded": match.reference.folded or theirs.folded,
        **{
            name: None
            if codes is None
            else {
                "scale": codes.scale,
                "zero_point": codes.zero,
                "range": [codes.bottom, codes.top],
            }
            for name, codes in (("input", theirs.given), ("output", theirs.result))
        },
    }


def _ends(values: Doubles | Ints) -> list[float]:
    return [_float(values.min()), _float(values.max())]


def _float(value: Any) -> float:
    return float(f"{float(value):.6g}")
