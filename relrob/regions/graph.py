"""A small ladder as a networkx graph, checked and exported.

A node is a set of moved features; an edge adds one manipulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import networkx

from relrob.errors import RegionError
from relrob.regions.ladder import RungSet
from relrob.system.files import atomic_path

LIMIT: Final = 20_000


@dataclass(frozen=True)
class Covering:
    """The result of the covering check.

    `complete`: no affordable manipulation leaves the graph; `covering`: single manipulations lead
    from the clean image to every point; `points`: their number; `longest`: manipulations on the
    longest ladder.
    """

    complete: bool
    covering: bool
    points: int
    longest: int


def graph(rungs: RungSet) -> Any:
    """A networkx.DiGraph. A node is the tuple of moved features, with the attribute `cost` (exact,
    as text); an edge has the attribute `feature`.

    Raises RegionError above `LIMIT` points.
    """
    if rungs.count > LIMIT:
        raise RegionError(
            f"a graph of {rungs.count:,} points",
            f"at most {LIMIT:,}",
            "a smaller radius or fewer features",
        )
    view = networkx.DiGraph()
    for mask in rungs.knapsack.masks(0, rungs.count):
        node = tuple(int(feature) for feature in mask.nonzero()[0])
        view.add_node(node, cost=str(rungs.cost(mask)))
    for node in list(view):
        for feature in node:
            parent = tuple(other for other in node if other != feature)
            if parent in view:
                view.add_edge(parent, node, feature=feature)
    return view


def check_covering(rungs: RungSet) -> Covering:
    """Check on the graph itself that the ladder is complete and covering (Duncan et al. 2020, Sec.
    II-C2)."""
    view = graph(rungs)
    complete = True
    for node in view:
        spent = sum((Fraction(rungs.costs[f], rungs.denominator) for f in node), Fraction(0))
        for feature in set(range(rungs.features)) - set(node):
            affordable = (
                spent + Fraction(rungs.costs[feature], rungs.denominator) <= rungs.ladder.radius
            )
            complete &= affordable == (tuple(sorted((*node, feature))) in view)
    depth = networkx.single_source_shortest_path_length(view, ())
    return Covering(complete, len(depth) == len(view), len(view), max(depth.values()))


def write_graphml(rungs: RungSet, path: Path) -> None:
    """Export the graph as GraphML (nodes named "0,3,7"; the clean image is "clean")."""
    view = graph(rungs)
    named = networkx.relabel_nodes(
        view, {node: ",".join(map(str, node)) or "clean" for node in view}
    )
    with atomic_path(path) as temporary:
        networkx.write_graphml(named, temporary)
