"""Points of a region at its very radius, and a referee that says in fractions whether a point lies
inside; it shares no code with `relrob.regions`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.radius import below
from relrob.domain.region import Ball, Ladder
from relrob.regions.points import Points, points_of
from tests import naive

Nested = Ball | Ladder


def fed(image: NDArray[Any]) -> Floats:
    """The float32 pixels (d,) that a network is fed."""
    flat: Floats = image.reshape(-1)
    return flat if flat.dtype == np.float32 else flat.astype(np.float32) / np.float32(255)


def within(region: Nested, image: NDArray[Any], point: Floats, radius: Fraction) -> bool:
    """Is a point (d,) at most `radius` from an image (any shape), in the norm of the region, or by
    the moves of its ladder?"""
    if point.dtype != np.float32 or not (np.isfinite(point).all() and _in_range(point)):
        return False
    if region.kind == "ladder":
        cost = _cost(region, image, point)
        return cost is not None and cost <= radius
    moves = [
        abs(Fraction(float(there)) - Fraction(float(here)))
        for there, here in zip(point, fed(image), strict=True)
        if there != here
    ]
    if region.kind == "linf":
        return max(moves, default=Fraction(0)) <= radius
    if region.kind == "l2":
        return sum((move * move for move in moves), Fraction(0)) <= radius * radius
    return sum(moves, Fraction(0)) <= radius


def _in_range(point: Floats) -> bool:
    return bool((point >= 0).all() and (point <= 1).all())


def _cost(region: Any, image: NDArray[Any], point: Floats) -> Fraction | None:
    """The exact cost of a point of a ladder; None where it is none."""
    count = image.size // region.axes if region.features is None else region.features
    own = naive.features_of(image, region.step, count, region.axes)
    rebuilt, cost = fed(image).copy(), Fraction(0)
    for group, each in zip(own.groups, own.costs, strict=True):
        target = np.array([naive.to_float32(own.moved[pixel]) for pixel in group])
        # A step below float32's resolution moves nothing.
        if np.array_equal(point[group], target) and (target != rebuilt[group]).any():
            rebuilt[group], cost = target, cost + each
    return cost if np.array_equal(rebuilt, point) else None


def towards(region: Nested, image: NDArray[Any], targets: NDArray[Any]) -> list[Floats]:
    """The points (d,) of a region, at its radius, that images `targets` (n, d) point at; in
    L-infinity each pixel is cut, at the farthest float32 inside. A target that lies inside stands
    for itself."""
    points = points_of(region, image)
    if points.joint is False and region.kind == "linf":
        return list(np.clip(targets.astype(np.float32), *points.ends()))
    placed = [_placed(region, points, target.astype(np.float32)) for target in targets]
    return [point for point in placed if point is not None]


def _placed(region: Nested, points: Points, target: Floats) -> Floats | None:
    if points.joint is True or points.contains(target):
        return points.near(target)
    return points.point(_shortened(region, target.astype(np.float64) - points.base))


def _shortened(region: Nested, moves: Doubles) -> Doubles:
    """Moves of the radius: all of them scaled in L2, and in L1 the longest whole, while the radius
    allows."""
    radius = below(region.radius) or 0.0
    if region.kind == "l2":
        return moves * min(1.0, radius / max(float(np.linalg.norm(moves)), 1e-300))
    order = np.argsort(-np.abs(moves), kind="stable")
    length = np.abs(moves[order])
    kept = np.zeros_like(moves)
    kept[order] = np.clip(radius - (np.cumsum(length) - length), 0, length)
    return kept * np.sign(moves)


def corners(rng: np.random.Generator, base: Floats, count: int) -> Floats:
    """Targets (count, d): each pixel black or white at random; the second half go parts of the way,
    so that not all pixels count alike where a radius is shared."""
    white = rng.integers(0, 2, (count, len(base))).astype(np.float32)
    return _shared(rng, base, white)


def one_sided(rng: np.random.Generator, base: Floats, count: int) -> Floats:
    """Targets (count + 2, d): random pixels all towards white, or all towards black; and the white
    and the black image."""
    colour = (np.arange(count) % 2).astype(np.float32)[:, None]
    chosen = rng.random((count, len(base))) < rng.random((count, 1))
    some = _shared(rng, base, np.where(chosen, colour, base).astype(np.float32))
    return np.concatenate([some, np.zeros_like(base)[None], np.ones_like(base)[None]])


def _shared(rng: np.random.Generator, base: Floats, targets: Floats) -> Floats:
    way = np.where(np.arange(len(targets))[:, None] % 4 < 2, 1, rng.random(targets.shape))
    return np.asarray(base + way * (targets - base), np.float32)
