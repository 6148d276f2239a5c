"""Bounds over a ball or lattice: a search for a witness first, optimised slopes where the plain ones do not reach. Not complete."""

from __future__ import annotations

import time
from typing import final

from relrob.bounding.ball import BallBounds
from relrob.bounding.certain import proves
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Reason
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import probability_margin
from relrob.problem import BallFinding, BallProblem, Opened
from relrob.seek import seek


@final
class Around:
    """Milliseconds to seconds an image; UNKNOWN where neither a witness is found nor the bounds are tight enough."""

    name = "bounds"
    complete = False

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """Networks that have an enclosure."""
        if enclosure_of(network) is not None:
            return None
        return "no bounds for this network; float MLPs, dense .tflite files and fixed-point networks have them"

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """A witness, a proof, or neither."""
        enclosure = enclosure_of(opened.network)
        assert enclosure is not None  # noqa: S101 - accepts() saw to it
        end = time.perf_counter() + problem.budget.seconds
        bounds = BallBounds(enclosure, problem.ball, problem.label)
        found, least, tried = seek(bounds, opened, end)
        if found is not None:
            return BallFinding(False, (found,), least, tried, "witness")
        plain = bounds.margins()
        proof, by = plain, "bounds"
        if not proves(enclosure, problem.label, plain) and time.perf_counter() < end:
            proof, by = bounds.margins(bounds.falls(plain)), "alpha"
        if not proves(enclosure, problem.label, proof):
            late = time.perf_counter() > end
            return BallFinding(False, (), least, tried, by, Reason.TIME if late else Reason.BOUNDS)
        margin = float(proof.low.min())
        shown = probability_margin(margin, enclosure.classes) if enclosure.probabilities else margin
        return BallFinding(True, (), min(shown, least), tried, by, proof=proof if problem.certify else None)
