"""SMT on a fixed-point network in an L-infinity ball, bit for bit in integers: z3, for small
networks. Complete."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import z3

from relrob.bounding.codes import code_box, coded
from relrob.domain.network import Network
from relrob.domain.region import Norm, Region
from relrob.domain.verdict import Reason
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.networks.fixed.file import fixed_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet
from relrob.system.quiet import checked

_SEED: Final = 0


@final
class Integer:
    """One question a network. Exact, and slow beyond some tens of pixels and neurons: UNKNOWN comes
    only from the time limit."""

    name = "smt"
    complete = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Fixed-point networks in L-infinity balls."""
        if any(fixed_of(network) is None for network in networks):
            return "it takes fixed-point networks only"
        if region.kind != Norm.LINF:
            return "it takes L-infinity balls only"
        return None

    def solve(self, query: Query[BallSet]) -> Findings:
        """Each network by itself."""
        return alone(tuple(_find(query, opened) for opened in query.networks))


def _find(query: Query[BallSet], opened: Opened) -> Finding:
    """Unsatisfiable is a proof; a model is a code vector, made an image and replayed behind the
    door."""
    network = fixed_of(opened.network)
    assert network is not None  # noqa: S101 - accepts() saw to it
    end = time.perf_counter() + query.budget.seconds
    low, high = code_box(network, query.points)
    solver = z3.SolverFor("QF_LIA")
    solver.set("random_seed", _SEED)
    solver.from_string(integer_smtlib(network, low, high, query.label, check=False))
    solver.set("timeout", max(1, int(min(end - time.perf_counter(), 1e6) * 1000)))
    answer = checked(solver)
    if answer == z3.unsat:
        return Finding(True, (), None, 0, Integer.name)
    if answer != z3.sat:
        return Finding(False, (), None, 0, Integer.name, Reason.TIME)
    model: Any = solver.model()
    codes = low.copy()
    for i in np.flatnonzero(low < high):
        codes[i] = model.eval(z3.Int(f"x{i}"), model_completion=True).as_long()
    image = coded(network, query.points, codes)
    proposals = () if image is None else (image,)
    return Finding(False, proposals, None, 0, Integer.name)
