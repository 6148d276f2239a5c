"""The levels that a first layer makes of pixels where it quantises its input.

A level is known before anything runs only where features move as a whole, and where the maximum
that sets the step is the same at every point.
Source: docs/certificates.md, "How far a runtime strays".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from relrob.certificates.checking.reading.facts import LOOSE, Facts

# A level further off than this from a pixel may not be the one taken.
_HALF: Final = Fraction(1, 2) - Fraction(1, 2**11)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a ladder, or a ball: `pixels` (d,) where nothing free is moved; of each free
    feature its `axes`, the `change` of each of them, and its cost; and the `room` left. All exact.
    `whole`: a feature is moved wholly or not at all, and no pixel is in two of them."""

    pixels: list[Fraction]
    axes: list[list[int]]
    change: list[list[Fraction]]
    costs: list[Fraction]
    room: Fraction
    whole: bool = False

    def largest(self) -> list[Fraction]:
        """The largest value of each pixel."""
        found = list(self.pixels)
        for axes, moves in zip(self.axes, self.change, strict=True):
            for axis, move in zip(axes, moves, strict=True):
                found[axis] = max(found[axis], self.pixels[axis] + move)
        return found


def at_levels(region: Region, facts: Facts) -> tuple[Region, list[Fraction] | None]:
    """(the region in levels, the most by which the layer's own value of each pixel can differ from
    its level).

    The region as it is and None where levels are not known: features moved in part, or points of
    different maxima for a step that follows the maximum.
    """
    largest = _maximum(region) if facts.share else Fraction(0)
    if not region.whole or not facts.levels or largest is None or not (facts.share or facts.shift):
        return region, None
    taken = _Levels(facts, 2 * (facts.share * largest + facts.shift) / LOOSE)
    values, off = map(list, zip(*map(taken.of, region.pixels), strict=True))
    change = []
    for axes, moves in zip(region.axes, region.change, strict=True):
        moved = [
            taken.of(region.pixels[axis] + move) for axis, move in zip(axes, moves, strict=True)
        ]
        change.append([value - values[axis] for axis, (value, _) in zip(axes, moved, strict=True)])
        for axis, (_, doubt) in zip(axes, moved, strict=True):
            off[axis] = max(off[axis], doubt)
    return replace(region, pixels=values, change=change), off


class _Levels:
    """The level of each value, computed once."""

    def __init__(self, facts: Facts, step: Fraction) -> None:
        self._input_cap, self._step = facts.input_cap, step
        self._found: dict[Fraction, tuple[Fraction, Fraction]] = {}

    def of(self, value: Fraction) -> tuple[Fraction, Fraction]:
        """(the value taken, by how much another kernel's can differ)."""
        if value not in self._found:
            self._found[value] = self._computed(value)
        return self._found[value]

    def _computed(self, value: Fraction) -> tuple[Fraction, Fraction]:
        step = self._step
        value = value if self._input_cap is None else min(value, self._input_cap)
        if not step:
            return value, Fraction(0)
        level = round(value / step)
        if abs(value / step - level) > _HALF:
            return value, LOOSE * step / 2
        taken = level * step if self._input_cap is None else min(level * step, self._input_cap)
        return taken, LOOSE * (LOOSE - 1) * step if level > 0 else Fraction(0)


def _maximum(region: Region) -> Fraction | None:
    """The largest pixel if it is the same at every point: some pixel that no free feature moves has
    it, or not all that have it can be moved at once, and none is moved above it."""
    held = {axis for axes in region.axes for axis in axes}
    still = max(
        (pixel for axis, pixel in enumerate(region.pixels) if axis not in held), default=Fraction(0)
    )
    top = max(region.pixels, default=Fraction(0))
    if max(region.largest(), default=top) > top:
        return None
    lowered = [
        cost
        for axes, cost in zip(region.axes, region.costs, strict=True)
        if any(region.pixels[axis] == top for axis in axes)
    ]
    return top if still == top or sum(lowered) > region.room else None
