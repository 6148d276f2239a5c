"""Enumeration: every point of a ladder, on any network and any runtime; complete.

Float MLPs are judged by `FoldedDense`, exactly, with the named runtime for margins that are too
thin to call; everything else runs on its runtime. Points stream through in blocks: memory does not
grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from relrob.attacks.greedy import greedy
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.judging.judges import BLOCK, judge_of
from relrob.judging.tally import Tally, charged
from relrob.judging.transfer import TransferCount
from relrob.queries.findings import Findings, Transfer, alone
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet


def _verdict_only(tally: Tally, rungs: RungSet) -> None:
    """Greedy first, then every point until one is effective."""
    greedy(tally, rungs)
    if tally.hint is not None:
        return
    for rung in charged(rungs.rungs(BLOCK), [tally]):
        if tally.late:
            return
        tally.visit(rung.masks, rungs)
        if tally.effective:
            return
    tally.finished = True


def _count(tallies: list[Tally], rungs: RungSet) -> Transfer | None:
    """Greedy first, then every point on every network until each is done or late; transfer counts
    if two were completed."""
    for tally in tallies:
        greedy(tally, rungs)
    transfers = TransferCount(rungs)
    for rung in charged(rungs.rungs(BLOCK), tallies):
        found = [tally.visit(rung.masks, rungs) for tally in tallies if not tally.late]
        if not found:
            return None
        if len(found) == 2:
            transfers.add_points(rung.masks, *found)
    for tally in tallies:
        tally.finished = tally.visited == rungs.count
    return (
        transfers.result if len(tallies) == 2 and all(tally.finished for tally in tallies) else None
    )


@final
class Enumerate:
    """Visits every point, for any property. Complete: UNKNOWN comes only from the time limit."""

    name = "enumerate"
    complete = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Any ladder; a large one ends in the time limit."""
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        """Counts everything, or stops each network at its verdict."""
        rungs, wanted, limit = query.points, query.wanted, query.budget.seconds
        tallies = [Tally(judge_of(opened, rungs, wanted), limit) for opened in query.networks]
        transfer = None
        if query.counts:
            transfer = _count(tallies, rungs)
        else:
            for tally in tallies:
                _verdict_only(tally, rungs)
        each = tuple(tally.finding(query.counts) for tally in tallies)
        return replace(alone(each), transfer=transfer)
