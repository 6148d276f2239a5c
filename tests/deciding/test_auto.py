"""The chain behind `auto`: what branching counts stays as it was, each step decides what it can and
is named, limits hold."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from relrob.bounding.certain import CertainLabels
from relrob.deciding import auto as chain
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import Decision, decide
from relrob.domain.network import Network
from relrob.domain.region import Ladder, Region
from relrob.domain.verdict import Reason, Status
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests.instances import SHAPE, levels, random_problem
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

FULL = (28, 28, 1)


def ladder_of_78(
    seed: int, hidden: tuple[int, ...], radius: str, step: str, seconds: float = 60
) -> Query[RungSet]:
    """All 78 features of an image of noise, one network."""
    image = np.random.default_rng(seed).integers(0, 256, size=FULL, dtype=np.uint8)
    dense = random_dense(seed, (784, *hidden, 3))
    rungs = rung_set(Ladder(Fraction(radius), Fraction(step), None), image)
    label = int(NumpyEvaluator(dense).outputs(rungs.base[None, :]).argmax())
    return Query(rungs, Label(label), (numpy_opened(dense, FULL),), Budget(seconds), False)


HARD = ladder_of_78(20, (4,), "15", "1/8")  # robust; branching on features takes minutes
EASY = ladder_of_78(2, (6,), "10", "1/8")  # robust; one bound does not prove it, some do


def solvers(decision: Decision) -> set[str]:
    return {verdict.solver for verdict in decision.verdicts}


@pytest.mark.parametrize("counts", [True, False])
def test_what_branching_decides_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """Verdicts, margins, counts, transfer, effort and leaves; only the name is that of the step."""
    named: Counter[str] = Counter()
    leaf = Branch(leaf=4)
    monkeypatch.setattr(
        chain, "named", lambda name: leaf if name == "branch" else solver_named(name)
    )
    for seed in range(60):
        asked = replace(random_problem(seed), counts=counts, certify=True)
        ours, theirs = decide(asked, solver_named("auto")), decide(asked, leaf)
        assert [verdict.status for verdict in ours.verdicts] == [
            verdict.status for verdict in theirs.verdicts
        ]
        for one, two in zip(ours.each, theirs.each, strict=True):
            for name in (
                "proved",
                "effective",
                "margin",
                "evaluated",
                "stopped",
                "close_calls",
                "proof",
            ):
                assert getattr(one, name) == getattr(two, name)
            assert np.array_equal(one.proposals, two.proposals)
        assert (ours.transfer, ours.evaluated) == (theirs.transfer, theirs.evaluated)
        named.update(verdict.solver for verdict in ours.verdicts)
        assert solvers(theirs) == {"branch"}
    assert set(named) == {"witness", "bounds", "branch"}


def test_a_record_names_a_step_for_each_network() -> None:
    found = set()
    for seed in range(20):
        one, image = random_dense(seed, (36, 12, 3)), levels(seed).reshape(SHAPE)
        ladder = Ladder(Fraction(1), Fraction(1, 16), 7, 4)
        pair = (numpy_opened(one, SHAPE), numpy_opened(rounded(one, 3), SHAPE))
        label = int(NumpyEvaluator(one).outputs(rung_set(ladder, image).base[None, :]).argmax())
        setting = Setting(*pair, ladder, solver_named("auto"), Budget(600), Effective.CLOSEST, True)
        found.add(classify(setting, 0, image, label).record.decided_by)
    assert found <= {
        f"{a},{b}" for a in ("witness", "bounds", "branch") for b in ("witness", "bounds", "branch")
    }
    assert len(found) > 2


def test_black_boxes_are_enumerated() -> None:
    kinds = set()
    for seed in range(12):
        dense = random_dense(seed, (36, 12, 3))
        asked = replace(
            random_problem(seed * 4 + 1), networks=(numpy_opened(dense, SHAPE, black_box=True),)
        )
        decision = decide(asked, solver_named("auto"))
        assert decision.verdicts[0].status is decide(asked, Enumerate()).verdicts[0].status
        kinds.add(decision.verdicts[0].solver)
    assert kinds == {"witness", "enumerate"}


@dataclass(frozen=True)
class Helpless:
    """Stops, or fails, on everything."""

    name: str
    crash: bool = False
    complete: bool = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        if self.crash:
            raise ValueError("a planted crash")
        return Findings(
            tuple(Finding(False, (), None, 0, stopped=Reason.TIME) for _ in query.networks),
            None,
            0,
        )


@dataclass(frozen=True)
class Noting:
    """Decides nothing, and notes what it was asked about."""

    seen: list[Query[RungSet]]
    name: str = "milp"
    complete: bool = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        self.seen.append(query)
        return Findings((Finding(False, (), None, 0, stopped=Reason.TIME),), None, 0)


def given(monkeypatch: pytest.MonkeyPatch, **others: Solver[RungSet]) -> None:
    """Put these solvers in the places of those of the registry."""
    real = chain.named
    monkeypatch.setattr(chain, "named", lambda name: others.get(name) or real(name))


@pytest.mark.parametrize("counts", [True, False])
def test_milp_decides_what_branching_does_not(
    monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """Few ReLUs, many features: splitting features leads nowhere in three seconds, splitting ReLUs
    does."""
    monkeypatch.setattr(chain, "BRANCH", 0.05)
    decision = decide(replace(HARD, counts=counts, budget=Budget(600)), solver_named("auto"))
    assert (decision.verdicts[0].status, solvers(decision)) == (Status.ROBUST, {"milp"})
    assert decision.verdicts[0].reason is None


@pytest.mark.parametrize("crash", [True, False])
def test_smt_decides_where_milp_does_not(monkeypatch: pytest.MonkeyPatch, crash: bool) -> None:
    given(monkeypatch, milp=Helpless("milp", crash))
    monkeypatch.setattr(chain, "BRANCH", 1e-9)
    decision = decide(HARD, solver_named("auto"))
    assert (decision.verdicts[0].status, solvers(decision)) == (Status.ROBUST, {"smt"})


def test_each_network_is_asked_about_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    noting = Noting([])
    given(monkeypatch, milp=noting, smt=Helpless("smt"))
    monkeypatch.setattr(chain, "BRANCH", 1e-9)
    pair = replace(
        HARD,
        networks=(*HARD.networks, numpy_opened(random_dense(20, (784, 4, 3)), FULL)),
        budget=Budget(2),
    )
    decide(pair, solver_named("auto"))
    assert len(noting.seen) == 2
    for network, asked in zip(pair.networks, noting.seen, strict=True):
        assert len(asked.networks) == 1 and asked.networks[0] is network


def test_branching_goes_on_where_no_other_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, milp=Helpless("milp", crash=True), smt=Helpless("smt"))
    monkeypatch.setattr(chain, "BRANCH", 1e-9)
    decision = decide(EASY, solver_named("auto"))
    assert (decision.verdicts[0].status, solvers(decision)) == (Status.ROBUST, {"branch"})


@pytest.mark.parametrize("counts", [True, False])
def test_the_limit_holds_on_a_ladder_of_78_features(counts: bool) -> None:
    asked = ladder_of_78(1, (256, 256), "20", "1/8", seconds=2)
    pair = replace(asked, networks=(*asked.networks, *asked.networks), counts=counts)
    begin = time.process_time()  # not the clock: others may use the machine
    decision = decide(pair, solver_named("auto"))
    assert time.process_time() - begin < 30, "two seconds a network"
    for verdict in decision.verdicts:
        assert (verdict.status is Status.UNKNOWN) == (verdict.reason is Reason.TIME)


def test_a_verdict_is_found_where_counting_does_not_end() -> None:
    """One network is fooled by more perturbations than can be counted: the other has its verdict
    all the same."""
    for seed in range(40):
        fooled = numpy_opened(random_dense(seed, (784, 32, 3)), FULL)
        pair = replace(EASY, networks=(fooled, *EASY.networks), counts=True)
        right = int(fooled.evaluator.outputs(EASY.points.base[None, :]).argmax()) == EASY.label
        if (
            right
            and decide(replace(EASY, networks=(fooled,)), solver_named("bounds"))
            .verdicts[0]
            .witness
            is not None
        ):
            for seconds in (8, 40, 200):  # the second network's share is little on a busy machine
                decision = decide(replace(pair, budget=Budget(seconds)), solver_named("auto"))
                first, second = decision.each
                assert decision.verdicts[0].solver == "witness"
                assert first.effective is None and decision.transfer is None
                if second.effective == 0 and decision.verdicts[1].solver == "branch":
                    return
            raise AssertionError(decision)
    raise AssertionError("no such network")


def test_auto_takes_every_ladder() -> None:
    asked = random_problem(0)
    networks = [opened.network for opened in asked.networks]
    assert solver_named("auto").accepts(asked.points.region, networks) is None


@dataclass(frozen=True)
class Picky:
    """Decides by enumeration, but fails wherever one network is among those it is asked about."""

    bad: Opened
    name: str = "picky"
    complete: bool = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        if any(opened is self.bad for opened in query.networks):
            raise IndexError("list index out of range")
        return Enumerate().solve(query)


def pairs(count: int) -> list[Query[RungSet]]:
    """Problems of two networks that enumeration decides, with both verdicts."""
    return [replace(random_problem(seed), counts=seed % 2 == 0) for seed in range(count)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_crash_over_one_network_leaves_the_other_its_verdict(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    for asked in pairs(10):
        caplog.clear()
        right = decide(asked, Enumerate()).verdicts
        found = decide(asked, Picky(asked.networks[number])).verdicts
        assert (found[number].status, found[number].reason) == (Status.UNKNOWN, Reason.CRASH)
        assert found[1 - number].status is right[1 - number].status
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "\n" not in caplog.text.strip()
        assert "solver picky stopped with an error on test (list index out of range)" in caplog.text


@pytest.mark.parametrize("number", [0, 1])
def test_where_bounds_crash_over_one_network_its_points_are_run(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The chain needs no bounds to decide: what a reader or a bound stumbles over is enumerated,
    and only that."""
    real = CertainLabels.__init__
    for asked in pairs(12):
        caplog.clear()
        bad = enclosure_of(asked.networks[number].network)

        def stumble(
            self: CertainLabels, enclosure: Enclosure, rungs: RungSet, label: int, bad: Any = bad
        ) -> None:
            if enclosure is bad:
                raise ValueError("cannot reshape array of size 96 into shape (12,16)")
            real(self, enclosure, rungs, label)

        right = decide(asked, Enumerate())
        monkeypatch.setattr(CertainLabels, "__init__", stumble)
        found = decide(asked, solver_named("auto"))
        monkeypatch.setattr(CertainLabels, "__init__", real)
        assert [v.status for v in found.verdicts] == [v.status for v in right.verdicts]
        if asked.counts:
            assert [f.effective for f in found.each] == [f.effective for f in right.each]
        assert found.verdicts[number].solver in ("enumerate", "witness")
        assert "every point is run" in caplog.text
        assert "Traceback" not in caplog.text


def test_memory_that_ran_out_is_a_reason_of_its_own_for_that_network_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = pairs(1)[0]
    bad, real = enclosure_of(asked.networks[1].network), CertainLabels.__init__

    def starve(self: CertainLabels, enclosure: Enclosure, rungs: RungSet, label: int) -> None:
        if enclosure is bad:
            raise MemoryError
        real(self, enclosure, rungs, label)

    monkeypatch.setattr(CertainLabels, "__init__", starve)
    first, second = decide(asked, solver_named("auto")).verdicts
    assert first.status is not Status.UNKNOWN
    assert (second.status, second.reason) == (Status.UNKNOWN, Reason.MEMORY)


def test_a_black_box_is_judged_by_its_runtime_alone() -> None:
    """Weights that are not what the runtime does are used nowhere, though the runtime may need them
    to run."""
    for seed in range(20):
        asked = replace(random_problem(seed), counts=True)
        lie = random_dense(seed + 500, (36, 9, asked.networks[0].network.classes))
        first = asked.networks[0]
        box = replace(
            first, network=replace(first.network, dense=lie, black_box="weights that nobody has")
        )
        found = decide(replace(asked, networks=(box, asked.networks[1])), solver_named("auto"))
        right = decide(asked, Enumerate())
        assert [v.status for v in found.verdicts] == [v.status for v in right.verdicts]
        assert [f.effective for f in found.each] == [f.effective for f in right.each]
        assert found.transfer == right.transfer
