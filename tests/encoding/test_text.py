"""Encodings made by hand: their text and their program allow the same points as the definition, to
the last bit of each number."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf, nextafter

import numpy as np
import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from relrob.branching.cubes import around
from relrob.domain.arrays import Doubles
from relrob.encoding.encode import Encoding, Neuron, Refutation, _row
from relrob.encoding.milp import program
from relrob.encoding.smtlib import _number, smtlib, variables
from relrob.regions.part import whole
from tests.instances import rungs_of

RUNGS = rungs_of(0, ("2", "1/4"), 3)


def neuron(
    *coefficients: float, width: float = 0.0, low: float = -1.0, high: float = 2.0, cap: float = inf
) -> Neuron:
    """p = coefficients @ v up to `width`, the output min(max(p, 0), cap)."""
    return Neuron(np.array(coefficients), -width, width, low, high, cap, cap)


def encoding(neurons: tuple[Neuron, ...], refutations: tuple[Refutation, ...]) -> Encoding:
    return Encoding(whole(RUNGS), neurons, refutations)


def refutation(limit: float, *coefficients: float) -> Refutation:
    return Refutation(1, np.array(coefficients), limit)


def possible(given_: Encoding, fixed: dict[str, float]) -> bool:
    """z3: is there a solution with these values?"""
    solver = z3.SolverFor("QF_LRA")
    solver.from_string(smtlib(given_, check=False))
    for name, value in fixed.items():
        exact = Fraction(value)
        solver.add(z3.Real(name) == z3.Q(exact.numerator, exact.denominator))
    return bool(solver.check() == z3.sat)


def test_outputs_are_those_of_a_relu() -> None:
    """p = 2 x0 - 1 + (a width of 1/4), in [-1, 2]: a may be max(p, 0), and nothing else."""
    one = replace(neuron(2, 0, 0, 0), lower=-1.25, upper=-0.75)
    free = encoding((one,), (refutation(9, 0, 0, 0, 1),))
    above, below = nextafter(0.75, 1), nextafter(0.75, 0)
    for x, p, a, fits in (
        (1, 0.75, 0.75, True),
        (1, 1.25, 1.25, True),
        (1, below, below, False),
        (1, nextafter(1.25, 2), nextafter(1.25, 2), False),
        (1, above, 0.75, False),
        (1, 0.75, above, False),
        (1, 1, 0, False),
        (0, -1, 0, True),
        (0, -0.75, 0, True),
        (0, -0.75, 2.0**-40, False),
        (0, -1.25, 0, False),  # below `low`
        (0.5, 0, 0, False),  # a feature is moved or not
    ):
        assert possible(free, {"x0": x, "p0": p, "a0": a}) is fits, (x, p, a)


def test_outputs_stop_at_their_cap() -> None:
    """A cap somewhere in [1, 1.5]."""
    capped = replace(
        neuron(2, 0, 0, 0, width=0.0), cap_low=1.0, cap_high=1.5, lower=-1.0, upper=0.0
    )
    assert capped.capped and capped.top == 1.5 and not neuron(2).capped and neuron(2).top == 2
    free = encoding((capped,), (refutation(9, 0, 0, 0, 1),))
    for p, a, fits in (
        (2, 1, True),
        (2, 1.5, True),
        (2, 1.25, True),
        (2, 0.75, False),
        (2, 1.75, False),
        (1.5, 1.5, True),
        (1.25, 1.25, True),
        (1, 1, True),
        (1, 0.5, False),
        (1, 0, False),
    ):
        assert possible(free, {"x0": 1, "p0": p, "a0": a}) is fits, (p, a)
    below = replace(capped, lower=-3.0)
    for p, a, fits in (
        (-0.5, 0, True),
        (-0.5, 0.125, False),
        (0.5, 0.5, True),
        (0.5, 0.625, False),
        (0.5, 0, False),
    ):
        assert (
            possible(encoding((below,), free.refutations), {"x0": 1, "p0": p, "a0": a}) is fits
        ), (
            p,
            a,
        )
    for x in (0, 1):
        assert possible(free, {"x0": x, "p0": -0.0, "a0": 0}) is (x == 0)


@pytest.mark.parametrize(
    ("limit", "fits"), [(0.5, True), (nextafter(0.5, 0), False), (-1.0, False)]
)
def test_a_claim_holds_at_its_limit(limit: float, fits: bool) -> None:
    given_ = encoding((), (refutation(limit, 0.5, 0, -0.25),))
    assert possible(given_, {"x0": 1, "x2": 0}) is fits
    both = encoding((), (refutation(limit, 0.5, 0, 0), refutation(-5, 0, 1, 0)))
    assert possible(both, {"x0": 1}) is fits
    assert not possible(encoding((), ()), {})
    assert smtlib(both, [both.refutations[0]]) == smtlib(
        replace(both, refutations=both.refutations[:1])
    )


def test_the_text_allows_the_points_of_the_part_and_no_other() -> None:
    everywhere = (refutation(0.0, 0, 0, 0),)
    for part in (whole(RUNGS), *whole(RUNGS).split(1), whole(RUNGS).split(0)[0].split(2)[1]):
        held = tuple(Refutation(1, np.zeros(len(part.free)), each.limit) for each in everywhere)
        asked = Encoding(part, (), held)
        assert variables(asked) == [f"x{g}" for g in part.free]
        points = {tuple(mask) for mask in part.masks(0, part.count).tolist()}
        for bits in range(2 ** len(part.free)):
            chosen = [bool(bits >> n & 1) for n in range(len(part.free))]
            fixed = {f"x{g}": float(taken) for g, taken in zip(part.free, chosen, strict=True)}
            assert possible(asked, fixed) is (tuple(asked.mask(chosen).tolist()) in points)
        costs, room = asked.costs()
        own = [RUNGS.costs[g] for g in part.free]
        assert [Fraction(cost, costs[0]) for cost in costs] == [
            Fraction(cost, own[0]) for cost in own
        ]
        assert room == part.room * costs[0] // own[0]
        assert np.gcd.reduce([*costs, 0]) in (0, 1)
        for mask in part.masks(0, part.count):
            near = around(mask, part)
            assert {tuple(row) for row in near.tolist()} == {
                p for p in points if sum(np.array(p) ^ mask) <= 1
            }
            assert near[0].tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (3, "3.0"),
        (-2, "(- 2.0)"),
        (0.75, "(/ 3.0 4.0)"),
        (-0.125, "(- (/ 1.0 8.0))"),
        (Fraction(-7, 3), "(- (/ 7.0 3.0))"),
        (2.0**70, f"{2**70}.0"),
    ],
)
def test_numbers_are_exact(value: float | Fraction, text: str) -> None:
    assert _number(value) == text


@given(st.floats(-50, -1e-3), st.floats(1e-3, 50))
@settings(max_examples=100, derandomize=True)
def test_the_line_above_a_relu_is_above_it_and_near(low: float, high: float) -> None:
    slope, offset = neuron(1, low=low, high=high).line()
    ends = [
        Fraction(slope) * Fraction(p) + Fraction(offset) - Fraction(max(p, 0.0))
        for p in (low, 0.0, high)
    ]
    assert min(ends) >= 0
    assert 0 <= slope <= 1
    assert max(ends[0], ends[2]) <= (high - low) * 2.0**-10
    assert neuron(1, low=0.0, high=high).line() == (1.0, 0.0)


@given(
    st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=3, max_size=3),
    st.floats(-1e3, 1e3),
    st.floats(0, 1),
    st.lists(st.floats(0, 4), min_size=3, max_size=3),
)
@settings(max_examples=100, derandomize=True)
def test_rows_are_rounded_outward(
    coefficients: list[float], constant: float, width: float, share: list[float]
) -> None:
    """Whatever v is, coefficients @ v + constant up to the width lies between the ends that the
    rounded row gives."""
    tops = np.array([1.0, 1.0, 4.0])
    row = _row(np.array(coefficients), constant, width, tops)
    v: list[Fraction] = [Fraction(min(s, top)) for s, top in zip(share, tops.tolist(), strict=True)]
    value = sum([Fraction(c) * x for c, x in zip(coefficients, v, strict=True)], Fraction(constant))
    kept = sum(
        (Fraction(float(c)) * x for c, x in zip(row.coefficients, v, strict=True)), Fraction(0)
    )
    assert Fraction(row.lower) <= value - Fraction(width) - kept + Fraction(1, 10**9)
    assert value + Fraction(width) - kept - Fraction(1, 10**9) <= Fraction(row.upper)
    for number in (*row.coefficients.tolist(), row.lower, row.upper):
        assert Fraction(number) % Fraction(row.unit) == 0
    largest = max(np.abs(coefficients).max(), (abs(constant) + width) * 2.0**-20)
    assert row.unit <= largest * 2.0**-14 + 2.0**-900
    assert row.upper - row.lower <= 2 * width + 8 * row.unit + 1e-9


def random_encoding(seed: int) -> Encoding:
    """Two layers of one neuron each, some with a cap."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-8, 9, (2, 5)) / 4
    first[3:], second[4] = 0, 0
    cap = [inf, 0.5][seed % 2]
    one = neuron(
        *first,
        width=0.25,
        low=float(first[first < 0].sum()) - 1,
        high=float(first[first > 0].sum()) + 1,
    )
    two = neuron(*second, width=0.0, low=-9.0, high=9.0, cap=cap)
    return encoding((one, two), (refutation(0.0, *(rng.integers(-8, 9, 5) / 4)),))


@pytest.mark.parametrize("seed", range(12))
def test_the_program_allows_what_the_text_allows(seed: int) -> None:
    """Columns by hand: a whole point is feasible in the program where z3 finds it possible, and the
    relaxation lies below."""
    given_ = random_encoding(seed)
    rows = program(given_)
    assert rows.outputs.tolist() == [4, 8] and rows.features == 3 and len(rows.least) == 11
    assert rows.whole.tolist() == [True] * 3 + [False, False, True, True] * 2
    objective, least = rows.objective(given_.refutations[0]), inf
    for mask in given_.ladder.masks(0, given_.ladder.count):
        x = mask.astype(float)
        values = list(x)
        for each in given_.neurons:
            p = float(each.coefficients[: len(values)] @ values) + each.upper
            values.append(min(max(p, 0.0), each.top))
        before = [
            float(n.coefficients[: 3 + i] @ values[: 3 + i]) + n.upper
            for i, n in enumerate(given_.neurons)
        ]
        fours = [
            (p, a, p > 0, n.capped and p > n.cap_low)
            for p, n, a in zip(before, given_.neurons, values[3:], strict=True)
        ]
        columns: Doubles = np.array([*x, *(v for four in fours for v in four)], dtype=float)
        assert (rows.matrix @ columns <= rows.upper + 1e-9).all()
        assert (rows.matrix @ columns >= rows.lower - 1e-9).all()
        assert (rows.least <= columns).all() and (columns <= rows.most).all()
        names = dict(zip(variables(given_), values, strict=True)) | {
            f"p{n}": p for n, p in enumerate(before)
        }
        assert possible(replace(given_, refutations=(refutation(99, *[0.0] * 5),)), names)
        least = min(least, float(objective @ columns))
    finite_up, finite_low = np.isfinite(rows.upper), np.isfinite(rows.lower)
    solved = linprog(
        objective,
        np.vstack([rows.matrix[finite_up], -rows.matrix[finite_low]]),
        np.concatenate([rows.upper[finite_up], -rows.lower[finite_low]]),
        bounds=list(zip(rows.least, rows.most, strict=True)),
    )
    assert solved.status == 0 and solved.fun <= least + 1e-9
    duals = np.zeros(len(rows.lower))
    duals[finite_up] += solved.ineqlin.marginals[: finite_up.sum()]
    duals[finite_low] -= solved.ineqlin.marginals[finite_up.sum() :]
    bound = rows.safe_bound(duals, objective, rows.least, rows.most)
    assert bound == pytest.approx(solved.fun, abs=1e-6) and bound <= least
