"""The laws of solvers of balls and lattices: their answers, compared with points run one by one.

A solver is asked so:

    for complaint in ball_complaints(MySolver(), case): ...

The clauses are those of `relrob.testing.suite`. Where not every point is listed they are one-sided:
a wrong point refutes ROBUST, and a witness must itself be true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from relrob.bounding.ball import BallBounds
from relrob.deciding.choose import solver_for
from relrob.deciding.decide import Decision, decide
from relrob.domain.arrays import Doubles
from relrob.domain.network import Arithmetic
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.errors import RelrobError, UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet, ball_set
from relrob.relative.classify import Setting, classify
from relrob.testing.balls import BallCase
from relrob.testing.questions import inside
from relrob.testing.records import record_complaints
from relrob.testing.suite import margins_within, saturates, slack

SECONDS: Final = 3600.0
SHORT: Final = 0.5  # for a solver that may give up
POINT: Final = Fraction(1, 10**45)  # a radius within which there is no other float32


def taker(
    solver: Solver[BallSet] | None, region: Ball | Lattice, opened: Opened
) -> Solver[BallSet] | None:
    """The solver, if it takes a network in a region; of None, which stands for `auto`, the first of
    its chain."""
    if solver is not None:
        return solver if solver.accepts(region, (opened.network,)) is None else None
    try:
        return solver_for(region, opened.network, "auto")
    except UsageError:
        return None


def takes(solver: Solver[BallSet] | None, case: BallCase) -> bool:
    """Does the solver take one of the case's networks?"""
    region = case.problem.points.region
    return any(taker(solver, region, opened) is not None for opened in case.problem.networks)


def ball_complaints(
    solver: Solver[BallSet] | None, case: BallCase, answers: Counter[str] | None = None
) -> Iterator[str]:
    """The complaints about a solver's answers (`auto` for None), one network at a time.

    `answers`: counts them by status.
    """
    region = case.problem.points.region
    for number, opened in enumerate(case.problem.networks):
        first = taker(solver, region, opened)
        if first is None:
            continue
        try:
            decision = _decided(solver, first, case.problem, opened)
        except RelrobError as error:  # an alarm, or a witness outside the region
            yield f"network {number}: stopped: {error}"
            continue
        verdict = decision.verdicts[0]
        if answers is not None:
            answers[verdict.status] += 1
        for complaint in (
            *_verdict(case, number, verdict, first.complete),
            *_proved(case, number, opened, decision),
        ):
            yield f"network {number}: {complaint}"


def _decided(
    solver: Solver[BallSet] | None, first: Solver[BallSet], problem: Query[BallSet], opened: Opened
) -> Decision:
    """One network by the solver; one that may give up is given little time."""
    alone = replace(
        problem, networks=(opened,), budget=Budget(SECONDS if first.complete else SHORT)
    )
    with np.errstate(all="ignore"):
        return decide(alone, "auto" if solver is None else solver)


def _verdict(case: BallCase, number: int, verdict: Verdict, complete: bool) -> Iterator[str]:
    """1 and 2."""
    wrong = case.wrong(number)
    if verdict.status is Status.ROBUST and wrong.any():
        yield f"ROBUST, and {int(wrong.sum())} of {len(wrong)} points are wrong"
    if verdict.status is Status.NOT_ROBUST and case.settled and not wrong.any():
        yield "NOT_ROBUST, and no point is wrong"
    if (verdict.status is Status.NOT_ROBUST) != (verdict.witness is not None):
        yield f"{verdict.status} {'without' if verdict.witness is None else 'with'} a witness"
    if verdict.status is Status.UNKNOWN and (complete or verdict.reason in (None, Reason.CRASH)):
        yield f"UNKNOWN{' although complete' if complete else ''}: {verdict.reason}"
    if verdict.disagreements and (complete or verdict.status is Status.ROBUST):
        yield "a proposed witness was refuted"
    if verdict.witness is not None:
        yield from _witness(case, number, verdict.witness)


def _witness(case: BallCase, number: int, witness: Witness) -> Iterator[str]:
    """It is a point of the region that the network gets wrong."""
    image, region, question = witness.image, case.problem.points.region, case.question
    at = np.flatnonzero((question.points == image).all(axis=1))
    said = int(labels(case.problem.networks[number].replayer.outputs(image[None, :]))[0])
    if not (len(at) if question.every else inside(image, question.points[0], region)):
        yield "the witness is no point of the region"
    if len(at) and int(case.said[number][at[0]]) != said:
        yield "the witness has another label than it had"
    if said == case.problem.label:
        yield "the witness is right"
    if said != witness.label:
        yield "the witness has another label"


def _proved(case: BallCase, number: int, opened: Opened, decision: Decision) -> Iterator[str]:
    """4: no point's margin is below the one that was proved, where both are in the same unit."""
    finding, enclosure = decision.each[0], enclosure_of(opened.network)
    if not finding.proved or finding.least is None or enclosure is None:
        return
    if enclosure.probabilities or saturates(enclosure):
        return
    with np.errstate(all="ignore"):
        outputs = opened.replayer.outputs(case.question.points)
        found = margins(outputs, case.problem.label)
    finite = np.isfinite(outputs).all(axis=1)
    allowed = 1e-6 * (1 + np.abs(outputs[finite].astype(np.float64)).max(initial=0))
    if (found[finite] < finding.least - allowed).any():
        yield (
            f"a point's margin {found[finite].min():.6g} is below {finding.least:.6g}, "
            "which was proved"
        )


def smaller(region: Ball | Lattice) -> Ball | Lattice | None:
    """A part of the region; None for a single pixel."""
    if region.kind == Norm.L0:
        return Ball(Norm.L0, region.radius - 1) if region.radius > 1 else None
    return replace(region, radius=region.radius * Fraction(2, 3))


def ball_order_complaints(solver: Solver[BallSet] | None, case: BallCase) -> Iterator[str]:
    """3: within a smaller radius ROBUST does not become NOT_ROBUST."""
    region = case.problem.points.region
    less = smaller(region)
    for number, opened in enumerate(case.problem.networks if less is not None else ()):
        first = taker(solver, region, opened)
        if first is None or less is None:
            continue
        try:
            outer, inner = (
                _decided(solver, first, problem, opened).verdicts[0].status
                for problem in (case.problem, case.on(less))
            )
        except RelrobError as error:
            yield f"network {number}: stopped: {error}"
            continue
        if outer is Status.ROBUST and inner is Status.NOT_ROBUST:
            yield f"network {number}: ROBUST in a region and NOT_ROBUST in a part of it"


def ball_bound_complaints(opened: Opened, case: BallCase) -> Iterator[str]:
    """4: bounds of the region, plain and with optimised slopes, contain the margins of its points,
    and those of the clean image alone contain its own."""
    enclosure, label = enclosure_of(opened.network), case.problem.label
    if enclosure is None or enclosure.probabilities or saturates(enclosure):
        return
    points = case.question.points
    alone: BallSet = ball_set(Ball(Norm.LINF, POINT), points[0].reshape(case.question.image.shape))
    with np.errstate(all="ignore"):
        outputs = opened.replayer.outputs(points)
        bounds = BallBounds(enclosure, case.problem.points, label)
        plain = bounds.margins()
        best = bounds.margins(bounds.alphas(plain))
        one = BallBounds(enclosure, alone, label).margins()
        stored: Doubles = slack(outputs) * (opened.network.arithmetic is Arithmetic.REAL)
    for name, found in (("bounds", plain), ("optimised bounds", best)):
        if not margins_within(outputs, label, found, stored):
            yield f"a point's margins are outside the {name} of the region"
    if not margins_within(outputs[:1], label, one, stored[:1]):
        yield "the clean image's margins are outside its own bounds"


def ball_record_complaints(case: BallCase, number: int) -> Iterator[str]:
    """The record of a pair, by `auto`: verdicts, the set of the image, witnesses."""
    if len(case.problem.networks) != 2:
        return
    one, two = case.problem.networks
    region = case.problem.points.region
    if taker(None, region, one) is None or taker(None, region, two) is None:
        return
    setting = Setting(one, two, region, "auto", Budget(SHORT))
    try:
        with np.errstate(all="ignore"):
            result = classify(setting, number, case.question.image, case.problem.label)
    except RelrobError as error:
        yield f"record: stopped: {error}"
        return
    for each in record_complaints(
        result, case.question, (case.wrong(0), case.wrong(1)), complete=False
    ):
        yield f"record: {each}"
