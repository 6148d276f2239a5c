"""Which solver a run uses, checked before the work."""

from __future__ import annotations

from relrob.decide import solver_named
from relrob.decide_ball import solver_for
from relrob.domain.network import Network
from relrob.domain.region import Ball, Ladder, Lattice


def check_solver(name: str, region: Ladder | Ball | Lattice, networks: tuple[Network, Network]) -> None:
    """Refuse a solver that does not take such a region and such networks. Raises UsageError."""
    if isinstance(region, Ladder):
        solver_named(name)
        return
    for network in networks:
        solver_for(region, network, name)
