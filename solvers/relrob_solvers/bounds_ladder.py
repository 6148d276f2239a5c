"""Bounds alone: one bound on the whole ladder for each network, after the cheap search for a
witness; sound, not complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from relrob.attacks.greedy import greedy
from relrob.bounding.certain import CertainLabels
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.judging.judges import judge_of
from relrob.judging.tally import BOUNDS, Tally
from relrob.networks.enclose import enclosure_of, refusal
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, LadderProof, Leaf, alone
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole


@final
class Bounds:
    """Milliseconds an image whatever the size of the ladder; UNKNOWN where the bound is not tight
    enough."""

    name = "bounds"
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that all have an enclosure."""
        return refusal(networks)

    def solve(self, query: Query[RungSet]) -> Findings:
        """Each network by itself; effective perturbations are counted where there are none, or
        nothing else."""
        return alone(tuple(_find(opened, query) for opened in query.networks))


def _find(opened: Opened, query: Query[RungSet]) -> Finding:
    """A witness, a proof, or neither."""
    judge, spots = judge_of(opened, query.points, query.wanted), query.spots.of(opened)
    tally, label = Tally(judge, query.budget.seconds, spots=spots), query.label
    greedy(tally, query.points)
    enclosure = enclosure_of(opened.network)
    stopped: Reason | None = None
    if tally.hint is None and enclosure is not None:
        part = whole(query.points)
        with tally.clock():
            settled = CertainLabels(enclosure, query.points, label).settle(part)
        if settled.label is not None:
            tally.settled(part, settled)
            tally.accept(part, settled.wrong, settled.margin)
            tally.finished, tally.step = True, BOUNDS
        else:
            stopped = Reason.BOUNDS
    found = tally.finding(query.counts)
    if found.proved and query.certify:
        return replace(found, proof=LadderProof((Leaf((), bound=True),)))
    return (
        found
        if stopped is None
        else Finding(False, found.proposals, found.margin, found.evaluated, stopped=stopped)
    )
