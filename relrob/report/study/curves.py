"""Curves of studies of stages in print: means over seeds and runs, with a bar from the least to the
greatest seed. Imports Matplotlib."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.study.stage_rows import Values
from relrob.report.study.style import COLUMN, LOOKS, PAGE, sheet

# The look of what is no series of its own: accuracy without attack.
BASE: Final = 4
HIGH: Final = 1.5  # inches of a panel
Curve = list[tuple[float, Values]]


def panels(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """Panels at the width of a column, or with more than two a line of a page."""
    return sheet(rows, columns, COLUMN if columns <= 2 else PAGE, HIGH)


def draw(axes: Axes, curve: Curve, look: int, label: str) -> None:
    """Means against x, each with a bar from the least to the greatest seed."""
    colour, marker, line, _ = LOOKS[look % len(LOOKS)]
    known = [(x, values) for x, values in curve if values]
    if not known:
        return
    middle = [sum(values.values()) / len(values) for _, values in known]
    ends = np.array([_ends(values) for _, values in known]).T
    bars = np.abs(ends - np.array(middle))
    axes.errorbar(
        [x for x, _ in known],
        middle,
        yerr=bars,
        color=colour,
        marker=marker,
        linestyle=line,
        markerfacecolor=colour if look < len(LOOKS) else "white",
        markersize=2.8,
        linewidth=0.8,
        elinewidth=0.8,
        label=label,
    )


def _ends(values: Values) -> tuple[float, float]:
    """The least and the greatest mean of a seed."""
    found: dict[Any, list[float]] = {}
    for key, value in values.items():
        found.setdefault(key[0], []).append(value)
    means = [sum(group) / len(group) for group in found.values()]
    return min(means), max(means)
