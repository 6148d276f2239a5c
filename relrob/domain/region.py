"""Regions: sets of perturbed images around an image, as values (docs/regions.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Final

from relrob.errors import RegionError

_LARGEST: Final = 10**45
# Below the smallest float32 above 0.
_SMALLEST: Final = Fraction(1, _LARGEST)


def _shown(value: Fraction) -> str:
    """The number as a message shows it, also where no float holds it."""
    return (
        f"{float(value):g}"
        if abs(value) <= _LARGEST
        else f"of more than {_LARGEST:.0e} in magnitude"
    )


@dataclass(frozen=True)
class Ladder:
    """The complete and covering ladder: { x moved on S : S a set of features, cost of S <= radius
    }.

    `radius`, `step`: exact, in pixel units (1 = black to white); `features`: number of the most
    salient groups, None for all; `axes`: pixels (or channels) in a group; `seed`: recorded, though
    a ladder draws nothing at random. Source: Duncan et al. 2020, Sec. II-C;
    docs/regions.md, "The ladder".

    >>> Ladder(radius=Fraction(20), step=Fraction(1, 4)).features
    20
    """

    radius: Fraction
    step: Fraction
    features: int | None = 20
    axes: int = 10
    seed: int = 0
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise RegionError(f"radius {_shown(self.radius)}", "a number above 0", "--radius 20")
        if not 0 < self.step <= 1:
            raise RegionError(f"step {_shown(self.step)}", "a number in (0, 1]", "--step 0.25")
        if not (_SMALLEST <= self.radius <= _LARGEST and self.step >= _SMALLEST):
            raise RegionError(
                "a radius or a step out of all proportion to pixels", "1e-45 to 1e45", "--radius 20"
            )
        if self.features is not None and self.features < 1:
            raise RegionError(
                f"features {self.features}", "a whole number above 0, or all", "--features 20"
            )
        if self.axes < 1:
            raise RegionError(f"axes {self.axes}", "a whole number above 0", "--axes 10")

    @property
    def kind(self) -> str:
        """The region's name on the command line."""
        return "ladder"


@dataclass(frozen=True)
class Search:
    """The images that the founding paper's own search looks at (Duncan et al. 2020): a seeded tree
    search over all features. It proves nothing.

    `radius`, `step`, `axes`: as in `Ladder`.
    `rollouts`: random walks from each new set of features.
    `evaluations`: the search ends after the round that reaches so many.
    `strict`: images beyond the radius are left out; the original keeps them.
    `misclassified`: images that the reference gets wrong are searched too, around its own label.
    `repick`: features of colour images overlap as the original's do.
    `ladder`: all features within the radius.

    >>> Search(radius=Fraction(20), step=Fraction(1, 4)).evaluations
    6000
    """

    radius: Fraction
    step: Fraction
    axes: int = 10
    rollouts: int = 5
    evaluations: int = 6000
    seed: int = 0
    strict: bool = False
    misclassified: bool = False
    repick: bool = False
    ladder: Ladder = field(init=False, repr=False, compare=False)
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ladder", Ladder(self.radius, self.step, None, self.axes))
        for name, value in (("rollouts", self.rollouts), ("evaluations", self.evaluations)):
            if value < 1:
                raise RegionError(
                    f"{name} {value}",
                    "a whole number above 0",
                    f"--{name} {6000 if name[0] == 'e' else 5}",
                )

    @property
    def kind(self) -> str:
        """The region's name on the command line."""
        return "search"


class Norm(StrEnum):
    """The distance of two images: the sum, the root of the sum of squares, the largest, or the
    number of differences."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"
    L0 = "l0"


def _check_radius(radius: Fraction) -> None:
    if radius <= 0:
        raise RegionError(f"radius {_shown(radius)}", "a number above 0", "--radius 0.1")
    if not _SMALLEST <= radius <= _LARGEST:
        raise RegionError(
            "a radius out of all proportion to pixels", "1e-45 to 1e45", "--radius 0.1"
        )


@dataclass(frozen=True)
class Ball:
    """All float32 images in [0,1]^n within `radius` of an image, both as a network is fed them.

    `radius`: in pixel units (1 = black to white) for L1, L2 and L-infinity; a whole number of
    pixels for L0. The distance is exact.

    >>> Ball(Norm.LINF, Fraction(4, 255)).kind
    'linf'
    """

    norm: Norm
    radius: Fraction
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_radius(self.radius)
        if self.norm is Norm.L0 and self.radius.denominator != 1:
            raise RegionError(
                f"radius {_shown(self.radius)} of an l0 ball",
                "a whole number of pixels",
                "--radius 3",
            )

    @property
    def kind(self) -> str:
        """The region's name on the command line."""
        return self.norm.value


@dataclass(frozen=True)
class Lattice:
    """The points of the L1 ball on a grid: { clip(x + step k) : k integers, L1 change <= radius }.

    `radius`, `step`: exact. A network is fed the float32 nearest to each moved pixel.
    """

    radius: Fraction
    step: Fraction
    norm: ClassVar[Norm] = Norm.L1
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_radius(self.radius)
        if not 0 < self.step <= 1:
            raise RegionError(f"step {_shown(self.step)}", "a number in (0, 1]", "--step 0.25")

    @property
    def kind(self) -> str:
        """The region's name on the command line."""
        return "lattice"


# The regions that solvers decide. Where they are `joint`, points are counted, on both networks at
# once (`relrob.regions.points`).
Decided = Ladder | Ball | Lattice
# The regions that a run can ask about.
Region = Decided | Search


@dataclass(frozen=True)
class Facts:
    """Facts of a kind of region, from which the options that it has and the words about it follow.

    `images`: all its images in words, "" where the kind's name is enough; `unit`: what a radius is
    measured in. `stepped`: it has a step. `counted`: it is finite, and its points are counted.
    `decided`: solvers decide it. `certified`: there are rules for certificates. `exported`: its
    questions can be written as SMT-LIB. `nested`: critical radii can be sought.
    """

    images: str
    unit: str
    stepped: bool = False
    counted: bool = False
    decided: bool = True
    certified: bool = True
    exported: bool = True
    nested: bool = False


# Every kind, as users type it.
KINDS: Final[Mapping[str, Facts]] = {
    "ladder": Facts("", "ladder, L1", stepped=True, counted=True, nested=True),
    "search": Facts(
        "",
        "search, L1",
        stepped=True,
        counted=True,
        decided=False,
        certified=False,
        exported=False,
    ),
    "lattice": Facts("every point of the L1 ball on a lattice", "lattice, L1", stepped=True),
    Norm.L1.value: Facts("every float32 image of the L1 ball", "L1", nested=True),
    Norm.L2.value: Facts(
        "every float32 image of the L2 ball", "L2", certified=False, exported=False, nested=True
    ),
    Norm.LINF.value: Facts("every float32 image of the L-infinity ball", "L-infinity", nested=True),
    Norm.L0.value: Facts("every float32 image of the L0 ball", "L0", exported=False),
}
# The kinds whose critical radii can be sought.
NESTED: Final = tuple(kind for kind, facts in KINDS.items() if facts.nested)
