"""SMT on a float or LiteRT network in an L1 or L-infinity ball: z3 on bounded reals, for what bounds leave open. Not complete.

Unsatisfiable is a proof for the runtime's arithmetic (`relrob.bounding.encoding`). A model is a point of the ball at which the
network may be wrong within what the encoding allows for rounding: it is made an image and replayed behind the door, and UNKNOWN
where it is right there.
"""

from __future__ import annotations

import time
from typing import Any, Final, final

import numpy as np
import z3

from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.encoding import Claim, Encoding, encode, survey
from relrob.bounding.smtlib import smtlib
from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Reason
from relrob.networks.enclose import enclosure_of
from relrob.problem import BallFinding, BallProblem, Opened
from relrob.seek import seek

_SEED: Final = 0


@final
class Reals:
    """One question a threat to the label. Slow beyond some tens of open ReLUs."""

    name = "smt"
    complete = False

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """Networks that have an enclosure, in L1 and L-infinity balls."""
        if enclosure_of(network) is None:
            return "no bounds for this network"
        if not isinstance(region, Ball) or region.norm not in (Norm.L1, Norm.LINF):
            return "it takes L1 and L-infinity balls only"
        return None

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """Threat by threat, until a model or none is left."""
        enclosure, part = enclosure_of(opened.network), moves_of(problem.ball)
        assert enclosure is not None  # noqa: S101 - accepts() saw to both
        assert part is not None  # noqa: S101
        end = time.perf_counter() + problem.budget.seconds
        whole = BallBounds(enclosure, problem.ball, problem.label)
        witness, least, tried = seek(whole, opened, end)
        if witness is not None:
            return BallFinding(False, (witness,), least, tried, "witness")
        bounds = MovedBounds(whole)
        encoding = encode(bounds, survey(bounds, part))
        for claim in encoding.claims:
            answer, shares = _ask(encoding, claim, end - time.perf_counter())
            if answer == z3.sat:
                image = part.point(problem.ball, shares)
                return BallFinding(False, () if image is None else (image,), least, tried, self.name)
            if answer != z3.unsat:
                return BallFinding(False, (), least, tried, self.name, Reason.TIME)
        return BallFinding(True, (), None, tried, self.name if encoding.claims else "bounds")


def _ask(encoding: Encoding, claim: Claim, seconds: float) -> tuple[z3.CheckSatResult, Doubles]:
    """z3's answer, and how far the model makes each move (f,)."""
    solver = z3.SolverFor("QF_LRA")
    solver.set("random_seed", _SEED)
    solver.set("timeout", max(1, int(min(seconds, 1e6) * 1000)))
    solver.from_string(smtlib(encoding, [claim], check=False))
    answer = solver.check()
    shares = np.zeros(len(encoding.part.free))
    if answer == z3.sat:
        model: Any = solver.model()
        for g in encoding.part.free:
            value = model.eval(z3.Real(f"x{g}"), model_completion=True)
            shares[g] = float(value.numerator_as_long()) / float(value.denominator_as_long())
    return answer, shares
