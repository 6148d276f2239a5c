"""SMT and MILP over balls: their proofs against attacked images and bounds, the text on a second
solver, the moves of a ball."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.survey import survey
from relrob.deciding.decide import decide
from relrob.domain.arrays import Floats
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.encoding.encode import encode
from relrob.encoding.smtlib import smtlib
from relrob.errors import UsageError
from relrob.networks.enclosure import float32_enclosure
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from tests.solvers.test_smt_ladder import cvc5_says
from tests.support import numpy_opened, random_dense

SHAPE = (2, 3, 1)


def corners(ball: BallSet) -> Floats:
    """The corners of an L-infinity ball, or the ends of an L1 ball's single moves and some
    mixtures, (n, d)."""
    d = len(ball.base)
    if ball.norm is Norm.LINF:
        moves = np.array(
            [np.where(signs, ball.up, -ball.down) for signs in product((False, True), repeat=d)]
        )
    else:
        ends = np.concatenate([np.diag(ball.up), -np.diag(ball.down)])
        shares = np.random.default_rng(0).dirichlet(np.full(2 * d, 0.3), 200) * min(
            1.0, ball.radius
        )
        moves = np.concatenate([ends, shares @ np.sign(ends)])
    points = [ball.point(move) for move in moves]
    return np.stack([point for point in points if point is not None])


@pytest.mark.parametrize("name", ["smt", "milp"])
@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_smt_and_milp_and_bounds_and_attacked_images_agree(norm: Norm, name: str) -> None:
    found = {Status.ROBUST: 0, Status.NOT_ROBUST: 0, Status.UNKNOWN: 0}
    beyond_bounds = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        dense = random_dense(seed, (6, 8, 6, 3))
        opened = numpy_opened(dense, SHAPE)
        radius = Fraction(int(rng.integers(5, 40)), 100) * (2 if norm is Norm.L1 else 1)
        ball = ball_set(Ball(norm, radius), rng.random(SHAPE, dtype=np.float32))
        label = int(opened.replayer.outputs(ball.base[None, :]).argmax())
        problem = Query(ball, Label(label), (opened,), Budget(600))
        verdict = decide(problem, name).verdicts[0]
        plain = decide(problem, "bounds").verdicts[0]
        assert {verdict.status, plain.status} != {Status.ROBUST, Status.NOT_ROBUST}, seed
        beyond_bounds += verdict.status is Status.ROBUST and plain.status is Status.UNKNOWN
        wrong = bool((opened.replayer.outputs(corners(ball)).argmax(axis=1) != label).any())
        assert not (wrong and verdict.status is Status.ROBUST), seed
        found[verdict.status] += 1
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST]) > 5
    assert beyond_bounds > 0, "they prove what bounds leave open"
    assert found[Status.UNKNOWN] <= 4, (
        "models that the rounding of the encoding allows, and the network does not"
    )


def test_a_second_solver_says_the_same_of_the_text() -> None:
    answers = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        dense = random_dense(seed, (6, 8, 3))
        ball = ball_set(
            Ball((Norm.L1, Norm.LINF)[seed % 2], Fraction(1, 3)),
            rng.random(SHAPE, dtype=np.float32),
        )
        opened = numpy_opened(dense, SHAPE)
        label = int(opened.replayer.outputs(ball.base[None, :]).argmax())
        part = moves_of(ball)
        assert part is not None
        bounds = MovedBounds(BallBounds(float32_enclosure(dense), ball, label))
        text = smtlib(encode(bounds, survey(bounds, part)))
        verdict = decide(Query(ball, Label(label), (opened,), Budget(600)), "smt").verdicts[0]
        said = cvc5_says(text)
        answers.add(said)
        assert (said == "unsat") == (verdict.status is Status.ROBUST), seed
    assert answers == {"sat", "unsat"}


@pytest.mark.parametrize("name", ["smt", "milp"])
@pytest.mark.parametrize("norm", [Norm.L2, Norm.L0])
def test_other_balls_are_refused(norm: Norm, name: str) -> None:
    opened = numpy_opened(random_dense(1, (6, 4, 3)), SHAPE)
    ball = ball_set(Ball(norm, Fraction(1)), np.zeros(SHAPE, np.float32))
    with pytest.raises(UsageError, match="L1 and L-infinity balls only"):
        decide(Query(ball, Label(0), (opened,), Budget(1)), name)
    assert moves_of(ball) is None


def test_every_image_of_a_ball_is_made_by_moves() -> None:
    for norm, seed in product((Norm.L1, Norm.LINF), range(20)):
        rng = np.random.default_rng(seed)
        ball = ball_set(
            Ball(norm, Fraction(int(rng.integers(1, 200)), 100)),
            rng.random(SHAPE, dtype=np.float32),
        )
        part = moves_of(ball)
        assert part is not None
        for image in corners(ball):
            change = image.astype(np.float64) - ball.base
            shares = [
                max(change[axis] / most, 0.0) if most else 0.0
                for axis, most in zip(part.axes, part.change, strict=True)
            ]
            assert max(shares) <= 1
            spent = sum(
                Fraction(share) * cost for share, cost in zip(shares, part.costs, strict=False)
            )
            assert spent <= part.room * (1 + Fraction(1, 2**40))
            again = part.point(ball, np.array(shares))
            assert again is not None
            assert np.abs(again - image).max() <= 2.0**-19
