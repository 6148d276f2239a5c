"""Balls and lattices as sets: membership in exact fractions, points, ends of boxes."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob.bounding.ball import BallHull
from relrob.domain.arrays import Floats
from relrob.domain.region import Ball, Lattice, Norm
from relrob.errors import RegionError
from relrob.regions.ball import ball_set
from tests.naive import exact_pixels, to_float32
from tests.regions.ball_images import NORMS, SEEDS, image_of, radius_of


def norm_of(norm: Norm, moves: list[Fraction]) -> Fraction:
    """The norm, squared for L2."""
    sizes = [abs(move) for move in moves]
    return {
        Norm.L1: sum(sizes, Fraction(0)),
        Norm.L2: sum((size * size for size in sizes), Fraction(0)),
        Norm.LINF: max(sizes),
        Norm.L0: Fraction(sum(size > 0 for size in sizes)),
    }[norm]


@settings(max_examples=150)
@given(SEEDS, NORMS, st.booleans())
def test_membership_is_exact_to_the_last_bit(seed: int, norm: Norm, floats: bool) -> None:
    """Moves whose norm is the radius, or a neighbouring float32 further."""
    rng, image = np.random.default_rng(seed), image_of(seed, (2, 2, 1), floats)
    base = np.array([to_float32(value) for value in exact_pixels(image)])
    other = rng.random(4, dtype=np.float32)
    other = np.where(rng.random(4) < 0.5, base, other)
    moves = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(other, base, strict=True)]
    length = norm_of(norm, moves)
    if not length:
        return
    radius = Fraction(int(float(length) ** 0.5 * 2**30), 2**30) if norm is Norm.L2 else length
    for r in (radius, radius + 1 if norm is Norm.L0 else radius * Fraction(2**30 + 1, 2**30)):
        ball = ball_set(Ball(norm, r), image)
        limit = r * r if norm is Norm.L2 else r
        at = int(rng.integers(4))
        for shown in (other, _nudged(other, at, 2), _nudged(other, at, -1)):
            exact = [
                Fraction(float(a)) - Fraction(float(b)) for a, b in zip(shown, base, strict=True)
            ]
            expected = bool(shown.min() >= 0 and shown.max() <= 1) and norm_of(norm, exact) <= limit
            assert ball.contains(shown) == expected
            assert ball.cost(shown) == norm_of(Norm.L1, exact)


def _nudged(image: Floats, at: int, towards: float) -> Floats:
    found = image.copy()
    found[at] = np.nextafter(found[at], np.float32(towards))
    return found


def test_what_is_no_image_is_not_contained() -> None:
    ball = ball_set(Ball(Norm.LINF, Fraction(2)), np.full((1, 2, 1), 0.5, np.float32))
    good = np.array([0.25, 1], np.float32)
    assert ball.contains(good)
    for bad in (
        [np.nan, 0.5],
        [np.inf, 0.5],
        [-1e-9, 0.5],
        [np.nextafter(np.float32(1), np.float32(2)), 0.5],
    ):
        assert not ball.contains(np.array(bad, np.float32))
    wide: Any = good.astype(np.float64)
    assert not ball.contains(wide)
    assert not ball.contains(good[:1])


@settings(max_examples=150)
@given(SEEDS, NORMS, st.booleans())
def test_points_are_in_the_region_and_no_further_than_asked(
    seed: int, norm: Norm, floats: bool
) -> None:
    rng, image = np.random.default_rng(seed), image_of(seed, floats=floats)
    ball = ball_set(Ball(norm, radius_of(norm, seed)), image)
    hull = BallHull(ball.down, ball.up, ball.norm, ball.radius)
    for moves in (
        hull.maximiser(rng.normal(size=36)),
        hull.maximiser(rng.normal(size=36) * (rng.random(36) < 0.1)),
    ):
        found = ball.point(moves)
        assert found is not None, "an extreme of the hull is a point up to rounding"
        assert ball.contains(found)
        assert (
            np.abs(found - ball.base.astype(np.float64)) <= np.abs(moves) * (1 + 2.0**-40)
        ).all()
        assert np.abs(found - ball.base - moves).max() <= 2.0**-19
    far = ball.point(rng.normal(size=36) * 3)
    assert far is None or ball.contains(far)


@settings(max_examples=80)
@given(SEEDS)
def test_ends_of_a_box_are_its_outermost_floats(seed: int) -> None:
    ball = ball_set(
        Ball(Norm.LINF, radius_of(Norm.LINF, seed)), image_of(seed, floats=seed % 2 == 0)
    )
    low, high = ball.ends()
    assert ball.contains(low)
    assert ball.contains(high)
    for number in range(36):
        assert not ball.contains(_nudged(low, number, -1))
        assert not ball.contains(_nudged(high, number, 2))


def lattice_points(image: NDArray[Any], radius: Fraction, step: Fraction) -> set[bytes]:
    """Every point by its definition: whole steps of each pixel, clipped, L1 change at most the
    radius."""
    sides = []
    for pixel in exact_pixels(image):
        count = int(1 / step) + 2
        sides.append(
            {
                (t := min(max(pixel + k * step, Fraction(0)), Fraction(1)), abs(t - pixel))
                for k in range(-count, count + 1)
            }
        )
    return {
        np.array([to_float32(target) for target, _ in point]).tobytes()
        for point in product(*sides)
        if sum((change for _, change in point), Fraction(0)) <= radius
    }


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(["1/2", "1/4", "1/3", "64/255", "3/10", "1"]), st.booleans())
def test_a_lattice_contains_its_points_and_no_others(seed: int, step: str, floats: bool) -> None:
    rng, image, size = (
        np.random.default_rng(seed),
        image_of(seed, (1, 3, 1), floats),
        Fraction(step),
    )
    radius = [size, 2 * size, Fraction(1), Fraction(float(rng.random()) + 0.01)][
        int(rng.integers(4))
    ]
    region = ball_set(Lattice(radius, size), image)
    points = lattice_points(image, radius, size)
    every = {
        np.frombuffer(point, np.float32).tobytes()
        for point in lattice_points(image, Fraction(3), size)
    }
    for point in every:
        assert region.contains(np.frombuffer(point, np.float32)) == (point in points)
        shown = np.frombuffer(point, np.float32)
        nudged = _nudged(shown, int(rng.integers(3)), float(rng.choice([-1, 2])))
        assert region.contains(nudged) == (nudged.tobytes() in points)
        moves = shown.astype(np.float64) - region.base
        if point in points:
            assert (moves <= region.up).all()
            assert (-moves <= region.down).all()
            assert np.abs(moves).sum() <= region.radius
            found = region.point(moves)
            assert found is None or found.tobytes() in points
    hull = BallHull(region.down, region.up, region.norm, region.radius)
    for _ in range(5):
        found = region.point(hull.maximiser(rng.normal(size=3)))
        assert found is None or found.tobytes() in points


def test_regions_that_do_not_exist() -> None:
    for make in (
        lambda: Ball(Norm.L1, Fraction(0)),
        lambda: Ball(Norm.LINF, Fraction(-1, 3)),
        lambda: Ball(Norm.L0, Fraction(3, 2)),
        lambda: Ball(Norm.L2, Fraction(10**46)),
        lambda: Lattice(Fraction(0), Fraction(1, 4)),
        lambda: Lattice(Fraction(1), Fraction(0)),
        lambda: Lattice(Fraction(1), Fraction(3, 2)),
    ):
        with pytest.raises(RegionError):
            make()
