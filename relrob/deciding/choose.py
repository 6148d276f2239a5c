"""Which solver a query gets, and which one a run is refused before its work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

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
    region; nothing is proved of a black box. Raises UsageError."""
    refusals: dict[str, list[str]] = {}
    for entry in registry.solvers(region.kind, name):
        if network.black_box and entry.arithmetic:
            why = f"run as a black box: {network.black_box}"
            refusals.setdefault(why, []).append(entry.method)
            continue
        solver: Solver[BallSet] = registry.load(entry.target)()
        refusal = solver.accepts(region, (network,))
        if refusal is None:
            return solver
        refusals.setdefault(refusal, []).append(entry.method)
    if not refusals:
        raise UsageError(
            f"solver {name!r} for region {region.kind}",
            f"auto, {registry.names(registry.solvers(region.kind))}",
        )
    told = "; ".join(f"{', '.join(dict.fromkeys(by))}: {why}" for why, by in refusals.items())
    raise UsageError(
        f"{network.path} in region {region.kind}: {told}",
        hint="--solver witness, --region ladder",
    )


def chosen(points: Points, networks: Sequence[Network], asked: str | Solver[Any]) -> Solver[Points]:
    """The solver of these networks, asked for by its method or as it is. Raises UsageError where it
    does not take them."""
    found = _by_method(points, networks, asked) if isinstance(asked, str) else asked
    solver = cast("Solver[Points]", found)  # the registry knows which points a solver takes
    refusal = solver.accepts(points.region, networks)
    if refusal is not None:
        raise UsageError(f"solver {solver.name}: {refusal}", hint="--solver auto")
    return solver


def _by_method(
    points: Points, networks: Sequence[Network], method: str
) -> Solver[RungSet] | Solver[BallSet]:
    """One solver for all networks where points are counted on them together, else the one network's
    own."""
    if points.joint:
        return solver_named(method)
    (network,) = networks
    first = solver_for(points.region, network, method)
    return AutoBall(first) if method == "auto" else first


def check_solver(name: str, region: Region, networks: tuple[Network, Network]) -> None:
    """Refuse a solver that does not take such a region and such networks. Raises UsageError."""
    if region.joint:
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
