"""SMT on a float or LiteRT network in an L1 or L-infinity ball: z3 on bounded reals, for what
bounds leave open. Not complete.

Unsatisfiable is a proof for the runtime's arithmetic (`relrob.encoding.encode`). A model is a point
of the ball at which the network may be wrong within what the encoding allows for rounding: it is
made an image, and where that is right, one is asked for at which the network is wrong by more. It
is replayed behind the door, and the verdict is UNKNOWN where it is right there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, final

import numpy as np

from relrob.branching.threats import Answer, Question, ball_refusal, solve
from relrob.branching.z3_text import Z3, Said
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.encoding.encode import Refutation
from relrob.encoding.smtlib import smtlib
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ball import BallSet

_CLEAR: Final = (
    2.0**-6
)  # of the refutation's largest coefficient: more than the encoding allows for rounding


@final
class Reals:
    """One question a threat to the label. Slow beyond some tens of open ReLUs."""

    name = "smt"
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that have an enclosure, in L1 and L-infinity balls."""
        return ball_refusal(region, networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """Threat by threat, until a model or none is left."""
        return solve(query, self.name, _prepared)


def _prepared(question: Question) -> Callable[[Refutation], Answer]:
    return lambda refutation: _ask(question, refutation)


def _ask(question: Question, refutation: Refutation) -> Answer:
    """z3's answer; a model says how far each move is made."""
    answer, image = _model(question, refutation)
    if answer is Said.MODEL and (image is None or not question.wrong(image)):
        _, clearer = _model(
            question,
            replace(
                refutation,
                limit=refutation.limit - _CLEAR * float(np.abs(refutation.coefficients).max()),
            ),
        )
        image = image if clearer is None else clearer
    if answer is Said.MODEL:
        return Answer(False, image, None if image is not None else Reason.REPLAY)
    return Answer(True) if answer is Said.NONE else Answer(False, reason=Reason.TIME)


def _model(question: Question, refutation: Refutation) -> tuple[Said, Floats | None]:
    """z3's answer, and the image (d,) of its model."""
    z3 = Z3("QF_LRA", smtlib(question.encoding, [refutation], check=False))
    answer = z3.ask(question.deadline.left)
    if answer is not Said.MODEL:
        return answer, None
    shares = z3.reals(f"x{g}" for g in range(len(question.part.free)))
    return answer, question.image(np.array(shares))
