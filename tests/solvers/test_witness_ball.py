"""The search for a witness in balls of networks without bounds: what it finds is inside and fooled,
against every point of small regions; nothing is ever proved."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from relrob.attacks.score_search import Sought, score_search
from relrob.domain.arrays import Floats
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Reason
from relrob.queries.clock import Deadline
from relrob.regions.ball import BallSet, ball_set
from relrob.registry import SOLVERS, load, solvers

SHAPE = (4, 3, 2)
IMAGE = np.full(SHAPE, 0.5, np.float32)
REGIONS: list[Ball | Lattice] = [
    Ball(Norm.LINF, Fraction(1, 4)),
    Ball(Norm.L2, Fraction(1)),
    Ball(Norm.L1, Fraction(2)),
    Ball(Norm.L0, Fraction(3)),
    Lattice(Fraction(2), Fraction(1, 4)),
]


class Linear:
    """Label 0 while the weighted change of the image is below `most`; runs are checked."""

    def __init__(self, ball: BallSet, weights: Floats, most: float) -> None:
        self.ball, self.weights, self.most, self.run = ball, weights, most, 0

    def __call__(self, images: Floats) -> Floats:
        assert all(self.ball.contains(image) for image in images)
        self.run += len(images)
        change = (images.astype(np.float64) - 0.5) @ self.weights.astype(np.float64)
        return np.stack([np.full(len(images), self.most), change], axis=1).astype(np.float32)


def reach(region: Ball | Lattice, weights: Floats) -> float:
    """The largest weighted change in the region, by hand: no pixel moves by more than 1/2."""
    size = np.sort(np.abs(weights.astype(np.float64)))[::-1]
    if isinstance(region, Lattice) or region.norm is Norm.L1:
        return float(size[:4].sum() / 2)
    if region.norm is Norm.L0:
        return float(size[:3].sum() / 2)
    return float(size.sum() / 4 if region.norm is Norm.LINF else np.sqrt((size**2).sum()))


def sought(region: Ball | Lattice, share: float, seconds: float = 20.0) -> tuple[Sought, Linear]:
    """A search where a share of what can be reached is needed."""
    ball, weights = ball_set(region, IMAGE), np.linspace(-1, 2, 24, dtype=np.float32)
    network = Linear(ball, weights, share * reach(region, weights))
    return score_search(ball, 0, SHAPE, network, network, Deadline(seconds)), network


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_a_witness_is_found_where_there_are_many_and_none_where_there_is_none(
    region: Ball | Lattice,
) -> None:
    found, network = sought(region, 0.6)
    assert found.witness is not None
    assert network(found.witness[None, :]).argmax() == 1
    assert found.least < 0
    none, network = sought(region, 1.001)
    assert none.witness is None
    assert none.least > 0
    assert none.tried == network.run <= 3100
    again, _ = sought(region, 0.6)
    assert (again.tried, again.least) == (found.tried, found.least)


def test_the_clean_image_is_a_witness_too() -> None:
    found, _ = sought(REGIONS[0], -1.0)
    assert found.tried == 1
    assert found.witness is not None and bool((found.witness == 0.5).all())


def test_the_network_as_deployed_has_the_last_word() -> None:
    """Batches that call every image wrong; alone, only a corner is."""
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 4)), np.full((1, 2, 1), 0.5, np.float32))

    def batch(images: Floats) -> Floats:
        return np.tile(np.array([[0, 1]], np.float32), (len(images), 1))

    def alone(images: Floats) -> Floats:
        assert len(images) == 1
        corner = bool((images[0] == 0.75).all())
        return np.array([[not corner, corner]], np.float32)

    found = score_search(ball, 0, (1, 2, 1), batch, alone, Deadline(20))
    assert found.witness is not None and found.witness.tolist() == [0.75, 0.75]


def test_all_corners_of_a_small_ball_are_met() -> None:
    """One corner of 16 is wrong, whichever it is."""
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 8)), np.full((2, 2, 1), 0.5, np.float32))
    for signs in product((-1, 1), repeat=4):
        corner = (0.5 + np.array(signs) / 8).astype(np.float32)

        def outputs(images: Floats, corner: Floats = corner) -> Floats:
            there = (images == corner).all(axis=1)
            return np.stack([~there, there], axis=1).astype(np.float32)

        found = score_search(ball, 0, (2, 2, 1), outputs, outputs, Deadline(20))
        assert found.witness is not None and bool((found.witness == corner).all())


def test_time_ends_it() -> None:
    found, network = sought(REGIONS[0], 1.001, 1e-9)
    assert found.witness is None and network.run <= 10


def test_it_is_asked_last_and_proves_nothing() -> None:
    for kind in ("linf", "l2", "l1", "l0", "lattice"):
        assert solvers(kind)[-1].method == "witness"
    (entry,) = solvers("linf", "witness")
    assert (entry.arithmetic, entry.complete) == ((), False)
    assert load(entry.target)().accepts(REGIONS[0], ()) is None
    assert all(other.arithmetic for other in SOLVERS if other is not entry)
    assert "no bounds" in Reason.UNBOUNDED.value
