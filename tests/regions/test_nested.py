"""Nested regions against definitions of their own: radii, distances, and that each holds the
next."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.region import Ball, Ladder, Norm
from relrob.domain.verdict import Witness
from relrob.errors import RegionError
from relrob.regions.ladder import RungSet
from relrob.regions.nested import Nest, farthest, nest_of, placed, precision_of, root_above

RNG = np.random.default_rng(2)
LEVELS = RNG.integers(0, 256, (4, 4, 1), dtype=np.uint8)
LADDER = Ladder(Fraction(8), Fraction(1, 3), features=5, axes=3)


def ladder() -> Nest:
    return nest_of(LADDER, None, LEVELS)


def witness(image: np.ndarray, cost: Fraction = Fraction(0)) -> Witness:
    return Witness(image, (), cost, 1, -1.0)


def test_radii_of_a_ladder_are_the_costs_of_its_points() -> None:
    nest, rungs = ladder(), ladder().points(ladder().top)
    assert isinstance(rungs, RungSet)
    costs = [Fraction(cost, rungs.denominator) for cost in rungs.costs]
    sums = {sum(each, Fraction(0)) for k in range(6) for each in combinations(costs, k)}
    assert [nest.radius(k) for k in range(nest.top + 1)] == sorted(sums)
    assert all(nest.number(radius) == k for k, radius in enumerate(sorted(sums)))


def test_a_larger_ladder_holds_the_points_of_a_smaller_one() -> None:
    nest, before = ladder(), 1
    for number in range(1, nest.top + 1):
        points = nest.points(number)
        assert isinstance(points, RungSet) and points.count is not None
        assert points.count > before, "every radius adds a point"
        before = points.count
        smaller = nest.points(max(number - 1, 1))
        assert isinstance(smaller, RungSet)
        for rung in smaller.rungs(8):
            assert all(points.contains(image) for image in smaller.images(rung.masks))


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L1, Norm.L2])
@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_the_region_of_its_number_holds_a_witness_and_the_one_before_does_not(
    norm: Norm, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    nest = nest_of(Ball(norm, Fraction(3)), Fraction(1, 97), LEVELS)
    base = nest.points(1).base
    moves = rng.standard_normal(16) * rng.choice([0.001, 0.05])
    image = np.clip(base + moves, 0, 1).astype(np.float32)
    number = nest.number(nest.distance(base, witness(image)))
    assert 1 <= number <= nest.top
    assert nest.points(number).contains(image)
    assert number == 1 or not nest.points(number - 1).contains(image)


def test_distances_are_exact_or_rounded_up() -> None:
    nest = nest_of(Ball(Norm.LINF, Fraction(1)), Fraction(1, 100), np.zeros((1, 2, 1), np.uint8))
    base, image = np.zeros(2, np.float32), np.array([0.1, 0.3], np.float32)
    exact = [Fraction(float(value)) for value in image]
    assert nest.distance(base, witness(image)) == exact[1]
    l1 = nest_of(Ball(Norm.L1, Fraction(1)), Fraction(1, 100), np.zeros((1, 2, 1), np.uint8))
    assert l1.distance(base, witness(image)) == sum(exact)
    l2 = nest_of(Ball(Norm.L2, Fraction(1)), Fraction(1, 100), np.zeros((1, 2, 1), np.uint8))
    square = sum((value * value for value in exact), Fraction(0))
    root = l2.distance(base, witness(image))
    assert root**2 >= square > Fraction(np.nextafter(float(root), 0.0)) ** 2
    assert ladder().distance(base, witness(image, Fraction(7, 3))) == Fraction(7, 3)


@given(st.fractions(min_value=0, max_value=1000))
def test_a_root_is_rounded_up_by_less_than_a_unit(square: Fraction) -> None:
    root = root_above(square)
    assert root**2 >= square
    assert root == 0 or Fraction(np.nextafter(float(root), 0.0)) ** 2 < square


def test_the_largest_radius_is_one_that_is_told_apart() -> None:
    nest = nest_of(Ball(Norm.LINF, Fraction(1, 10)), Fraction(3, 100), LEVELS)
    assert nest.top == 3 and nest.largest.radius == Fraction(9, 100)
    assert nest.number(Fraction(91, 1000)) == 4, "beyond the largest"


def test_an_image_is_placed_as_what_may_be_proposed() -> None:
    nest = ladder()
    points = nest.points(nest.top)
    assert isinstance(points, RungSet)
    mask = np.array([True, False, False, True, False])
    found = placed(points, points.images(mask[None, :])[0])
    assert found is not None and found.tolist() == mask.tolist()
    ball = nest_of(Ball(Norm.LINF, Fraction(1)), Fraction(1, 100), LEVELS).points(3)
    near = np.clip(ball.base + np.float32(0.02), 0, 1).astype(np.float32)
    assert placed(ball, near) is not None
    assert placed(ball, np.clip(ball.base + np.float32(0.2), 0, 1).astype(np.float32)) is None


def test_the_farthest_radius_reaches_everything() -> None:
    whole = LADDER.features or 0
    assert farthest("ladder", 16, whole, 3, Fraction(1, 3)) == 5
    assert farthest("ladder", 16, None, 3, Fraction(1, 3)) == 5
    assert [farthest(kind, 17, 1, 1, Fraction(1)) for kind in ("linf", "l1", "l2")] == [1, 17, 5]


@pytest.mark.parametrize("asked", [Fraction(0), Fraction(-1), Fraction(2), Fraction(1, 10**9)])
def test_a_precision_that_makes_no_sense_is_refused(asked: Fraction) -> None:
    with pytest.raises(RegionError, match="precision"):
        precision_of(Ball(Norm.LINF, Fraction(1)), asked)


def test_costs_that_are_too_many_to_list_are_refused() -> None:
    image = RNG.random((8, 8, 1)).astype(np.float32)
    with pytest.raises(RegionError, match="too many costs"):
        nest_of(Ladder(Fraction(40), Fraction(1), features=32, axes=2), None, image)
