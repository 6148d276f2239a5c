"""MILP on a float or LiteRT network in an L1 or L-infinity ball: HiGHS, for what bounds leave open.
Not complete.

For each threat to the label the proof is a tree of our own over ReLU phases, whose every leaf is
closed by a bound that is recomputed outward (`relrob.branching.highs`); the worst image of each
relaxation is run. Where the tree does not end, or a leaf stays open (a point at which the network
may be wrong within what the encoding allows for rounding), HiGHS's branch and cut proposes an
image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

from relrob.branching.highs import Tree, propose
from relrob.branching.threats import Answer, Question, ball_refusal, solve
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.encoding.encode import Refutation
from relrob.encoding.milp import Program, program
from relrob.queries.clock import Deadline
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ball import BallSet

NODES: Final = 200  # of branch and cut, for one proposal
_SHARE: Final = (
    3 / 4
)  # of the time that is left, for one tree: a proposal takes longer than most trees (measured)
_MANY: Final = 10**9


@final
class MilpBall:
    """One program a threat to the label. Slow beyond some tens of open ReLUs."""

    name = "milp"
    complete = False

    def __init__(self, nodes: int = NODES) -> None:
        self._nodes = nodes

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that have an enclosure, in L1 and L-infinity balls."""
        return ball_refusal(region, networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """Threat by threat, until one is realised, or stays open."""
        return solve(query, self.name, self._prepared)

    def _prepared(self, question: Question) -> Callable[[Refutation], Answer]:
        rows = program(question.encoding)
        return lambda refutation: _ask(question, rows, refutation, self._nodes)


def _ask(question: Question, rows: Program, refutation: Refutation, nodes: int) -> Answer:
    """What the tree says, else an image that branch and cut proposes."""
    found: list[Floats] = []

    def see(shares: Doubles) -> bool:
        image = question.image(shares)
        if image is not None and question.wrong(image):
            found.append(image)
        return bool(found)

    watch = Deadline(question.deadline.left * _SHARE)
    if Tree(watch, rows, refutation, see).closes(_MANY):
        return Answer(False, found[0]) if found else Answer(True)
    late = watch.late
    proposed = propose(rows, refutation, nodes, question.deadline.left)
    if proposed is not None and see(proposed):
        return Answer(False, found[0])
    return Answer(False, reason=Reason.TIME if late else Reason.REPLAY)
