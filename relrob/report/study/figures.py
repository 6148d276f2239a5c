"""A study's figures as SVG and PNG: robust images against the step, both rates beside the published
ones, fooled images by label.

Colours are cividis and two of Okabe and Ito's, which the colour-blind can tell apart; line and
marker differ too. Thin bars are Wilson intervals (95 %). A rate that undecided images could change
is a thick bar without a marker, from the least to the greatest that they allow. The same rows give
the same bytes. Imports Matplotlib.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.figure_file import STYLE, files
from relrob.report.study.table_rows import Rate, TableRow
from relrob.store.proportions import Bounds, Proportion

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#555555"
_STYLE: Final[Any] = {
    **STYLE,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
# Undecided images on top of a bar.
_OPEN: Final[Any] = {"hatch": "/////", "linewidth": 0.3}
# Points of two networks at one step stand so many octaves apart.
_APART: Final = 0.06
# Images of a rate whose interval must fit; intervals of fewer run out of the picture.
_ENOUGH: Final = 30
_Panel = tuple[str, list[TableRow]]


def figures(rows: Sequence[TableRow]) -> dict[str, bytes]:
    """File name to content: an .svg and a .png of robust, of rates, and for each grid of
    fooled-by-label-GRID. Rows without a step are left out."""
    stepped = [row for row in rows if row.step is not None]
    if not stepped:
        return {}
    with matplotlib.rc_context(_STYLE):
        made = files("robust", _robust(stepped)) | files("rates", _rates(stepped))
        for name, mine in _panels(stepped, lambda row: re.sub("[^A-Za-z0-9_-]+", "-", row.grid)):
            made |= files(f"fooled-by-label-{name}", _fooled(mine))
    return made


def _panels(rows: Iterable[TableRow], *names: Callable[[TableRow], str]) -> list[_Panel]:
    """Rows that agree in all `names`, with a title."""
    found: dict[str, list[TableRow]] = {}
    for row in rows:
        found.setdefault(", ".join(name(row) for name in names), []).append(row)
    return list(found.items())


def _grid(row: TableRow) -> str:
    return row.grid


def _runtime(row: TableRow) -> str:
    return row.runtime


def _radius(row: TableRow) -> str:
    return f"radius {row.radius}"


def _step(row: TableRow) -> Fraction:
    """The step of a row that has one."""
    return row.step if row.step is not None else Fraction(0)


def _sheet(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels, each of that size in inches."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(line) for line in axes]


def _steps_axis(axes: Axes, rows: Sequence[TableRow]) -> None:
    """The steps of the rows, from small to large, evenly spaced where each is twice the one
    before."""
    steps = sorted({_step(row) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks([float(step) for step in steps], [str(step) for step in steps])
    axes.minorticks_off()
    axes.set_xlabel("step")


def _line(
    axes: Axes,
    rows: Sequence[TableRow],
    pick: Callable[[TableRow], Rate],
    shift: float,
    **style: Any,
) -> None:
    """Draw a rate with its interval against the step, `shift` octaves to the right.

    The shift keeps lines from hiding each other. Cells without a rate are left out, and so are the
    lines to cells of undecided images.
    """
    points = [
        (float(_step(row)) * 2**shift, rate.bounds, rate.interval)
        for row in sorted(rows, key=_step)
        if (rate := pick(row)).bounds is not None and rate.interval is not None
    ]
    if not points:
        return
    known = [math.nan if low < high else low for _, (low, high), _ in points]
    steps, arms = [step for step, _, _ in points], [_arms(*ends) for _, *ends in points]
    down, up = zip(*arms, strict=True)
    drawn = axes.errorbar(
        steps,
        known,
        yerr=[down, up],
        linewidth=1.4,
        markersize=5,
        capsize=2.5,
        elinewidth=1.4,
        **style,
    )
    colour = drawn.lines[0].get_color() if drawn.lines[0] is not None else None
    for (step, (low, high), _), (below, above) in zip(points, arms, strict=True):
        if low < high:
            axes.vlines(step, low, high, colors=colour, linewidth=5, alpha=0.45)
            axes.vlines(step, low - below, low + above, colors=colour, linewidth=1.4)


def _arms(bounds: Bounds, interval: Bounds) -> Bounds:
    """How far an interval reaches below and above the least rate."""
    return bounds[0] - interval[0], interval[1] - bounds[0]


def _robust(rows: Sequence[TableRow]) -> Figure:
    """Images on which each network is robust, against the step: a panel a grid and kernel family, a
    marker a radius."""
    panels = _panels(rows, _grid, _runtime)
    columns = min(2, len(panels))
    figure, sheet = _sheet(-(-len(panels) // columns), columns, (4.6, 3.3))
    for number, (title, mine) in enumerate(panels):
        axes = sheet[number // columns][number % columns]
        for (name, cells), marker in zip(_panels(mine, _radius), "osD^v", strict=False):
            for network, pick, shift, style in (
                ("reference", lambda row: row.reference_robust, -_APART, {"color": _BLUE}),
                (
                    "quantised",
                    lambda row: row.quantised_robust,
                    _APART,
                    {"color": _ORANGE, "ls": "--", "mfc": "white"},
                ),
            ):
                _line(axes, cells, pick, shift, marker=marker, label=f"{network}, {name}", **style)
        axes.set_title(title)
        axes.set_ylabel("images robust, %")
        axes.set_ylim(0, 102)
        _steps_axis(axes, mine)
        axes.legend(fontsize=8)
    _blank(sheet, len(panels))
    return figure


def _rates(rows: Sequence[TableRow]) -> Figure:
    """Relative robustness and transfer against the step, two panels a grid and kernel family, the
    published ones as crosses."""
    panels = _panels(rows, _grid, _runtime)
    figure, sheet = _sheet(len(panels), 2, (4.6, 3.1))
    kinds: tuple[tuple[str, Callable[[TableRow], Rate]], ...] = (
        ("relative robustness $|R_Q^{FP}|\\,/\\,|R|$, %", lambda row: row.robustness),
        ("adversarial transfer $|R^0|\\,/\\,|R_{NOT}|$, %", lambda row: row.transfer),
    )
    for line, (title, mine) in zip(sheet, panels, strict=True):
        for axes, (label, pick) in zip(line, kinds, strict=True):
            for (name, cells), colour, marker, shift in zip(
                _panels(mine, _radius),
                (_BLUE, _ORANGE, _GREY),
                "osD",
                (-_APART, _APART, 0.0),
                strict=False,
            ):
                _line(axes, cells, pick, shift, color=colour, marker=marker, label=name)
                told = [
                    (float(_step(row)) * 2**shift, pick(row).published)
                    for row in cells
                    if pick(row).published is not None
                ]
                if told:
                    x, y = zip(*told, strict=True)
                    axes.plot(
                        x,
                        y,
                        "x",
                        color=colour,
                        markersize=7,
                        markeredgewidth=1.8,
                        zorder=4,
                        label=f"{name}, published",
                    )
            axes.set_title(title)
            axes.set_ylabel(label)
            axes.set_ylim(*_range(pick(row) for row in mine))
            _steps_axis(axes, mine)
        # One legend stands beside both panels.
        line[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _range(rates: Iterable[Rate]) -> tuple[float, float]:
    """The range of percentages to show.

    It holds every rate, every published rate, and the intervals of rates of `_ENOUGH` images.
    """
    shown = [100.0]
    for rate in rates:
        shown += [*(rate.bounds or ()), *([] if rate.published is None else [rate.published])]
        if rate.interval is not None and rate.images.whole >= _ENOUGH:
            shown.append(rate.interval[0])
    low = min(shown)
    margin = max(100 - low, 1) * 0.06
    return max(low - margin, 0), 100 + margin


def _fooled(rows: Sequence[TableRow]) -> Figure:
    """Images with an effective perturbation, by label: Figure 6 of Duncan et al. 2020. A panel a
    grid, kernel family and radius."""
    panels = _panels(rows, _grid, _runtime, _radius)
    figure, sheet = _sheet(len(panels), 1, (9.0, 2.5))
    for (axes,), (title, mine) in zip(sheet, panels, strict=True):
        cells = sorted(mine, key=_step, reverse=True)
        labels = sorted({label for row in cells for label in row.by_label})
        width = 0.86 / len(cells)
        for number, row in enumerate(cells):
            ends = [row.by_label.get(label, Rate(Proportion())).bounds for label in labels]
            rates = [bounds[0] if bounds else 0.0 for bounds in ends]
            open_ = [bounds[1] - bounds[0] if bounds else 0.0 for bounds in ends]
            left = [place + (number - (len(cells) - 1) / 2) * width for place in range(len(labels))]
            shade = matplotlib.colormaps["cividis"](0.95 * number / max(len(cells) - 1, 1))
            axes.bar(
                left,
                rates,
                width,
                color=shade,
                edgecolor="white",
                linewidth=0.3,
                label=str(row.step),
            )
            if any(open_):
                axes.bar(left, open_, width, rates, color="none", edgecolor=shade, **_OPEN)
        axes.set_xticks(range(len(labels)), [str(label) for label in labels])
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0, 100)
        axes.set_xlabel("label")
        axes.set_ylabel("images fooled, %")
        axes.set_title(title)
        axes.legend(title="step", fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _blank(sheet: list[list[Axes]], used: int) -> None:
    """Hide the panels after the first `used` ones."""
    for axes in [axes for line in sheet for axes in line][used:]:
        axes.set_visible(False)
