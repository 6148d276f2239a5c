"""Networks over the reals at the ends of float64's range, where products become 0 or infinite: what
is proved must be true there. The referee: an image of the region that fractions give another label.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from relrob.bounding.ball import BallBounds, BallHull
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.sets import At
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ball, Ladder, Lattice, Norm
from relrob.domain.rounding import WIDEST
from relrob.domain.verdict import Status
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Deviation, EnclosedLayer, Enclosure
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob.regions.ladder import rung_set
from relrob.regions.part import whole
from tests.networks.test_real import fractions, real

SOLVERS = ("auto", "bounds", "branch", "milp", "smt")


def power(exponent: int) -> float:
    return float(np.float32(2.0**exponent))


def layer(weights: object, bias: object, relu: bool = True) -> Layer:
    return Layer(np.array(weights, np.float32), np.array(bias, np.float32), relu)


def chain(exponents: list[int], last: int, bias: int) -> Dense:
    """Of one neuron a layer: class 1 has x times a power of two, class 0 a constant."""
    hidden = [layer([[power(exponent)]], [0]) for exponent in exponents]
    return Dense((*hidden, layer([[0, power(last)]], [power(bias), 0], False)))


def faint() -> Dense:
    """No weight above 1: five pixels are passed on, 2^-1074 of each; the last weights round to 0
    and to 1 in these units."""
    hidden = [layer(np.eye(5) * power(-60), np.zeros(5)) for _ in range(17)]
    last = np.zeros((5, 2))
    last[0, 0], last[1:, 1] = 0.6, 0.45
    return Dense((*hidden, layer(np.eye(5) * power(-54), np.zeros(5)), layer(last, [0, 0], False)))


def vast() -> Dense:
    """Paths of 2^1023 that cancel, and 79 pixels that do nothing."""
    paths = [(126, 1), (126, 1), (127, -1), (125, -1), (126, -1), (125, 1)]
    weights, last = np.zeros((80, 7)), np.zeros((7, 2))
    for n, (exponent, sign) in enumerate(paths):
        weights[0, n], last[n, 0] = power(exponent), sign * power(10)
    weights[1:, -1], last[-1, 0] = -1.0, power(10)
    hidden = [layer(np.diag([power(127)] * 7), np.zeros(7)) for _ in range(7)]
    first = layer(weights, [power(100)] * 6 + [power(110)])
    return Dense((first, *hidden, layer(last, [0, 0], False)))


FAINT = (
    np.array([1, 0.3, 0.3, 0.3, 0.3], np.float32),
    np.array([1, 0.39, 0.39, 0.39, 0.39], np.float32),
)
BLACK = np.zeros(1, np.float32)
VAST = np.zeros(80, np.float32), np.eye(1, 80, dtype=np.float32)[0] * np.float32(2.0**-10)
Case = tuple[Dense, Floats, Floats, str]
CASES: dict[str, Case] = {
    "up, then down to nothing": (
        chain([60] * 16 + [55] + [-60] * 17, -58, -66),
        BLACK,
        BLACK + 1,
        "1",
    ),
    "down below the least number": (
        chain([127] * 8 + [6] + [-135] * 7, -131, -64),
        BLACK,
        BLACK + 2.0**-7,
        "1/128",
    ),
    "no weight above 1": (faint(), *FAINT, "1/10"),
    "no weight above 1, by sums": (faint(), *FAINT, "2/5"),
    "beyond the largest number": (vast(), *VAST, "1/1024"),
}


@pytest.mark.parametrize("name", CASES)
def test_no_solver_proves_what_an_image_refutes(name: str) -> None:
    dense, base, wrong, radius = CASES[name]
    logits = fractions(dense, wrong)
    assert logits.index(max(logits)) == 1
    assert fractions(dense, base)[0] >= fractions(dense, base)[1]
    size = Fraction(radius)
    met = 0
    for region in (
        Ball(Norm.LINF, size),
        Ball(Norm.L1, size),
        Ball(Norm.L2, size),
        Lattice(size, size / 4),
    ):
        ball = ball_set(region, base.reshape(-1, 1, 1))
        if not ball.contains(wrong):
            continue
        opened = real(dense)
        enclosure = enclosure_of(opened.network)
        assert enclosure is not None
        assert BallBounds(enclosure, ball, 0).margins().low[0] <= logits[0] - logits[1]
        for solver in SOLVERS:
            try:
                decision = decide(Query(ball, Label(0), (opened,), Budget(1)), solver)
            except UsageError:
                continue
            assert decision.verdicts[0].status is not Status.ROBUST, (region, solver)
            met += 1
    assert met >= 3


@pytest.mark.parametrize("name", ["up, then down to nothing", "down below the least number"])
def test_bounds_on_ladders_hold_there_too(name: str) -> None:
    dense, base, wrong, radius = CASES[name]
    rungs = rung_set(Ladder(Fraction(radius), Fraction(radius), 1, 1), base.reshape(1, 1, 1))
    assert rungs.contains(wrong)
    enclosure = enclosure_of(real(dense).network)
    assert enclosure is not None
    logits = fractions(dense, wrong)
    assert LadderBounds(enclosure, rungs, 0).margins(whole(rungs)).low[0] <= logits[0] - logits[1]


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pixels", [3, 40, 200])
def test_gains_that_are_no_numbers_bound_nothing(norm: Norm, value: float, pixels: int) -> None:
    ends = np.full(pixels, 0.5)
    gains = np.ones((pixels, 2))
    gains[-1, 0] = value
    nothing: Doubles = np.zeros(2)
    at = At(nothing, gains, BallHull(ends, ends, norm, 1.0), Deviation(ends, nothing), nothing)
    with np.errstate(all="ignore"):
        found = at.highest(gains)
    assert found[0] == np.inf
    assert 0.5 <= found[1] <= pixels


@pytest.mark.parametrize(
    "region", [Ball(Norm.LINF, Fraction(1, 4)), Lattice(Fraction(1), Fraction(1, 4))]
)
def test_moves_that_are_no_numbers_lead_nowhere(region: Ball | Lattice) -> None:
    ball = ball_set(region, np.full((3, 1, 1), 0.5, np.float32))
    for value in (np.nan, np.inf):
        assert ball.point(np.array([0.0, value, 0.0])) is None


def test_layers_too_wide_for_float64_bounds_prove_nothing() -> None:
    for wide, finite in ((WIDEST, True), (WIDEST + 1, False)):
        first = EnclosedLayer(np.zeros((wide, 2)), np.array([1.0, 0.0]), False, 0)
        ball = ball_set(Ball(Norm.LINF, Fraction(1, 4)), np.zeros((wide, 1, 1), np.float32))
        low = BallBounds(Enclosure((first,)), ball, 0).margins().low[0]
        assert bool(low > 0.9) is finite
