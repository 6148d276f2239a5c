"""Bounds alone: one bound on the whole ladder for each network, after the cheap search for a
witness; sound, not complete."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from relrob.attacks.greedy import greedy
from relrob.bounding.certain import CertainLabels
from relrob.branching.cubes import refusal
from relrob.domain.verdict import Reason
from relrob.judging.judges import judge_of
from relrob.judging.tally import BOUNDS, Tally
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, Leaf
from relrob.queries.problem import Problem
from relrob.regions.part import whole


@final
class Bounds:
    """Milliseconds an image whatever the size of the ladder; UNKNOWN where the bound is not tight
    enough."""

    name = "bounds"
    complete = False

    def accepts(self, problem: Problem) -> str | None:
        """Networks that all have an enclosure."""
        return refusal(problem)

    def solve(self, problem: Problem) -> Findings:
        """Each network by itself; effective perturbations are counted where there are none, or
        nothing else."""
        each = tuple(_find(opened, problem) for opened in problem.networks)
        return Findings(each, None, max(finding.evaluated for finding in each))


def _find(opened: Opened, problem: Problem) -> Finding:
    """A witness, a proof, or neither."""
    judge, spots = judge_of(opened, problem.rungs, problem.label), problem.spots.of(opened)
    tally = Tally(judge, problem.label, problem.budget.seconds, spots=spots)
    greedy(tally, problem.rungs)
    enclosure = enclosure_of(opened.network)
    stopped: Reason | None = None
    if tally.hint is None and enclosure is not None:
        part = whole(problem.rungs)
        with tally.clock():
            settled = CertainLabels(enclosure, problem.rungs, problem.label).settle(part)
        if settled.label is not None:
            tally.settled(part, settled)
            tally.accept(part, settled.label, settled.margin)
            tally.finished, tally.step = True, BOUNDS
        else:
            stopped = Reason.BOUNDS
    found = tally.finding(problem.counts)
    if found.proved and problem.certify:
        return replace(found, leaves=(Leaf((), bound=True),))
    return (
        found
        if stopped is None
        else Finding(False, None, found.proposals, found.margin, found.evaluated, stopped)
    )
