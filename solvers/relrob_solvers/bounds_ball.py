"""Bounds over a ball or lattice: a search for a witness first, optimised slopes where the plain
ones do not reach. Not complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from relrob.attacks.frank_wolfe import sought
from relrob.bounding.certain import proves
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.networks.enclose import refusal
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, PhaseLeaf, PhaseProof, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet


@final
class Around:
    """Milliseconds to seconds an image; UNKNOWN where neither a witness is found nor the bounds are
    tight enough."""

    name = "bounds"
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that have an enclosure."""
        return refusal(networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """A witness, a proof, or neither, of each network by itself."""
        return alone(tuple(_find(query, opened) for opened in query.networks))


def _find(query: Query[BallSet], opened: Opened) -> Finding:
    """One network."""
    deadline = Deadline(query.budget.seconds)
    bounds, witness, least, tried = sought(query, opened, deadline)
    if witness is not None:
        return witness
    enclosure, plain = bounds.enclosure, bounds.margins()
    proof, by = plain, "bounds"
    if not proves(enclosure, query.label, plain) and not deadline.late:
        proof, by = bounds.margins(bounds.alphas(plain)), "alpha"
    if not proves(enclosure, query.label, proof):
        return Finding(False, (), least, tried, by, Reason.TIME if deadline.late else Reason.BOUNDS)
    margin = min(enclosure.shown(float(proof.low.min())), least)
    corners, least = (
        (bounds.at.hull.maximiser(proof.gains),),
        enclosure.shown(float(proof.low.min())),
    )
    kept = PhaseProof((PhaseLeaf((), proof, ()),)) if query.certify else None
    return Finding(True, (), margin, tried, by, proof=kept, corners=corners, least=least)
