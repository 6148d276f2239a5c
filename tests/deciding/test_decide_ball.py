"""The door to solvers of balls: statuses, reasons, replays, crashes, names, budgets, and verdicts
that are monotone in the radius. The referees are planted solvers, sampled images, and every code
vector of a fixed-point network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relrob import registry
from relrob.deciding import auto
from relrob.deciding.choose import solver_for
from relrob.deciding.decide import Decision, decide
from relrob.deciding.replay import replay
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.record import Set
from relrob.domain.region import Ball, Lattice, Norm, Region
from relrob.domain.verdict import Reason, Status
from relrob.errors import AlarmError, RelrobError, UsageError
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from relrob.registry import Entry
from relrob.relative.classify import Setting, classify
from relrob_solvers.branch_ball import Phases
from relrob_solvers.branch_fixed import Staircase
from tests.ball_cases import every_code, fixed_opened, lively_network, question, sampled
from tests.support import numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
SEEDS = st.integers(0, 10**9)
KINDS = [*Norm, "lattice"]


def region_of(kind: str, radius: Fraction) -> Ball | Lattice:
    if kind == "lattice":
        return Lattice(radius, Fraction(1, 8))
    return Ball(Norm(kind), Fraction(max(1, round(radius * 10))) if kind == "l0" else radius)


def image_of(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)


def random_problem(seed: int, region: Ball | Lattice, seconds: float = 600) -> Query[BallSet]:
    dense = random_dense(seed, [(36, 4), (36, 12, 4), (36, 12, 9, 3)][seed % 3])
    networks = (numpy_opened(dense, SHAPE), numpy_opened(rounded(dense, 4), SHAPE))
    ball = ball_set(region, image_of(seed))
    label = int(networks[0].evaluator.outputs(ball.base[None, :]).argmax())
    return Query(ball, Label(label), networks, Budget(seconds))


def check_true(problem: Query[BallSet], decision: Decision) -> None:
    """What the door promises, and no sampled image says otherwise."""
    for opened, verdict in zip(problem.networks, decision.verdicts, strict=True):
        if verdict.witness is not None:
            assert problem.points.contains(verdict.witness.image)
            said = int(opened.replayer.outputs(verdict.witness.image[None, :]).argmax())
            assert said == verdict.witness.label != problem.label
            assert verdict.witness.margin <= 0
            assert verdict.witness.cost == problem.points.cost(verdict.witness.image)
        if verdict.status is Status.ROBUST:
            outputs = opened.evaluator.outputs(sampled(problem.points, 1, 40))
            assert (outputs.argmax(axis=1) == problem.label).all()
        if verdict.status is Status.UNKNOWN:
            assert verdict.reason in (Reason.BOUNDS, Reason.TIME)


@settings(max_examples=50)
@given(SEEDS, st.sampled_from(KINDS), st.sampled_from(["1/255", "1/20", "1/4", "2"]))
@example(4272, "lattice", "1/20")
def test_verdicts_on_float_networks_are_true(seed: int, kind: str, radius: str) -> None:
    problem = random_problem(seed % 10**4, region_of(kind, Fraction(radius)))
    decision = decide(problem)
    check_true(problem, decision)
    assert all(verdict.disagreements == 0 for verdict in decision.verdicts)


def test_every_status_is_reached_with_every_region() -> None:
    for kind in KINDS:
        met = set()
        for seed in range(5):
            for radius in ("1/200", "1/3", "9"):
                decision = decide(random_problem(seed, region_of(kind, Fraction(radius))))
                met |= {verdict.status for verdict in decision.verdicts}
        assert met >= {Status.ROBUST, Status.NOT_ROBUST}, kind


@settings(max_examples=25)
@given(SEEDS, st.sampled_from(KINDS))
def test_no_growing_radius_makes_a_fooled_network_robust(seed: int, kind: str) -> None:
    told: list[list[Status]] = []
    for radius in ("1/100", "1/10", "1/2", "3/2", "6"):
        decision = decide(random_problem(seed % 10**4, region_of(kind, Fraction(radius))))
        told.append([verdict.status for verdict in decision.verdicts])
    for one in zip(*told, strict=True):
        last = max((at for at, status in enumerate(one) if status is Status.ROBUST), default=-1)
        first = min(
            (at for at, status in enumerate(one) if status is Status.NOT_ROBUST), default=len(one)
        )
        assert last < first


@settings(max_examples=40)
@given(SEEDS)
def test_solvers_of_fixed_point_networks_agree_with_every_code_vector(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    asked = question(seed, tmp_path_factory.getbasetemp())
    for name in ("auto", "branch", "bounds"):
        try:
            decision = decide(asked.problem(), name)
        except UsageError:
            assert name == "bounds"
            continue
        verdict = decision.verdicts[0]
        assert verdict.status is not (Status.ROBUST if asked.wrong.any() else Status.NOT_ROBUST)
        assert name == "bounds" or verdict.status is not Status.UNKNOWN
        assert verdict.runtime == "fixed"


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(KINDS))
def test_fixed_point_networks_in_other_regions(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    network = lively_network(seed)
    opened = fixed_opened(network, tmp_path_factory.getbasetemp())
    region = region_of(kind, Fraction(1 + seed % 9, 2 * network.pixel_scale))
    ball = ball_set(
        region,
        np.random.default_rng(seed).integers(0, 256, (1, network.inputs, 1)).astype(np.uint8),
    )
    label = int(network.outputs(ball.base[None, :]).argmax())
    try:
        decision = decide(Query(ball, Label(label), (opened,), Budget(600)))
    except UsageError:
        return
    images = sampled(ball, seed, 60)
    wrong = network.evaluate(network.codes(images)).argmax(axis=1) != label
    assert not (wrong.any() and decision.verdicts[0].status is Status.ROBUST)
    if kind == "linf":
        whole = network.evaluate(every_code(network, ball)).argmax(axis=1) != label
        assert (decision.verdicts[0].status is Status.NOT_ROBUST) == whole.any()


def test_margins_equal_to_nothing_are_not_robust() -> None:
    """Twin outputs tie on every image: only the lower index is right."""
    dense = random_dense(3, (36, 8, 3))
    last = dense.layers[-1]
    weights, bias = last.weights.copy(), last.bias.copy()
    weights[:, 1], bias[1] = weights[:, 0], bias[0]
    twin = numpy_opened(Dense((*dense.layers[:-1], Layer(weights, bias, relu=False))), SHAPE)
    for label in (0, 1):
        problem = Query(
            ball_set(Ball(Norm.LINF, Fraction(1, 10**6)), image_of(1)),
            Label(label),
            (twin,),
            Budget(600),
        )
        status = decide(problem).verdicts[0].status
        assert status is not Status.ROBUST
        if label:
            assert status is Status.NOT_ROBUST, "the clean image itself is wrong"


@dataclass(frozen=True)
class Planted:
    """A solver that does what it is told."""

    act: Callable[[Query[BallSet]], Finding]
    name: str = "planted"
    complete: bool = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None if region.kind != "l0" else "no L0 here"

    def solve(self, query: Query[BallSet]) -> Findings:
        return alone(tuple(self.act(query) for _ in query.networks))


def planted(monkeypatch: pytest.MonkeyPatch, act: Callable[[Query[BallSet]], Finding]) -> None:
    """Make it the only solver."""
    monkeypatch.setattr(
        registry,
        "SOLVERS",
        (Entry("planted_ball", "nowhere:Planted", "", method="planted", regions=("linf",)),),
    )
    monkeypatch.setattr(registry, "load", lambda target: lambda: Planted(act))


PROBLEM = random_problem(1, Ball(Norm.LINF, Fraction(1, 255)))


def test_a_crash_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(problem: Query[BallSet]) -> Finding:
        raise ZeroDivisionError

    def starve(problem: Query[BallSet]) -> Finding:
        raise MemoryError

    for act, reason in ((crash, Reason.CRASH), (starve, Reason.MEMORY)):
        planted(monkeypatch, act)
        for verdict in decide(PROBLEM).verdicts:
            assert (verdict.status, verdict.reason, verdict.solver) == (
                Status.UNKNOWN,
                reason,
                "planted",
            )


def test_a_survey_that_fails_is_told_and_costs_milp_and_smt_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*given: Any) -> None:
        raise ValueError("a planted error")

    asked: list[str] = []
    methods = ("bounds", "branch", "milp", "smt")
    table = (Entry(name, name, "", method=name, regions=("linf",)) for name in methods)
    monkeypatch.setattr(registry, "SOLVERS", tuple(table))

    def made(name: str) -> Callable[[], Planted]:
        def give_up(problem: Query[BallSet]) -> Finding:
            asked.append(name)
            return Finding(False, (), None, 0, stopped=Reason.BOUNDS)

        return lambda: Planted(give_up)

    monkeypatch.setattr(registry, "load", made)
    one = replace(PROBLEM, networks=PROBLEM.networks[:1])
    assert decide(one).verdicts[0].reason is Reason.BOUNDS
    assert (tuple(asked), caplog.records) == (methods, [])
    asked.clear()
    monkeypatch.setattr(auto, "survey", fail)
    assert decide(one).verdicts[0].reason is Reason.BOUNDS
    assert asked == ["bounds", "branch"]
    assert [record.getMessage() for record in caplog.records] == [
        "the count of open ReLUs stopped with an error on test (a planted error); "
        "neither MILP nor SMT is asked"
    ]


def test_a_witness_that_is_right_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(
        monkeypatch,
        lambda problem: Finding(
            False, (problem.points.base, problem.points.base), None, 1, "planted"
        ),
    )
    verdict = decide(replace(PROBLEM, networks=PROBLEM.networks[:1])).verdicts[0]
    assert (verdict.status, verdict.reason, verdict.disagreements) == (
        Status.UNKNOWN,
        Reason.REPLAY,
        2,
    )


def test_a_proof_of_what_the_clean_image_refutes_sounds_the_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch, lambda problem: Finding(True, (), 1.0, 0, "planted"))
    wrong = (PROBLEM.label + 1) % 4
    lie = replace(PROBLEM, wanted=Label(wrong), networks=PROBLEM.networks[:1])
    with pytest.raises(
        AlarmError,
        match=f"gives {PROBLEM.label} at a point that planted proved {wrong}; nothing is pron",
    ):
        decide(lie)


def test_of_what_is_proved_the_clean_image_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, lambda problem: Finding(True, (), 1e9, 0, "planted"))
    asked = replace(PROBLEM, networks=PROBLEM.networks[:1])
    outputs = asked.networks[0].replayer.outputs(asked.points.base[None, :])[0]
    lead = outputs[asked.label] - np.delete(outputs, asked.label).max()
    verdict = decide(asked).verdicts[0]
    assert verdict.status is Status.ROBUST
    assert verdict.margin == pytest.approx(float(lead))


def test_an_image_outside_the_region_is_a_bug_that_stops_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside = np.ones(36, np.float32)
    planted(monkeypatch, lambda problem: Finding(False, (outside,), None, 1, "planted"))
    with pytest.raises(RelrobError, match="outside the region"):
        decide(PROBLEM)
    with pytest.raises(RelrobError, match="outside the region"):
        replay(PROBLEM.networks[0], PROBLEM.points, Label(0), outside)


def test_solvers_are_named_or_refused(tmp_path: Path) -> None:
    network = PROBLEM.networks[0].network
    ball, fixed = PROBLEM.points.region, fixed_opened(lively_network(2), tmp_path).network
    assert solver_for(ball, network, "auto").name == "bounds"
    assert solver_for(ball, network, "bounds").name == "bounds"
    assert solver_for(ball, fixed, "auto").name == "branch"
    assert solver_for(Ball(Norm.L1, Fraction(1)), fixed, "auto").name == "bounds"
    assert isinstance(solver_for(ball, network, "branch"), Phases)
    assert isinstance(solver_for(ball, fixed, "branch"), Staircase)
    assert isinstance(solver_for(Ball(Norm.L1, Fraction(1)), fixed, "branch"), Phases)
    with pytest.raises(UsageError, match="L1 and L-infinity balls only"):
        solver_for(Ball(Norm.L2, Fraction(1)), network, "smt")
    for name in ("enumerate", "nonsense", ""):
        with pytest.raises(UsageError, match="solver"):
            solver_for(ball, network, name)
    box = numpy_opened(random_dense(1, (36, 4)), SHAPE, black_box=True).network
    assert solver_for(ball, box, "auto").name == "witness"
    with pytest.raises(UsageError, match="no bounds"):
        solver_for(ball, box, "branch")


def test_no_time_is_unknown_or_true() -> None:
    reasons = set()
    for seed in range(24):
        problem = random_problem(seed, region_of(KINDS[seed % 5], Fraction(1, 4)), seconds=1e-9)
        decision = decide(problem)
        check_true(problem, decision)
        reasons |= {verdict.reason for verdict in decision.verdicts}
    assert Reason.TIME in reasons
    assert Reason.BOUNDS not in reasons


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(KINDS), st.sampled_from(["1/50", "1/4", "2"]))
def test_an_image_is_in_the_set_of_its_verdicts(seed: int, kind: str, radius: str) -> None:
    problem = random_problem(seed % 10**4, region_of(kind, Fraction(radius)))
    image, label = image_of(seed % 10**4), problem.label
    one, two = problem.networks
    setting = Setting(one, two, problem.points.region, "auto", Budget(600), certify=True)
    with patch("relrob.certificates.writing.ball.has_rules", return_value=True):  # no files here
        result = classify(setting, 7, image, label)
    record = result.record
    verdicts = (record.reference_verdict, record.quantised_verdict)
    assert verdicts == tuple(verdict.status.value for verdict in decide(problem).verdicts)
    allowed = {
        ("ROBUST", "ROBUST"): {Set.RQFP},
        ("ROBUST", "NOT_ROBUST"): {Set.RFP},
        ("NOT_ROBUST", "ROBUST"): {Set.RQ},
        ("NOT_ROBUST", "NOT_ROBUST"): {Set.RQ, Set.R0},
    }
    assert record.set in allowed.get(verdicts, {Set.UNKNOWN})
    assert [view.network for view in result.witnesses] == [
        role
        for role, verdict in zip(("reference", "quantised"), verdicts, strict=True)
        if verdict == "NOT_ROBUST"
    ]
    for view in result.witnesses:
        assert problem.points.contains(view.perturbed)
        said = {"reference": view.reference_label, "quantised": view.quantised_label}[view.network]
        assert said != label
        if view.network == "reference":
            assert (record.set is Set.R0) == (
                view.quantised_label != label
            ) or record.set is Set.UNKNOWN
    roles = {role for role, _ in result.certificates}
    decided = zip(("reference", "quantised"), verdicts, record.decided_by.split(","), strict=True)
    robust = {
        role
        for role, verdict, by in decided
        if verdict == "ROBUST" and by in ("bounds", "alpha", "branch")
    }
    assert roles == (set() if kind == "l2" else robust)
    wrong = classify(setting, 7, image, (label + 1) % one.network.classes)
    assert (wrong.record.set, wrong.record.reference_verdict, wrong.witnesses) == (Set.L_IC, "", ())
