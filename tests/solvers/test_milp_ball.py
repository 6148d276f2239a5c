"""MILP in balls against a plain encoding in z3's reals; a solver that lies; `auto`, which asks it
where few ReLUs are open."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import z3

from relrob.attacks import frank_wolfe as seek
from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.survey import survey
from relrob.branching.highs import Tree
from relrob.deciding import auto
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Arithmetic, Dense
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Reason, Status
from relrob.encoding.encode import encode
from relrob.encoding.milp import Program, program
from relrob.errors import AlarmError
from relrob.networks.enclose import enclosure_of
from relrob.queries.clock import Deadline
from relrob.queries.findings import Findings
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.spots import NetworkSpots
from relrob.regions.ball import BallSet, ball_set
from relrob.testing.files import quantised_files
from relrob_solvers.branch_ball import Phases
from relrob_solvers.milp_ball import MilpBall
from tests.networks.test_real import real
from tests.solvers.test_milp_ladder import liar
from tests.support import numpy_opened, random_dense

SHAPE = (4, 1, 1)


@cache
def answer(seed: int, norm: Norm) -> bool:
    """`z3_says` of a question."""
    problem = question(seed, norm)
    dense = problem.networks[0].network.dense
    assert dense is not None
    return z3_says(dense, problem.points, problem.label)


def z3_says(dense: Dense, ball: BallSet, label: int) -> bool:
    """Is some real point of the ball given another label over the reals? Every ReLU a case, exact
    numbers; written from the definitions alone."""
    radius, solver = ball.region.radius, z3.Solver()
    pixels = [z3.Real(f"pixel{n}") for n in range(len(ball.base))]
    base = [z3.RealVal(Fraction(float(value))) for value in ball.base]
    for pixel in pixels:
        solver.add(pixel >= 0, pixel <= 1)
    sizes = [z3.If(p >= b, p - b, b - p) for p, b in zip(pixels, base, strict=True)]
    if ball.norm is Norm.LINF:
        solver.add(*[size <= z3.RealVal(radius) for size in sizes])
    else:
        solver.add(z3.Sum(sizes) <= z3.RealVal(radius))
    values: list[Any] = pixels
    for layer in dense.layers:
        sums = []
        for weights, bias in zip(layer.weights.T.tolist(), layer.bias.tolist(), strict=True):
            terms = [z3.RealVal(Fraction(w)) * v for w, v in zip(weights, values, strict=True)]
            sums.append(z3.Sum([*terms, z3.RealVal(Fraction(bias))]))
        values = [z3.If(s > 0, s, z3.RealVal(0)) for s in sums] if layer.relu else sums
    mine = values[label]
    solver.add(
        z3.Or([(o >= mine if n < label else o > mine) for n, o in enumerate(values) if n != label])
    )
    told = solver.check()
    assert told != z3.unknown
    return bool(told == z3.sat)


def question(seed: int, norm: Norm, over_reals: bool = True) -> Query[BallSet]:
    """A random network around a random image; radii at which both answers are common."""
    rng = np.random.default_rng(seed)
    dense = random_dense(seed, (4, 5, 5, 3))
    opened = real(dense) if over_reals else numpy_opened(dense, SHAPE)
    radius = Fraction(int(rng.integers(10, 60)), 100) * (2 if norm is Norm.L1 else 1)
    ball = ball_set(Ball(norm, radius), rng.random(SHAPE, dtype=np.float32))
    label = int(opened.replayer.outputs(ball.base[None, :]).argmax())
    return Query(ball, Label(label), (opened,), Budget(600))


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the search for a witness."""
    monkeypatch.setattr(seek, "seek", lambda bounds, opened, end: (None, 1.0, 1))


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("name", ["milp", "smt", "branch"])
@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_over_the_reals_the_answer_is_that_of_a_plain_encoding(norm: Norm, name: str) -> None:
    found: Counter[Status] = Counter()
    for seed in range(20):
        verdict = decide(question(seed, norm), name).verdicts[0]
        assert verdict.arithmetic is Arithmetic.REAL
        if verdict.status is not Status.UNKNOWN:
            assert (verdict.status is Status.NOT_ROBUST) == answer(seed, norm), seed
        if name != "smt":
            assert not verdict.disagreements, "what it proposes it has run"
        found[verdict.status] += 1
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST]) > 4
    assert found[Status.UNKNOWN] <= 2


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("lie", ["infeasible", "bound", "noise", "values"])
def test_a_solver_that_lies_proves_nothing(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    liar(monkeypatch, lie)
    found: Counter[Status] = Counter()
    for seed in range(12):
        problem = replace(question(seed, Norm.LINF), budget=Budget(1))
        verdict = decide(problem, "milp").verdicts[0]
        assert verdict.status is not (
            Status.ROBUST if answer(seed, Norm.LINF) else Status.NOT_ROBUST
        )
        found[verdict.status] += 1
    assert lie == "values" or found[Status.NOT_ROBUST] > 0


@pytest.mark.usefixtures("no_search")
def test_bounds_that_were_not_recomputed_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: the recomputed bound always closes the node. Spot checks see it too."""

    def trusting(
        self: Program, y: Doubles, objective: Doubles, least: Doubles, most: Doubles
    ) -> float:
        return float("inf")

    monkeypatch.setattr(Program, "safe_bound", trusting)
    with pytest.raises(AlarmError, match="milp proved"):
        for seed in range(12):
            decide(question(seed, Norm.LINF), "milp")
    monkeypatch.setattr(NetworkSpots, "ball", lambda *_: None)
    said = [decide(question(seed, Norm.LINF), "milp").verdicts[0].status for seed in range(12)]
    assert any(
        status is Status.ROBUST and answer(seed, Norm.LINF) for seed, status in enumerate(said)
    )


def test_a_tree_closes_where_nothing_is_wrong_and_nowhere_else() -> None:
    """No image is run: what is left open stays open."""
    closed = {}
    for seed in range(12):
        problem = question(seed, Norm.LINF)
        enclosure, part = enclosure_of(problem.networks[0].network), moves_of(problem.points)
        assert enclosure is not None
        assert part is not None
        bounds = MovedBounds(BallBounds(enclosure, problem.points, problem.label))
        encoding = encode(bounds, survey(bounds, part))
        rows = program(encoding)
        trees = [
            Tree(Deadline(60), rows, refutation, lambda point: False)
            for refutation in encoding.refutations
        ]
        closed[seed] = all(tree.closes(10**6) for tree in trees)
    assert {seed: not answer(seed, Norm.LINF) for seed in closed} == closed
    assert set(closed.values()) == {True, False}


def test_quantised_files_in_balls(tmp_path: Path) -> None:
    """What it proves no image that was tried refutes, and it goes beyond bounds."""
    beyond, found = 0, Counter[Status]()
    for number, opened in enumerate(
        quantised_files(tmp_path, kinds=(("dynamic", "builtin"), ("int8", "xnnpack")))
    ):
        rng = np.random.default_rng(number)
        for trial in range(6):
            ball = ball_set(
                Ball((Norm.L1, Norm.LINF)[trial % 2], Fraction(1, (2, 20)[trial % 2])),
                rng.random((6, 6, 1), "f"),
            )
            label = int(opened.replayer.outputs(ball.base[None, :]).argmax())
            problem = Query(ball, Label(label), (opened,), Budget(3))
            verdict = decide(problem, "milp").verdicts[0]
            plain = decide(problem, "bounds").verdicts[0]
            assert {verdict.status, plain.status} != {Status.ROBUST, Status.NOT_ROBUST}
            beyond += verdict.status is Status.ROBUST and plain.status is Status.UNKNOWN
            if verdict.status is Status.ROBUST:
                assert (opened.replayer.outputs(drawn(ball, rng)).argmax(axis=1) == label).all()
            found[verdict.status] += 1
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST]) > 0
    assert beyond > 0


def drawn(ball: BallSet, rng: np.random.Generator) -> Floats:
    """Images of the ball (n, d), most of them at its ends."""
    ends = rng.uniform(-1, 1, (200, len(ball.base)))
    ends[::2] = np.sign(ends[::2])
    moves = np.where(ends > 0, ends * ball.up, ends * ball.down)
    if ball.norm is Norm.L1:
        moves *= np.minimum(1, ball.radius / np.abs(moves).sum(axis=1, keepdims=True))
    images = [ball.point(move) for move in moves]
    return np.stack([image for image in images if image is not None])


def test_an_answer_names_its_reason() -> None:
    problem = question(3, Norm.LINF)
    late = decide(replace(problem, budget=Budget(1e-9)), "milp").verdicts[0]
    assert (late.status, late.reason) == (Status.UNKNOWN, Reason.TIME)


def open_question(seed: int) -> Query[BallSet]:
    """One that bounds leave open."""
    problems = (question(seed + n, Norm.LINF, over_reals=False) for n in range(100))
    return next(p for p in problems if decide(p, "bounds").verdicts[0].reason is Reason.BOUNDS)


def broken(self: Any, query: Query[BallSet]) -> Findings:
    raise RuntimeError("planted")


def test_auto_goes_on_where_bounds_do_not_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problem = open_question(0)
    verdict = decide(problem).verdicts[0]
    assert (verdict.status, verdict.solver) == (Status.ROBUST, "branch")
    assert verdict.evaluated > decide(problem, "bounds").verdicts[0].evaluated
    for breaks, solver in ((Phases, "milp"), (MilpBall, "smt")):
        monkeypatch.setattr(breaks, "solve", broken)
        verdict = decide(problem).verdicts[0]
        assert (verdict.status, verdict.solver) == (Status.ROBUST, solver)
        assert f"solver {breaks.name} stopped with an error" in caplog.text
    verdict = decide(problem, "milp").verdicts[0]
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.CRASH)
    monkeypatch.setattr(auto, "FEW", 0)
    verdict = decide(problem).verdicts[0]
    assert (verdict.status, verdict.reason, verdict.solver) == (
        Status.UNKNOWN,
        Reason.CRASH,
        "branch",
    )
