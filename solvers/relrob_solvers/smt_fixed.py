"""SMT on a fixed-point network in an L-infinity ball, bit for bit in integers: z3, for small
networks. Complete."""

from __future__ import annotations

import time
from typing import Any, Final, final

import numpy as np
import z3

from relrob.bounding.codes import code_box, coded
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Reason
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.networks.fixed.file import fixed_of
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding
from relrob.queries.problem import BallProblem
from relrob.system.quiet import checked

_SEED: Final = 0


@final
class Integer:
    """One question a network. Exact, and slow beyond some tens of pixels and neurons: UNKNOWN comes
    only from the time limit."""

    name = "smt"
    complete = True

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """Fixed-point networks in L-infinity balls."""
        if fixed_of(network) is None:
            return "it takes fixed-point networks only"
        if not isinstance(region, Ball) or region.norm is not Norm.LINF:
            return "it takes L-infinity balls only"
        return None

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """Unsatisfiable is a proof; a model is a code vector, made an image and replayed behind the
        door."""
        network = fixed_of(opened.network)
        assert network is not None  # noqa: S101 - accepts() saw to it
        end = time.perf_counter() + problem.budget.seconds
        low, high = code_box(network, problem.ball)
        solver = z3.SolverFor("QF_LIA")
        solver.set("random_seed", _SEED)
        solver.from_string(integer_smtlib(network, low, high, problem.label, check=False))
        solver.set("timeout", max(1, int(min(end - time.perf_counter(), 1e6) * 1000)))
        answer = checked(solver)
        if answer == z3.unsat:
            return BallFinding(True, (), None, 0, self.name)
        if answer != z3.sat:
            return BallFinding(False, (), None, 0, self.name, Reason.TIME)
        model: Any = solver.model()
        codes = low.copy()
        for i in np.flatnonzero(low < high):
            codes[i] = model.eval(z3.Int(f"x{i}"), model_completion=True).as_long()
        image = coded(network, problem.ball, codes)
        proposals = () if image is None else (image,)
        return BallFinding(False, proposals, None, 0, self.name)
