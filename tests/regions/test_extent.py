"""How far regions reach: costs of the cheapest move against every move tried, regions of one point,
regions that are everything."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.domain.region import Ball, Ladder, Lattice, Norm, Search
from relrob.errors import RegionError
from relrob.regions.ball import ball_set
from relrob.regions.extent import counted, extent_of, far, sure_radius, surely_moves
from relrob.regions.ladder import rung_set
from relrob.study.extents import before, extents_of, number

LEVELS = np.array([[[0], [3], [255]], [[128], [254], [77]]], np.uint8)
FLOATS = np.array([[[0.25], [0.5]], [[0.75], [1.0]]], np.float32)
IMAGES: list[NDArray[Any]] = [LEVELS, FLOATS]
QUARTER = Fraction(1, 4)


@pytest.mark.parametrize("image", IMAGES, ids=("levels", "floats"))
@pytest.mark.parametrize("step", [QUARTER, Fraction(1, 255), Fraction(1, 7), Fraction(1)])
def test_the_cheapest_move_of_a_ladder_is_the_least_cost_of_a_set(
    image: NDArray[Any], step: Fraction
) -> None:
    ladder = Ladder(Fraction(10), step, features=2, axes=2)
    rungs = rung_set(ladder, image)
    masks = [np.array(each, np.bool_) for each in product((0, 1), repeat=2)]
    least = min(rungs.cost(mask) for mask in masks if mask.any())
    assert extent_of(ladder, image).cheapest == least
    assert extent_of(Search(Fraction(10), step, axes=2), image).cheapest == min(
        Fraction(cost, rungs.denominator)
        for cost in rung_set(Ladder(Fraction(10), step, None, 2), image).costs
    )


@pytest.mark.parametrize("image", IMAGES, ids=("levels", "floats"))
@pytest.mark.parametrize("region", ["ladder", "lattice", "linf", "l1", "l2"])
def test_a_region_is_one_point_just_below_the_cheapest_move(
    image: NDArray[Any], region: str
) -> None:
    def made(radius: Fraction) -> Any:
        if region == "ladder":
            return Ladder(radius, QUARTER, features=2, axes=2)
        return Lattice(radius, QUARTER) if region == "lattice" else Ball(Norm(region), radius)

    cheapest = extent_of(made(Fraction(1)), image).cheapest
    assert cheapest is not None
    assert not extent_of(made(cheapest), image).vacuous
    below = made(cheapest * Fraction(999, 1000))
    assert extent_of(below, image).vacuous
    assert not surely_moves(below)
    if region == "ladder":
        assert (counted(below, image), rung_set(made(cheapest), image).count > 1) == (1, True)


@pytest.mark.parametrize("image", IMAGES, ids=("levels", "floats"))
def test_the_cheapest_move_of_a_lattice_leads_to_a_point(image: NDArray[Any]) -> None:
    lattice = Lattice(Fraction(1), Fraction(1, 64))
    cheapest = extent_of(lattice, image).cheapest
    assert cheapest is not None
    points = ball_set(lattice, image)
    moves = []
    for axis, sign in product(range(image.size), (1, -1)):
        value = min(max(points.exact[axis] + sign * lattice.step, Fraction(0)), Fraction(1))
        moves.append(abs(value - points.exact[axis]))
    assert cheapest == min(move for move in moves if move > 0)


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("image", IMAGES, ids=("levels", "floats"))
def test_a_whole_ball_holds_every_corner_and_a_smaller_one_does_not(
    image: NDArray[Any], norm: Norm
) -> None:
    corners = np.array(list(product((0, 1), repeat=image.size)), np.float32)
    found = set()
    for quarters in range(1, 4 * image.size + 5):
        radius = Fraction(quarters, 4) if norm is not Norm.L0 else Fraction(quarters)
        ball = Ball(norm, radius)
        inside = all(ball_set(ball, image).contains(corner) for corner in corners)
        # An L0 ball of one pixel fewer holds the corners near the image, but not all images.
        if norm is Norm.L0:
            inside = radius >= image.size
        assert extent_of(ball, image).whole is inside
        assert far(ball, image.size) or not inside
        found.add(inside)
    assert found == {True, False}


def test_regions_that_surely_move_do() -> None:
    for image in IMAGES:
        for region in (
            Ladder(Fraction(1), QUARTER, 1, 4),
            Lattice(QUARTER, QUARTER),
            Ball(Norm.LINF, Fraction(1, 255)),
            Ball(Norm.L0, Fraction(1)),
        ):
            assert surely_moves(region)
            assert not extent_of(region, image).vacuous
            assert not extent_of(
                type(region)(**{**vars(region), "radius": sure_radius(region)}), image
            ).vacuous


def test_a_run_of_single_points_is_refused_and_some_are_counted() -> None:
    images = np.zeros((3, 4, 4, 1), np.uint8)
    # One image whose darkest pixels are almost white: moving them costs next to nothing.
    images[1] = 128
    images[1, :2] = 1
    lattice = Lattice(Fraction(1, 255), QUARTER)
    found = extents_of(lattice, images, (0, 1, 2))
    assert (found.images, found.vacuous, found.whole) == (3, 2, 0)
    assert found.json() == {"vacuous": 2}
    assert "2 of 3 images" in found.notes()[0]
    with pytest.raises(
        RegionError, match=r"around each of 2 images is the image alone; the cheape"
    ):
        extents_of(lattice, images, (0, 2))
    with pytest.raises(RegionError, match=r"the cheapest move costs 1; .*try: --radius 8"):
        extents_of(Ladder(Fraction(1, 2), QUARTER, 2, 4), images, (0,))


def test_a_run_of_whole_balls_is_named() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    images[1] = 200
    found = extents_of(Ball(Norm.LINF, Fraction(9, 10)), images, (0, 1))
    assert (found.whole, found.json()) == (1, {"whole": 1})
    assert extents_of(Ball(Norm.LINF, Fraction(1, 2)), images, (0,)).notes() == [
        "the region is nearly all of [0,1]^n"
    ]
    assert extents_of(Ball(Norm.LINF, Fraction(8, 255)), images, (0,)).notes() == []


def test_the_words_before_a_run() -> None:
    images = np.zeros((120, 28, 28, 1), np.uint8)
    ladder = Ladder(Fraction(20), QUARTER)
    assert before(ladder, images, (0, 1)) == (
        "region: ladder of radius 20, 263,950 points an image, the cheapest move costs 5/2"
    )
    assert before(Ball(Norm.LINF, Fraction(8, 255)), images, (0,)) == (
        "region: linf of radius 8/255"
    )
    assert before(Lattice(Fraction(1), QUARTER), images, tuple(range(120))).endswith(
        "the cheapest move costs 1/4 (first 100 of 120 images)"
    )
    assert number(Fraction(8, 255)) == "8/255"
