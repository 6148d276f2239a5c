"""The region that the user asked for, and how the summary describes it."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

from relrob.domain.presets import BY_NAME
from relrob.domain.region import KINDS, Ball, Ladder, Lattice, Norm, Region, Search
from relrob.errors import UsageError
from relrob.regions.exact import nearest_8bit, parse_fraction
from relrob.study.request import Request

_ROLLOUTS = {1: 5, 3: 3}  # of the paper's code: MNIST, CIFAR-10


def region_of(request: Request, channels: int = 1) -> Region:
    """The region asked for, of images with so many channels. Raises RegionError or UsageError."""
    if request.region not in KINDS:
        raise UsageError(
            f"region {request.region!r}", ", ".join((*KINDS, *BY_NAME)), "--region ladder"
        )
    if request.grid not in ("exact", "8bit"):
        raise UsageError(f"grid {request.grid!r}", "exact, 8bit")
    radius = parse_fraction(request.radius, "radius")
    if request.region in tuple(Norm):
        return Ball(Norm(request.region), radius)
    if request.step is None:
        raise UsageError(f"a {request.region} without a step", "a number in (0, 1]", "--step 0.25")
    step = parse_fraction(request.step, "step")
    asked = _stepped(request, radius, step, channels)
    return asked if request.grid == "exact" else replace(asked, step=nearest_8bit(step))


def _stepped(
    request: Request, radius: Fraction, step: Fraction, channels: int
) -> Ladder | Search | Lattice:
    """A region of steps."""
    if request.region == "lattice":
        return Lattice(radius, step)
    if request.region == "search":
        return Search(
            radius,
            step,
            axes=request.axes,
            rollouts=request.rollouts or _ROLLOUTS.get(channels, 5),
            evaluations=request.evaluations,
            seed=request.seed,
            strict=request.strict_radius,
            misclassified=request.include_misclassified,
            repick=request.repick,
        )
    return Ladder(radius, step, features_of(request.features), request.axes, request.seed)


def features_of(text: str) -> int | None:
    """The number of features of a ladder, None for "all". Raises UsageError."""
    try:
        return None if text == "all" else int(text)
    except ValueError as error:
        raise UsageError(f"features {text!r}", "a whole number above 0, or all") from error


def described(region: Region) -> dict[str, Any]:
    """`region` of the summary JSON; `exact`: its numbers as fractions."""
    found: dict[str, Any] = {"kind": region.kind, "radius": float(region.radius)}
    exact = {"radius": str(region.radius)}
    values = {field.name: getattr(region, field.name) for field in fields(region)}
    if "step" in values:
        found["step"], exact["step"] = float(values["step"]), str(values["step"])
    if region.kind == "search":
        found["features"] = "all"
        found |= {name: values[name] for name in ("axes", "seed", "rollouts", "evaluations")}
        found["strict_radius"] = values["strict"]
        found["include_misclassified"] = values["misclassified"]
        if values["repick"]:
            found["repick"] = True
    else:
        others = (name for name in values if name not in ("norm", "radius", "step"))
        found |= {name: "all" if values[name] is None else values[name] for name in others}
    return {**found, "exact": exact}
