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
from typing import Any, Final, final

import numpy as np
import z3

from relrob.branching.threats import Answer, Question, refusal, solve
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.encoding.encode import Claim
from relrob.encoding.smtlib import smtlib
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ball import BallSet
from relrob.system.quiet import checked

_SEED: Final = 0
_CLEAR: Final = (
    2.0**-6
)  # of the claim's largest coefficient: more than the encoding allows for rounding


@final
class Reals:
    """One question a threat to the label. Slow beyond some tens of open ReLUs."""

    name = "smt"
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that have an enclosure, in L1 and L-infinity balls."""
        return refusal(region, networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """Threat by threat, until a model or none is left."""
        return solve(query, self.name, _prepared)


def _prepared(question: Question) -> Callable[[Claim], Answer]:
    return lambda claim: _ask(question, claim)


def _ask(question: Question, claim: Claim) -> Answer:
    """z3's answer; a model says how far each move is made."""
    answer, image = _model(question, claim)
    if answer == z3.sat and (image is None or not question.wrong(image)):
        _, clearer = _model(
            question,
            replace(claim, limit=claim.limit - _CLEAR * float(np.abs(claim.coefficients).max())),
        )
        image = image if clearer is None else clearer
    if answer == z3.sat:
        return Answer(False, image, None if image is not None else Reason.REPLAY)
    return Answer(True) if answer == z3.unsat else Answer(False, reason=Reason.TIME)


def _model(question: Question, claim: Claim) -> tuple[z3.CheckSatResult, Floats | None]:
    """z3's answer, and the image (d,) of its model."""
    solver = z3.SolverFor("QF_LRA")
    solver.set("random_seed", _SEED)
    solver.from_string(smtlib(question.encoding, [claim], check=False))
    solver.set("timeout", max(1, int(min(question.deadline.left, 1e6) * 1000)))
    answer = checked(solver)
    shares = _shares(solver.model(), len(question.part.free)) if answer == z3.sat else None
    return answer, None if shares is None else question.image(shares)


def _shares(model: Any, moves: int) -> Doubles:
    """How far a model makes each move (f,)."""
    values = [model.eval(z3.Real(f"x{g}"), model_completion=True) for g in range(moves)]
    return np.array([float(v.numerator_as_long()) / float(v.denominator_as_long()) for v in values])
