"""Which solver a query gets, and which one a run is refused before its work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from relrob import registry
from relrob.deciding.auto import Auto, AutoBall, named
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.errors import UsageError
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet
from relrob.regions.points import Points


def solver_named(name: str) -> Solver[RungSet]:
    """The solver of ladders of that name; "auto" is the chain of `relrob.deciding.auto`. Raises
    UsageError."""
    return Auto() if name == "auto" else named(name)


def solver_for(region: Region, network: Network, name: str) -> Solver[BallSet]:
    """The solver of balls of that name, or of "auto" the first, that takes the network in such a
    region. Raises UsageError."""
    if network.black_box:
        raise UsageError(
            f"balls need a modelled network; {network.path} is run as a black box: {network.black_box}",
            hint="--region ladder",
        )
    refusals = []
    for entry in registry.solvers(region.kind, name):
        solver: Solver[BallSet] = registry.load(entry.target)()
        refusal = solver.accepts(region, (network,))
        if refusal is None:
            return solver
        refusals.append(f"solver {entry.method}: {refusal}")
    if not refusals:
        raise UsageError(
            f"solver {name!r} for region {region.kind}",
            f"auto, {registry.names(registry.solvers(region.kind))}",
        )
    raise UsageError(
        f"{network.path} in region {region.kind}: {'; '.join(refusals)}", hint="--region ladder"
    )


def chosen(
    points: Points, networks: Sequence[Network], asked: str | Solver[Points]
) -> Solver[Points]:
    """The solver of these networks, asked for by its method or as it is. Raises UsageError where it
    does not take them."""
    if isinstance(asked, str) and not points.joint:
        (network,) = networks
        first = solver_for(points.region, network, asked)
        return cast("Solver[Points]", AutoBall(first) if asked == "auto" else first)
    solver = cast("Solver[Points]", solver_named(asked)) if isinstance(asked, str) else asked
    refusal = solver.accepts(points.region, networks)
    if refusal is not None:
        raise UsageError(f"solver {solver.name}: {refusal}", hint="--solver auto")
    return solver


def check_solver(name: str, region: Region, networks: tuple[Network, Network]) -> None:
    """Refuse a solver that does not take such a region and such networks. Raises UsageError."""
    if region.kind == "ladder":
        solver_named(name)
        return
    if region.kind == "search":
        if name != "auto":
            raise UsageError(
                f"solver {name!r} for region search, which is a search itself",
                "auto",
                "--region ladder",
            )
        return
    for network in networks:
        solver_for(region, network, name)
