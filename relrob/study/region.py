"""The region that the user asked for, and how the summary describes it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.domain.region import Ball, Ladder, Lattice, Norm
from relrob.errors import UsageError
from relrob.regions.ball import ball_set
from relrob.regions.exact import nearest_8bit, parse_fraction
from relrob.regions.ladder import rung_set
from relrob.study.request import Request

KINDS = ("ladder", "lattice", *Norm)


def region_of(request: Request) -> Ladder | Ball | Lattice:
    """The region asked for. Raises RegionError or UsageError."""
    if request.region not in KINDS:
        raise UsageError(f"region {request.region!r}", ", ".join(KINDS), "--region ladder")
    if request.grid not in ("exact", "8bit"):
        raise UsageError(f"grid {request.grid!r}", "exact, 8bit")
    radius = parse_fraction(request.radius, "radius")
    if request.region in tuple(Norm):
        return Ball(Norm(request.region), radius)
    if request.step is None:
        raise UsageError(f"a {request.region} without a step", "a number in (0, 1]", "--step 0.25")
    step = parse_fraction(request.step, "step")
    asked = Lattice(radius, step) if request.region == "lattice" else _ladder(request)
    if request.grid == "exact":
        return asked
    step = nearest_8bit(step)
    return Lattice(radius, step) if isinstance(asked, Lattice) else _with_step(asked, step)


def _ladder(request: Request) -> Ladder:
    return Ladder(
        radius=parse_fraction(request.radius, "radius"),
        step=parse_fraction(request.step or "", "step"),
        features=None if request.features == "all" else _whole(request.features),
        axes=request.axes,
        seed=request.seed,
    )


def _with_step(ladder: Ladder, step: Any) -> Ladder:
    return Ladder(ladder.radius, step, ladder.features, ladder.axes, ladder.seed)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"features {text!r}", "a whole number above 0, or all") from error


def check_region(region: Ladder | Ball | Lattice, image: NDArray[Any]) -> None:
    """Refuse a region that does not fit the images before any training. Raises RegionError."""
    if isinstance(region, Ladder):
        rung_set(region, image)
    else:
        ball_set(region, image)


def described(region: Ladder | Ball | Lattice) -> dict[str, Any]:
    """`region` of the summary JSON; `exact`: its numbers as fractions."""
    found: dict[str, Any] = {"kind": region.kind, "radius": float(region.radius)}
    exact = {"radius": str(region.radius)}
    if not isinstance(region, Ball):
        found["step"], exact["step"] = float(region.step), str(region.step)
    if isinstance(region, Ladder):
        found["features"] = region.features if region.features is not None else "all"
        found["axes"], found["seed"] = region.axes, region.seed
    return {**found, "exact": exact}
