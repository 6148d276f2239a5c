"""Bounds over a ball or lattice: a search for a witness first, optimised slopes where the plain
ones do not reach. Not complete."""

from __future__ import annotations

import time
from typing import final

from relrob.attacks.frank_wolfe import sought
from relrob.bounding.certain import proves
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Reason
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding
from relrob.queries.problem import BallProblem


@final
class Around:
    """Milliseconds to seconds an image; UNKNOWN where neither a witness is found nor the bounds are
    tight enough."""

    name = "bounds"
    complete = False

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """Networks that have an enclosure."""
        if enclosure_of(network) is not None:
            return None
        return "no bounds for this network; float MLPs, dense .tflite files and fixed-point networks have them"

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """A witness, a proof, or neither."""
        end = time.perf_counter() + problem.budget.seconds
        bounds, witness, least, tried = sought(problem, opened, end)
        if witness is not None:
            return witness
        enclosure, plain = bounds.enclosure, bounds.margins()
        proof, by = plain, "bounds"
        if not proves(enclosure, problem.label, plain) and time.perf_counter() < end:
            proof, by = bounds.margins(bounds.alphas(plain)), "alpha"
        if not proves(enclosure, problem.label, proof):
            late = time.perf_counter() > end
            return BallFinding(False, (), least, tried, by, Reason.TIME if late else Reason.BOUNDS)
        margin = min(enclosure.shown(float(proof.low.min())), least)
        corners, least = (
            (bounds.at.hull.maximiser(proof.gains),),
            enclosure.shown(float(proof.low.min())),
        )
        kept = proof if problem.certify else None
        return BallFinding(True, (), margin, tried, by, proof=kept, corners=corners, least=least)
