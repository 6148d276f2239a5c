"""The only door to a solver: choose it -> solve -> run points of what it proved -> replay every
witness that it proposed on the named runtime -> verdict.

(A module called `verify` would shadow the public function `relrob.verify`.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from relrob.bounding.ball import BallBounds
from relrob.deciding.choose import chosen
from relrob.deciding.guard import guarded
from relrob.deciding.replay import pronounced
from relrob.domain.arrays import Doubles
from relrob.domain.verdict import Status, Verdict
from relrob.errors import AlarmError
from relrob.judging.tally import BOUNDS
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Transfer
from relrob.queries.query import Query
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet
from relrob.regions.points import Points


@dataclass(frozen=True, eq=False)
class Decision:
    """One verdict a network (in the query's order), the findings that they rest on, and transfer
    counts where complete. `evaluated`: as in `Findings`."""

    verdicts: tuple[Verdict, ...]
    each: tuple[Finding, ...]
    transfer: Transfer | None
    evaluated: int


def decide(query: Query[Points], asked: str | Solver[Any] = "auto") -> Decision:
    """Verdicts of every network. `asked`: a method of the registry, or a solver.

    Networks are asked together where points are counted on both, else each gets a solver of its
    own. A solver that crashes yields UNKNOWN with its reason, never a wrong verdict.

    Raises UsageError when the solver does not take such a query, AlarmError when a spot check
    speaks against a proof, or a witness against a count of none.
    """
    if query.points.joint:
        return _decided(query, asked)
    each = [_decided(replace(query, networks=(opened,)), asked) for opened in query.networks]
    return Decision(
        tuple(decision.verdicts[0] for decision in each),
        tuple(decision.each[0] for decision in each),
        None,
        max(decision.evaluated for decision in each),
    )


def _decided(query: Query[Points], asked: str | Solver[Any]) -> Decision:
    """Networks that are asked together."""
    networks = [opened.network for opened in query.networks]
    solver = chosen(query.points, networks, asked)
    findings = guarded(solver, query)
    if query.points.joint is False:  # solvers of ladders have each part checked as it closes
        for opened, finding in zip(query.networks, findings.each, strict=True):
            _check(query, query.points, opened, finding)
    query.spots.finish()
    verdicts, each = [], []
    for opened, finding in zip(query.networks, findings.each, strict=True):
        # Records of balls name the step that decided; records of ladders the solver asked for,
        # unless that was the chain.
        stepwise = solver.name == "auto" or not query.points.joint
        verdict = pronounced(query, opened, finding, (stepwise and finding.step) or solver.name)
        if verdict.status is Status.NOT_ROBUST and finding.effective == 0 and not finding.proved:
            raise AlarmError(
                f"{opened.network.path} has a misclassified point of a region in which "
                f"{solver.name} counted none; nothing is pronounced; please report this with "
                "the two files"
            )
        verdicts.append(verdict)
        each.append(_counted(query.points, finding, verdict))
    return Decision(tuple(verdicts), tuple(each), findings.transfer, findings.evaluated)


def _counted(points: Points, finding: Finding, verdict: Verdict) -> Finding:
    """Where no solver counts, there are no misclassified points, or nobody knows how many."""
    if points.joint:
        return finding
    return replace(finding, effective=0 if verdict.status is Status.ROBUST else None)


def _check(query: Query[Points], ball: BallSet, opened: Opened, finding: Finding) -> None:
    """Run images of a ball that was proved. Raises AlarmError."""
    if finding.proved:
        corners = finding.corners or _corners(query, ball, opened)
        by = finding.step if finding.least is None else BOUNDS
        query.spots.of(opened).ball(ball, query.label, finding.least, corners, by)


def _corners(query: Query[Points], ball: BallSet, opened: Opened) -> tuple[Doubles, ...]:
    """The moves that a bound over the whole ball points at, where the solver says of none."""
    enclosure = enclosure_of(opened.network)
    if enclosure is None:
        return ()
    bounds = BallBounds(enclosure, ball, query.label)
    return (bounds.at.hull.maximiser(bounds.margins().gains),)
