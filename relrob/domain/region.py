"""Regions: sets of perturbed images around an image, as values (ladder.md)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from relrob.errors import RegionError


@dataclass(frozen=True)
class Ladder:
    """The complete and covering ladder: { x moved on S : S a subset of the features, cost of S <= radius }.

    `radius` and `step` in pixel units (1 = black to white), exact; `features`: how many of the most salient groups, None = all;
    `axes`: pixels (or channels) in a group. `seed` is recorded; the ladder itself draws nothing at random.
    Source: Duncan et al. 2020, Sec. II-C, as ladder.md defines it.

    >>> Ladder(radius=Fraction(20), step=Fraction(1, 4)).features
    20
    """

    radius: Fraction
    step: Fraction
    features: int | None = 20
    axes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise RegionError(f"radius {float(self.radius):g}", "a number above 0", "--radius 20")
        if not 0 < self.step <= 1:
            raise RegionError(f"step {float(self.step):g}", "a number in (0, 1]", "--step 0.25")
        if self.features is not None and self.features < 1:
            raise RegionError(f"features {self.features}", "a whole number above 0, or all", "--features 20")
        if self.axes < 1:
            raise RegionError(f"axes {self.axes}", "a whole number above 0", "--axes 10")

    @property
    def kind(self) -> str:
        """The region's name on the command line."""
        return "ladder"
