"""The points of a region: made in one place, and alike where a witness is replayed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.domain.region import KINDS, Ball, Ladder, Lattice, Norm, Search
from relrob.errors import RelrobError
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet
from relrob.regions.points import points_of

IMAGE = np.random.default_rng(1).integers(0, 256, (4, 4, 1)).astype(np.uint8)
LADDER = Ladder(Fraction(1), Fraction(1, 2), 5, 2)
BALLS: list[Ball | Lattice] = [Ball(norm, Fraction(1)) for norm in Norm]


def test_the_kind_of_region_decides() -> None:
    rungs = points_of(LADDER, IMAGE)
    assert isinstance(rungs, RungSet)
    assert (rungs.region, rungs.joint) == (LADDER, True)
    assert rungs.count == rungs.knapsack.count
    for region in [*BALLS, Lattice(Fraction(1), Fraction(1, 8))]:
        ball = points_of(region, IMAGE)
        assert isinstance(ball, BallSet)
        assert (ball.region, ball.joint, ball.count) == (region, False, None)
        assert np.array_equal(ball.base, rungs.base)


def test_the_facts_of_kinds_are_those_of_their_regions() -> None:
    search = Search(Fraction(1), Fraction(1, 2))
    regions = [LADDER, search, Lattice(Fraction(1), Fraction(1, 8)), *BALLS]
    assert [region.kind for region in regions] == list(KINDS)
    for region in regions:
        facts = KINDS[region.kind]
        assert hasattr(region, "step") is facts.stepped
        assert region.joint is (facts.counted and facts.decided)


def test_every_mask_within_the_radius_is_a_point_and_no_other() -> None:
    rungs = points_of(LADDER, IMAGE)
    assert isinstance(rungs, RungSet)
    seen = set()
    for number in range(1 << 5):
        mask = np.array([number >> g & 1 for g in range(5)], dtype=np.bool_)
        cost = sum(c for c, moved in zip(rungs.costs, mask, strict=True) if moved)
        inside = Fraction(cost, rungs.denominator) <= LADDER.radius
        seen.add(inside)
        if inside:
            assert np.array_equal(rungs.at(mask), rungs.images(mask[None, :])[0])
            assert rungs.moved_by(mask) == tuple(g for g in range(5) if mask[g])
        else:
            with pytest.raises(RelrobError, match="proposed a perturbed image outside the region"):
                rungs.at(mask)
    assert seen == {True, False}


@pytest.mark.parametrize("region", BALLS, ids=lambda region: region.kind)
def test_an_image_beyond_the_radius_is_no_point(region: Ball | Lattice) -> None:
    ball = points_of(region, IMAGE)
    assert np.array_equal(ball.at(ball.base), ball.base)
    assert ball.moved_by(ball.base) == ()
    far: Floats = np.where(ball.base < 0.5, 1, 0).astype(np.float32)
    if region.kind != Norm.LINF:  # every image is within 1 of another there
        with pytest.raises(RelrobError, match="proposed a perturbed image outside the region"):
            ball.at(far)
    for wrong in (far + np.float32(1), far[:-1], far * np.float32(np.nan)):
        with pytest.raises(RelrobError, match="proposed a perturbed image outside the region"):
            ball.at(wrong)
