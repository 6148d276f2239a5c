"""A small ladder as a drawing: a line of points for each number of moved features, the cheapest
point on the left, an edge for each manipulation. Imports Matplotlib."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import matplotlib
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from relrob.report.figure_file import STYLE, saved

# Points of a drawing; more would be one grey area.
DRAWN: Final = 2_000
# Width of the drawing and height of a line of points, in inches.
_WIDTH, _ROW = 9.0, 0.9
# Area of a marker where a line has one point; it shrinks as lines grow.
_MARK: Final = 40.0


def drawing(view: Any, kind: str, title: str) -> bytes:
    """The graph of a ladder (`relrob.regions.graph`) as a "png" or "svg"; colours are costs."""
    rungs: dict[int, list[tuple[int, ...]]] = {}
    costs = {node: float(Fraction(cost)) for node, cost in view.nodes(data="cost")}
    for node in sorted(view, key=lambda node: (len(node), costs[node], node)):
        rungs.setdefault(len(node), []).append(node)
    places = {
        node: ((place + 0.5) / len(nodes), moved)
        for moved, nodes in rungs.items()
        for place, node in enumerate(nodes)
    }
    with matplotlib.rc_context({**STYLE, "font.size": 9.0}):
        figure = Figure(figsize=(_WIDTH, _ROW * len(rungs) + 1.2), layout="constrained")
        axes = figure.subplots()
        lines = [(places[one], places[other]) for one, other in view.edges]
        axes.add_collection(LineCollection(lines, colors="#BBBBBB", linewidths=0.4, zorder=1))
        across, up = zip(*places.values(), strict=True)
        size = max(_MARK / max(len(nodes) for nodes in rungs.values()) ** 0.5, 3.0)
        dots = axes.scatter(
            across, up, size, [costs[node] for node in places], cmap="cividis", zorder=2
        )
        figure.colorbar(dots, ax=axes, label="L1 cost")
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        axes.set_yticks(list(rungs), [f"{moved} ({len(rungs[moved])})" for moved in rungs])
        axes.set_ylabel("features moved (points)")
        axes.set_title(title)
        return saved(figure, kind)
