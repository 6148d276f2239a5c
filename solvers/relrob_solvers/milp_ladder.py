"""MILP: HiGHS on big-M programs of what bounds and a cheap search leave open; its float arithmetic
is never believed. Complete.

Cube and conquer (`relrob.branching.cubes`): parts of the ladder with too many open ReLUs are split
on a feature. For each threat to the label HiGHS's branch and cut proposes a point, which is run.
The proof is a tree of our own over features and ReLU phases (`relrob.branching.highs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from relrob.branching.cubes import around, run, solve
from relrob.branching.highs import Tree, propose
from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.encoding.encode import Encoding
from relrob.encoding.milp import program
from relrob.judging.tally import Tally
from relrob.networks.enclose import refusal
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet

UNSTABLE: Final = 64  # relaxations of more open ReLUs cost more than splitting the part (measured)
NODES: Final = 200  # nodes of one tree before its part is split


@final
class Milp:
    """HiGHS on parts of the ladder with at most `unstable` open ReLUs. UNKNOWN comes only from the
    limit. Verdicts, not counts."""

    name = "milp"
    complete = True

    def __init__(self, unstable: int = UNSTABLE, nodes: int = NODES) -> None:
        self._unstable, self._nodes = unstable, nodes

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that all have bounds: float MLPs and dense LiteRT files."""
        return refusal(networks)

    def solve(self, query: Query[RungSet]) -> Findings:
        """Each network by itself, within the budget."""
        return solve(query, self._ask, self._unstable)

    def _ask(self, tally: Tally, encoding: Encoding) -> bool:
        """Every threat to a part in turn."""
        with tally.clock():
            rows = program(encoding)
        for refutation in encoding.refutations:
            with tally.clock():
                proposed = propose(rows, refutation, self._nodes, tally.limit - tally.spent)
            if proposed is not None:
                masks = around(
                    encoding.mask([bool(value > 0.5) for value in proposed]), encoding.ladder
                )
                if len(masks):
                    run(tally, masks)
            if tally.hint is not None:
                return True
            if not Tree(tally, rows, refutation, lambda point: _see(tally, encoding, point)).closes(
                self._nodes
            ):
                return False
            if tally.hint is not None:
                return True
        return True


def _see(tally: Tally, encoding: Encoding, point: Doubles) -> bool:
    """Run a single point, if it is one of the ladder."""
    mask = encoding.mask([bool(value) for value in point])
    rungs = encoding.ladder.rungs
    if rungs.cost_units(mask[None, :])[0] <= rungs.budget:
        run(tally, mask[None, :])
    return tally.hint is not None
