"""Cube and conquer: parts of a ladder that bounds prove are done, those with few open ReLUs are
asked, the others are split."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from relrob.attacks.greedy import greedy
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.domain.arrays import Bools, Doubles
from relrob.encoding.encode import Encoding, encode
from relrob.judging.judges import judge_of
from relrob.judging.tally import BOUNDS, Tally
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, whole


class Ask(Protocol):
    """Decides the question about one part."""

    def __call__(self, tally: Tally, encoding: Encoding) -> bool:
        """True when the part is done: proved, or `tally.hint` is a witness. False: split it."""
        ...


def solve(query: Query[RungSet], ask: Ask, most: int) -> Findings:
    """Each network by itself, within the budget: verdicts, and counts only where there is nothing
    to count. Parts with more than `most` open ReLUs are split without asking."""
    found = alone(tuple(_decide(opened, query, ask, most) for opened in query.networks))
    return replace(found, evaluated=min(found.evaluated, query.points.count))


def _decide(opened: Opened, query: Query[RungSet], ask: Ask, most: int) -> Finding:
    """One network: a cheap search for a witness, then its parts."""
    judge, spots = judge_of(opened, query.points, query.wanted), query.spots.of(opened)
    tally = Tally(judge, query.budget.seconds, spots=spots)
    label, enclosure = query.label, enclosure_of(opened.network)
    greedy(tally, query.points)
    if tally.hint is None and enclosure is not None:
        with tally.clock():
            bounds = LadderBounds(enclosure, query.points, label)
        _search(tally, bounds, ask, most)
    return tally.finding(query.counts)


def _search(tally: Tally, bounds: LadderBounds, ask: Ask, most: int) -> None:
    """Part by part, until the first witness or the proof that there is none."""
    stack = [whole(bounds.rungs)]
    while stack and tally.hint is None:
        if tally.late:
            return
        part = stack.pop()
        with tally.clock():
            found = survey(bounds, part)
        if not found.threats:
            tally.margin = min(tally.margin, found.margin)
            tally.step = BOUNDS if not part.path else ""
            _check(tally, part, bounds.label, found.margin, found.gains, BOUNDS)
        elif part.count == 1:
            run(tally, part.masks(0, 1))
        elif found.unstable <= most and ask(tally, encode(bounds, found)):
            if tally.hint is None:
                _check(tally, part, bounds.label, None, found.gains, "a solver")
        else:
            stack += part.split(max(part.free, key=lambda g: (found.slopes[g], -g)))
    tally.finished = tally.hint is None


def _check(
    tally: Tally, part: Part, label: int, least: float | None, gains: Doubles, by: str
) -> None:
    """Have points of a part run that is proved. Raises AlarmError."""
    if tally.spots is not None:
        with tally.clock():
            tally.spots.part(part, label, least, gains, by)


def run(tally: Tally, masks: Bools) -> None:
    """Run some points; the first that is wrong becomes the tally's hint."""
    seen = tally.see(masks)
    tally.searched += len(masks)
    wrong = np.flatnonzero(seen.fails)
    if len(wrong):
        tally.hint = masks[wrong[0]].copy()


def around(mask: Bools, part: Part) -> Bools:
    """The point and the points of the part that differ from it in one feature; only those within
    the radius."""
    masks = np.vstack([mask, mask ^ np.eye(len(mask), dtype=np.bool_)[list(part.free)]])
    return masks[np.asarray(part.rungs.cost_units(masks) <= part.rungs.budget, dtype=np.bool_)]
