"""SMT on a fixed-point network in an L-infinity ball, bit for bit in integers: z3, for small
networks. Complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from relrob.bounding.codes import code_box, coded
from relrob.branching.z3_text import Z3, Said
from relrob.domain.network import Network
from relrob.domain.region import Norm, Region
from relrob.domain.verdict import Reason
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.networks.fixed.file import fixed_of
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet


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
    deadline = Deadline(query.budget.seconds)
    low, high = code_box(network, query.points)
    text = integer_smtlib(network, low, high, query.label, check=False)
    z3 = Z3("QF_LIA", text)
    said = z3.ask(deadline.left)
    if said is Said.MODEL and not z3.model_holds():
        z3 = Z3(None, text)
        said = z3.ask(deadline.left)
    if said is Said.NONE:
        return Finding(True, (), None, 0, Integer.name)
    if said is not Said.MODEL:
        return Finding(False, (), None, 0, Integer.name, Reason.TIME)
    codes, loose = low.copy(), np.flatnonzero(low < high)
    codes[loose] = z3.integers(f"x{i}" for i in loose)
    image = coded(network, query.points, codes)
    proposals = () if image is None else (image,)
    return Finding(False, proposals, None, 0, Integer.name)
