"""A small ladder as a graph that networkx can check, export and draw.

A node is the set of features that are moved; an edge moves one feature more. The clean image is the
empty set (Duncan et al. 2020, Sec. II-C2).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Final

import networkx

from relrob.errors import RegionError
from relrob.regions.knapsack import Knapsack
from relrob.regions.ladder import RungSet
from relrob.system.files import atomic_path

LIMIT: Final = 20_000  # points of a graph; one of them takes a kilobyte and 0.1 ms


@dataclass(frozen=True)
class Covering:
    """The result of the covering check.

    `complete`: no affordable manipulation leads out of the graph. `covering`: single manipulations
    lead from the clean image to every point. `points` and `edges` of the graph; `longest`:
    manipulations on its longest path.
    """

    complete: bool
    covering: bool
    points: int
    edges: int
    longest: int


def refuse_large(rungs: RungSet, limit: int = LIMIT, shape: str = "graph") -> None:
    """Raise RegionError for a ladder of more than `limit` points; it names a number of features
    that fits."""
    if rungs.count > limit:
        fits = next(
            features
            for features in count(1)
            if Knapsack(rungs.costs[: features + 1], rungs.budget).count > limit
        )
        raise RegionError(
            f"a {shape} of {rungs.count:,} points",
            f"at most {limit:,}",
            f"--features {fits}, or a smaller radius",
        )


def graph(rungs: RungSet) -> Any:
    """The ladder as a networkx.DiGraph.

    A node is the ascending tuple of its moved features, with the attribute `cost` (exact, as text).
    An edge has the attribute `feature`. Raises RegionError above `LIMIT` points.
    """
    refuse_large(rungs)
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


def check_covering(rungs: RungSet, view: Any) -> Covering:
    """Check on the graph of a ladder that the ladder is complete and covering (Duncan et al. 2020,
    Sec. II-C2).

    `view`: the result of `graph`. The check adds costs itself, as exact fractions.
    """
    complete = True
    for node in view:
        spent = sum((Fraction(rungs.costs[f], rungs.denominator) for f in node), Fraction(0))
        for feature in set(range(rungs.features)) - set(node):
            affordable = (
                spent + Fraction(rungs.costs[feature], rungs.denominator) <= rungs.region.radius
            )
            complete &= affordable == (tuple(sorted((*node, feature))) in view)
    depth = networkx.single_source_shortest_path_length(view, ())
    return Covering(
        complete, len(depth) == len(view), len(view), view.number_of_edges(), max(depth.values())
    )


def write_graphml(view: Any, path: Path) -> None:
    """Write the graph as GraphML. Nodes are named by their features, as "0,3,7"; the clean image is
    "clean". Raises StoreError where nothing can be written."""
    named = networkx.relabel_nodes(
        view, {node: ",".join(map(str, node)) or "clean" for node in view}
    )
    with atomic_path(path) as temporary:
        networkx.write_graphml(named, temporary)
