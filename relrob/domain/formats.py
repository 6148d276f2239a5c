"""Number formats of compressed networks as pure functions: fixed point Q(w, p), the levels of
DoReFa, and additive powers of two (APoT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Ints, read_only
from relrob.errors import UsageError

Numbers = NDArray[Any]
# The widths that float64 holds exactly.
WIDTHS: Final = (2, 32)
# The terms of APoT's sums for magnitudes of B bits, as in the authors' code. The sums are divided
# by the largest.
_TERMS: Final[dict[int, tuple[tuple[float, ...], ...]]] = {
    1: ((0.0, 1.0),),
    2: ((0.0, 1 / 2, 1 / 4, 1 / 8),),
    3: ((0.0, 1 / 2, 1 / 4, 1 / 16), (0.0, 1 / 8)),
    4: ((0.0, 1 / 2, 1 / 8, 1 / 32), (0.0, 1 / 4, 1 / 16, 1 / 64)),
}


@dataclass(frozen=True)
class FixedFormat:
    """Two's complement of `width` bits, `point` of them before the point, the sign among these:
    Zhao et al. 2018, section 4.2, as the authors' quantiser (Mayo) reads it.

    `width` 2 to 32, `point` 1 to `width`. Raises UsageError.

    >>> FixedFormat(4, 1).quantised(np.array([-5.0, 5.0, 0.0625, 0.1875, 0.0626])).tolist()
    [-1.0, 0.875, 0.0, 0.25, 0.125]
    """

    width: int
    point: int

    def __post_init__(self) -> None:
        least, most = WIDTHS
        if not (least <= self.width <= most and 1 <= self.point <= self.width):
            raise UsageError(
                f"fixed point of {self.width} bits, {self.point} before the point",
                f"{least} to {most} bits, 1 to all of them before the point",
                "q:8:2",
            )

    @property
    def fraction(self) -> int:
        """Bits after the point."""
        return self.width - self.point

    @property
    def step(self) -> float:
        """The distance of two neighbours, a power of two."""
        return 2.0**-self.fraction

    @property
    def lowest(self) -> int:
        """The least code."""
        return -(1 << (self.width - 1))

    @property
    def highest(self) -> int:
        """The largest code."""
        return (1 << (self.width - 1)) - 1

    def codes(self, values: Numbers) -> Ints:
        """The codes of values of any shape: round(x 2^fraction), halves to even, saturated."""
        scaled = np.rint(np.asarray(values, np.float64) * 2.0**self.fraction)
        return np.asarray(np.clip(scaled, self.lowest, self.highest), dtype=np.int64)

    def quantised(self, values: Numbers) -> Doubles:
        """The values that the codes stand for, exact in float64."""
        return np.asarray(self.codes(values) * self.step, np.float64)


def uniform(values: Numbers, bits: int) -> Doubles:
    """Values in [0, 1] at the nearest of 2^bits levels, halves to even: `quantize_k` of Zhou et al.
    2016 (DoReFa), equation 5.

    >>> uniform(np.array([0.5, 1.0]), 2).round(4).tolist()
    [0.6667, 1.0]
    """
    steps = 2**bits - 1
    return np.asarray(np.rint(np.asarray(values, np.float64) * steps) / steps, np.float64)


def power_levels(bits: int) -> Doubles:
    """The levels of APoT for magnitudes of `bits` bits, ascending from 0 to 1: Li et al. 2020,
    section 3.1, as the authors' code sums them. Raises UsageError for other than 1 to 4 bits.

    >>> power_levels(3).tolist()
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
    """
    if bits not in _TERMS:
        raise UsageError(f"APoT magnitudes of {bits} bits", ", ".join(map(str, _TERMS)))
    sums = np.zeros(1)
    for terms in _TERMS[bits]:
        sums = (sums[:, None] + np.array(terms)[None]).reshape(-1)
    ordered = np.unique(sums)
    return read_only(ordered / ordered[-1])


def nearest(values: Numbers, levels: Doubles) -> Doubles:
    """Each value at the nearest of some ascending levels; the lower one where two are as near.

    >>> nearest(np.array([0.1, 0.75, 3.0]), power_levels(2)).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(levels[np.searchsorted(middles(levels), values, side="left")])


def middles(levels: Doubles) -> Doubles:
    """The values half-way between neighbours, one fewer than the levels."""
    return np.asarray((levels[1:] + levels[:-1]) / 2)
