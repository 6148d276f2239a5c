"""Which solver a run uses, checked before the work."""

from __future__ import annotations

from relrob.deciding.decide import solver_named
from relrob.deciding.decide_ball import solver_for
from relrob.domain.network import Network
from relrob.domain.region import Ladder, Region, Search
from relrob.errors import UsageError


def check_solver(name: str, region: Region, networks: tuple[Network, Network]) -> None:
    """Refuse a solver that does not take such a region and such networks. Raises UsageError."""
    if isinstance(region, Ladder):
        solver_named(name)
        return
    if isinstance(region, Search):
        if name != "auto":
            raise UsageError(
                f"solver {name!r} for region search, which is a search itself",
                "auto",
                "--region ladder",
            )
        return
    for network in networks:
        solver_for(region, network, name)
