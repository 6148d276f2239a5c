"""Where an attack's image is placed: points stay, roundings are mended, what is outside is not in;
on a ladder the features that are moved farthest."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.domain.region import Ball, Ladder, Lattice, Norm
from relrob.regions.ball import ball_set
from relrob.regions.ladder import RungSet, rung_set

LADDER = Ladder(Fraction(3), Fraction(1, 4), 6, 3)


def image_of(seed: int, levels: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if levels:
        return rng.integers(0, 256, (5, 5, 1), np.uint8)
    return rng.random((5, 5, 1)).astype(np.float32)


def masks_of(rungs: RungSet) -> np.ndarray:
    return rungs.knapsack.masks(0, rungs.count)


def test_every_point_of_a_ladder_stays() -> None:
    for seed in range(5):
        rungs = rung_set(LADDER, image_of(seed))
        points = rungs.images(masks_of(rungs))
        assert len(points) > 20
        for point in points:
            found = rungs.near(point)
            assert found is not None and np.array_equal(found, point)


@pytest.mark.parametrize("share", [0.01, 0.4, 0.99])
def test_a_move_along_some_features_leads_to_their_point(share: float) -> None:
    """However far it goes, and whatever it does to pixels of no feature."""
    for seed in range(5):
        rungs = rung_set(LADDER, image_of(seed))
        for mask in masks_of(rungs)[1:]:
            point = rungs.images(mask[None, :])[0]
            moved = rungs.base + np.float32(share) * (point - rungs.base)
            others = np.setdiff1d(np.arange(25), rungs.axes)
            moved[others] = 1 - moved[others]
            found = rungs.near(moved)
            assert found is not None and np.array_equal(found, point)
            assert rungs.near(rungs.base - (point - rungs.base)) is None


def farthest(rungs: RungSet, image: Floats) -> set[int]:
    """The features that are moved farthest while the radius allows, by fractions."""
    shares = []
    for feature, axes in enumerate(rungs.axes):
        way = [Fraction(float(m)) - Fraction(float(rungs.base[a]))
               for m, a in zip(rungs.moved[feature], axes, strict=True)]  # fmt: skip
        come = [Fraction(float(image[a])) - Fraction(float(rungs.base[a])) for a in axes]
        along = sum(c * (1 if w > 0 else -1) for c, w in zip(come, way, strict=True) if w)
        length = sum(map(abs, way))
        shares.append((-along / length if length else Fraction(0), feature))
    chosen, left = set[int](), rungs.region.radius
    for share, feature in sorted(shares):
        cost = Fraction(rungs.costs[feature], rungs.denominator)
        if share < 0 and cost <= left:
            chosen.add(feature)
            left -= cost
    return chosen


def test_of_any_image_the_farthest_features_within_the_radius_count() -> None:
    sizes = set[int]()
    for seed in range(40):
        rungs = rung_set(LADDER, image_of(seed))
        noise = np.random.default_rng(100 + seed).normal(scale=0.1, size=25)
        image = np.clip(rungs.base + noise, 0, 1).astype(np.float32)
        found, wanted = rungs.near(image), farthest(rungs, image)
        sizes.add(len(wanted))
        if not wanted:
            assert found is None
            continue
        assert found is not None and rungs.contains(found)
        mask = np.isin(np.arange(rungs.features), list(wanted))
        assert np.array_equal(found, rungs.images(mask[None, :])[0])
    assert len(sizes) > 2


@pytest.mark.parametrize("norm", list(Norm))
def test_a_ball_takes_its_images_as_they_are_and_mends_a_rounding(norm: Norm) -> None:
    radius = Fraction(2) if norm is Norm.L0 else Fraction(1, 3)
    for seed in range(20):
        ball = ball_set(Ball(norm, radius), image_of(seed, levels=False))
        rng = np.random.default_rng(seed)
        move = rng.standard_normal(25)
        if norm is Norm.L0:
            move *= rng.permutation(25) < 2
        else:
            move *= float(radius) / np.linalg.norm(move, {"l1": 1, "l2": 2, "linf": np.inf}[norm])
        for factor in (0.5, 1 + 1e-7):
            image = np.clip(ball.base + factor * move, 0, 1).astype(np.float32)
            found = ball.near(image)
            assert found is not None and ball.contains(found)
            if ball.contains(image):
                assert np.array_equal(found, image)
            assert np.abs(found - image).max() < 1e-5
        corner = np.where(ball.base < 0.5, 1.0, 0.0).astype(np.float32)
        assert ball.near(corner) is None


def test_a_lattice_takes_whole_steps_towards_an_image() -> None:
    lattice = ball_set(Lattice(Fraction(1), Fraction(1, 4)), np.full((2, 2, 1), 0.5, np.float32))
    image = np.array([0.9, 0.5, 0.1, 0.4], np.float32)
    found = lattice.near(image)
    assert found is not None and found.tolist() == [0.75, 0.5, 0.25, 0.5]
    assert lattice.near(np.array([1, 0, 1, 0], np.float32)) is None
