"""L1 and L-infinity balls by questions: a search for a witness, bounds, then each threat to the
label in turn.

Not complete: what the encoding allows for rounding may leave a point open at which the network is
right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relrob.attacks.frank_wolfe import sought
from relrob.bounding.ball import MovedBounds, Moves, moves_of
from relrob.bounding.survey import survey
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Norm, Region
from relrob.domain.verdict import Reason
from relrob.encoding.encode import Encoding, Refutation, encode
from relrob.networks.enclose import refusal
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about one network: `encoding`, over the moves `part` of `ball`, until
    `deadline`."""

    encoding: Encoding
    part: Moves
    ball: BallSet
    label: int
    opened: Opened
    deadline: Deadline

    def image(self, shares: Doubles) -> Floats | None:
        """The image (d,) of the ball at which each move is made to this extent (f,)."""
        return self.part.point(self.ball, shares)

    def wrong(self, image: Floats) -> bool:
        """Does the network, as it is deployed, give an image (d,) another label?"""
        return bool(labels(self.opened.replayer.outputs(image[None, :]))[0] != self.label)


@dataclass(frozen=True, eq=False)
class Answer:
    """To one threat. `closed`: no image of the ball realises it. Otherwise a suspected `image`
    (d,), or a `reason` for none."""

    closed: bool
    image: Floats | None = None
    reason: Reason | None = None


def ball_refusal(region: Region, networks: Sequence[Network]) -> str | None:
    """None for a network that has an enclosure, in an L1 or L-infinity ball, else the sentence that
    says why not."""
    without = refusal(networks)
    if without is None and region.kind not in (Norm.L1, Norm.LINF):
        return "it takes L1 and L-infinity balls only"
    return without


def solve(
    query: Query[BallSet], name: str, prepare: Callable[[Question], Callable[[Refutation], Answer]]
) -> Findings:
    """Each network by itself, threat by threat, until one is not closed or none is left. `name`:
    who closes them; `prepare`: makes what answers them."""
    return alone(tuple(_find(query, opened, name, prepare) for opened in query.networks))


def _find(
    query: Query[BallSet],
    opened: Opened,
    name: str,
    prepare: Callable[[Question], Callable[[Refutation], Answer]],
) -> Finding:
    """One network."""
    part, deadline = moves_of(query.points), Deadline(query.budget.seconds)
    assert part is not None  # noqa: S101 - ball_refusal() saw to it
    whole, witness, least, tried = sought(query, opened, deadline)
    if witness is not None:
        return witness
    bounds = MovedBounds(whole)
    encoding = encode(bounds, survey(bounds, part))
    if not encoding.refutations:
        return Finding(True, (), None, tried, "bounds")
    ask = prepare(Question(encoding, part, query.points, query.label, opened, deadline))
    for refutation in encoding.refutations:
        answer = Answer(False, reason=Reason.TIME) if deadline.late else ask(refutation)
        if not answer.closed:
            images = () if answer.image is None else (answer.image,)
            return Finding(False, images, least, tried, name, answer.reason)
    return Finding(True, (), None, tried, name)
