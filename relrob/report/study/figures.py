"""A study's figures in print, at the width of a column, as SVG and PDF: both rates beside the
published ones and robust images against the step, and fooled images by class.

A thin line is a Wilson interval (95 %); the axes hold it. A share that undecided images could
change is a thick line without a marker, from the least to the greatest that they allow. The number
of images stands beside each point. A share of fewer than `LEAST` images is not drawn, and the
figure says so. The same rows give the same bytes. Imports Matplotlib.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relrob.domain.arrays import Doubles
from relrob.report.figure_file import files
from relrob.report.study.class_figures import by_class
from relrob.report.study.style import COLUMN, GREY, LOOKS, PRINT, SMALL, foot, legend, sheet
from relrob.report.study.table_rows import LEAST, Rate, TableRow

_Pick = Callable[[TableRow], Rate]
_SPREAD: Final = 0.6  # of the room of a step that its points fill
_HIGH: Final = 1.3  # inches of a panel without the lines of numbers
_LINE: Final = 7.5  # points of a line of numbers
_WIDE: Final = 3.2  # points of the line of undecided images
# Percentages at which an angular axis may have a tick, and how far apart on it, of its length.
_TICKS: Final = (100, 99.5, 99, 98, 96, 93, 90, 80, 70, 60, 50, 40, 20, 10, 5, 0)
_APART: Final = 0.075
_DASH: Final = "\N{EN DASH}"


@dataclass(frozen=True)
class _Series:
    """Cells of one grid and kernel family at one radius; `look`: its place in `LOOKS`."""

    name: str
    rows: tuple[TableRow, ...]
    look: int


def figures(rows: Sequence[TableRow]) -> dict[str, bytes]:
    """File name to content: for each data set relative-robustness-SET, transfer-SET and robust-SET,
    and for each grid fooled-by-label-GRID, as .svg and .pdf. Rows without a step are left out."""
    stepped = [row for row in rows if row.step is not None]
    made: dict[str, bytes] = {}
    with matplotlib.rc_context(PRINT):
        for name, mine in _parts(stepped):
            made |= files(f"relative-robustness-{name}", _robustness(mine))
            made |= files(f"transfer-{name}", _transfer(mine))
            made |= files(f"robust-{name}", _robust(mine))
        for grid, mine in _split(stepped, lambda row: _word(row.grid)):
            made |= files(f"fooled-by-label-{grid}", by_class(mine))
    return made


def _word(text: str) -> str:
    """For the name of a file."""
    return re.sub("[^A-Za-z0-9_-]+", "-", text)


def _split(
    rows: Iterable[TableRow], name: Callable[[TableRow], str]
) -> list[tuple[str, list[TableRow]]]:
    found: dict[str, list[TableRow]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return list(found.items())


def _parts(rows: Sequence[TableRow]) -> list[tuple[str, list[TableRow]]]:
    """The rows of each figure: those of a data set. Grids of which images are undecided stand in a
    figure of their own, whose axes they stretch; so do grids of radii that the first grid of their
    data set lacks, and more grids and kernel families than there are looks."""
    open_ = {_series_of(row) for row in rows if row.unknown}
    first: dict[str, str] = {}
    radii: dict[str, dict[str, None]] = {}
    for row in rows:
        first.setdefault(row.dataset, row.grid)
        radii.setdefault(row.grid, {})[str(row.radius)] = None

    def name(row: TableRow) -> str:
        known = radii[first[row.dataset]]
        other = [radius for radius in radii[row.grid] if radius not in known]
        parts = [row.dataset, "undecided"] if _series_of(row) in open_ else [row.dataset]
        return _word("-".join([*parts, "radius", *other] if other else parts))

    found = []
    for dataset, mine in _split(rows, name):
        each = [group for _, group in _split(mine, _series_of)]
        for start in range(0, len(each), len(LOOKS)):
            number = "" if start == 0 else f"-{start // len(LOOKS) + 1}"
            part = [row for group in each[start : start + len(LOOKS)] for row in group]
            found.append((dataset + number, part))
    return found


def _series_of(row: TableRow) -> str:
    return f"{row.grid}, {row.runtime}"


def _named(rows: Sequence[TableRow]) -> dict[str, str]:
    """Series to its name in the legend: the region and the kernels, or the grid where those are
    not its own."""
    words = {_series_of(row): f"{row.described}, {row.runtime}" for row in rows}
    shown = list(words.values())
    return {key: name if shown.count(name) == 1 else key for key, name in words.items()}


def _robustness(rows: Sequence[TableRow]) -> Figure:
    return _by_step(rows, "$|R_Q^{FP}|\\,/\\,|R|$, %", "$|R|$", (lambda row: row.robustness,))


def _transfer(rows: Sequence[TableRow]) -> Figure:
    return _by_step(rows, "$|R^0|\\,/\\,|R^{NOT}|$, %", "$|R^{NOT}|$", (lambda row: row.transfer,))


def _robust(rows: Sequence[TableRow]) -> Figure:
    picks = (lambda row: row.reference_robust, lambda row: row.quantised_robust)
    return _by_step(rows, "images robust, %", "images", picks)


def _by_step(rows: Sequence[TableRow], label: str, whole: str, picks: Sequence[_Pick]) -> Figure:
    """A panel a radius: a rate against the step, a series a grid and kernel family, below it the
    number of images of each point. Of two `picks` the second is the quantised network's, hollow."""
    names, radii = _named(rows), _split(rows, lambda row: str(row.radius))
    looks = {key: look for look, key in enumerate(names)}
    high = _HIGH + (len(names) * _LINE + 26) / 72
    figure, panels = sheet(len(radii), 1, COLUMN, high)
    for (axes,), (radius, mine) in zip(panels, radii, strict=True):
        steps = sorted({row.step for row in mine if row.step is not None})
        series = [
            _Series(names[key], tuple(cells), looks[key]) for key, cells in _split(mine, _series_of)
        ]
        told = {row.step: picks[0](row).published for row in mine if len(picks) == 1}
        lanes = len(series) * len(picks) + any(value is not None for value in told.values())
        for number, each in enumerate(series):
            places = [{row.step: row for row in each.rows}.get(step) for step in steps]
            for second, pick in enumerate(picks):
                lane = number * len(picks) + second
                _line(axes, places, pick, each, _shift(lane, lanes), hollow=second > 0)
            _numbers(axes, places, picks[0], each, 1 + number)
        _published(axes, [told.get(step) for step in steps], _shift(lanes - 1, lanes))
        shares = [pick(row) for row in mine for pick in picks]
        _scale(axes, *_range(shares, told.values()), angular=len(picks) == 1)
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.set_xticks(range(len(steps)), [str(step) for step in steps])
        axes.set_ylabel(label)
        axes.set_title(f"radius {radius}", loc="left")
        _head(axes, "step $\\delta$", 0, "black")
    rates = [pick(row) for row in rows for pick in picks]
    legend(figure, panels, _keys(rates, len(picks) > 1), columns=2)
    foot(figure, _remark(rates, whole))
    return figure


def _shift(lane: int, lanes: int) -> float:
    """How far right of its step a lane of points stands, in steps."""
    return _SPREAD * ((lane + 0.5) / lanes - 0.5)


def _line(
    axes: Axes,
    places: Sequence[TableRow | None],
    pick: _Pick,
    series: _Series,
    shift: float,
    hollow: bool,
) -> None:
    """The rate at each place; nothing where there is no cell or fewer than `LEAST` images."""
    colour, marker, line, _ = LOOKS[series.look]
    middle = []
    for place, row in enumerate(places):
        rate = None if row is None else pick(row)
        middle.append(math.nan)
        if rate is None or rate.bounds is None or rate.interval is None or not drawn(rate):
            continue
        axes.vlines(place + shift, *rate.interval, colors=colour, linewidth=0.8)
        if rate.percent is None:
            axes.vlines(place + shift, *rate.bounds, colors=colour, linewidth=_WIDE, alpha=0.5)
        else:
            middle[-1] = rate.percent
    axes.plot(
        [place + shift for place in range(len(places))],
        middle,
        color=colour,
        marker=marker,
        linestyle=":" if hollow else line,
        markerfacecolor="white" if hollow else colour,
        markersize=2.8,
        markeredgewidth=0.7,
        linewidth=0.5 if hollow else 0.8,
        label="_" if hollow else series.name,
    )


def drawn(rate: Rate) -> bool:
    """Are there enough images that are surely in its whole?"""
    return rate.images.whole >= LEAST


def count(rate: Rate) -> str:
    """The images of its whole, or the least and the greatest number that undecided ones allow."""
    known = rate.images
    most = known.whole + known.part_if + known.rest_if + known.free
    return f"{known.whole:,}" if most == known.whole else f"{known.whole:,}{_DASH}{most:,}"


def _numbers(
    axes: Axes, places: Sequence[TableRow | None], pick: _Pick, series: _Series, line: int
) -> None:
    """The images of each point, in a line below the axis."""
    colour, _, _, letter = LOOKS[series.look]
    _head(axes, f"$n$ {letter}", line, colour)
    for place, row in enumerate(places):
        if row is not None:
            rate = pick(row)
            _below(axes, place, count(rate), line, colour if drawn(rate) else GREY, drawn(rate))


def _below(axes: Axes, x: float, text: str, line: int, colour: str, strong: bool) -> None:
    axes.annotate(
        text if strong else f"({text})",
        (x, 0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, -11 - _LINE * line),
        textcoords="offset points",
        ha="center",
        va="baseline",
        fontsize=SMALL,
        color=colour,
        annotation_clip=False,
    )


def _head(axes: Axes, text: str, line: int, colour: str) -> None:
    """The head of a line below the axis, left of it."""
    axes.annotate(
        text,
        (0, 0),
        xycoords="axes fraction",
        xytext=(-4, -11 - _LINE * line),
        textcoords="offset points",
        ha="right",
        va="baseline",
        fontsize=SMALL,
        color=colour,
        annotation_clip=False,
    )


def _published(axes: Axes, values: Sequence[float | None], shift: float) -> None:
    """The paper's rates as crosses."""
    points = [(x + shift, value) for x, value in enumerate(values) if value is not None]
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, "x", color="black", markersize=3.6, markeredgewidth=0.9, label="published")


def _range(rates: Iterable[Rate], told: Iterable[float | None]) -> tuple[float, float]:
    """The percentages to show: all intervals that are drawn, and all published rates."""
    ends = [rate.interval for rate in rates if rate.interval is not None and drawn(rate)]
    shown = [value for each in ends for value in each]
    shown += [value for value in told if value is not None]
    return (min(shown), max(shown)) if shown else (0.0, 100.0)


def _scale(axes: Axes, low: float, high: float, angular: bool) -> None:
    """An axis that holds these percentages.

    `angular`: equal lengths are equal changes of asin(sqrt(share)), whose variance is the same for
    every share (Bartlett 1936): so the last percents below 100 % can be told apart.
    """
    if not angular:
        margin = max(high - low, 1) * 0.05
        axes.set_ylim(low - margin, high + margin)
        return
    margin = max(_angle(high) - _angle(low), 2) * 0.06
    axes.set_yscale("function", functions=(_angles, _shares))
    ticks: list[float] = []
    apart = (_angle(high) - _angle(low) + 2 * margin) * _APART
    for tick in _TICKS:
        near = ticks and _angle(ticks[-1]) - _angle(tick) < apart
        if low - 0.5 <= tick <= high + 0.5 and not near:
            ticks.append(tick)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(_share(_angle(low) - margin), _share(_angle(high) + margin))


def _angle(percent: float) -> float:
    """Degrees, from 0 at 0 % to 90 at 100 %."""
    return float(_angles(np.array([percent]))[0])


def _share(angle: float) -> float:
    return float(_shares(np.array([angle]))[0])


def _angles(percents: Doubles) -> Doubles:
    """The angles of percentages; beyond 0 and 100 a degree a percent, for the margins."""
    inside = np.clip(percents, 0, 100)
    angles: Doubles = np.degrees(np.arcsin(np.sqrt(inside / 100))) + (percents - inside)
    return angles


def _shares(angles: Doubles) -> Doubles:
    inside = np.clip(angles, 0, 90)
    shares: Doubles = 100 * np.sin(np.radians(inside)) ** 2 + (angles - inside)
    return shares


def _keys(rates: Iterable[Rate], networks: bool) -> list[tuple[Artist, str]]:
    """What the legend says of marks that are not of one series."""
    found: list[tuple[Artist, str]] = []
    if networks:
        full: dict[str, Any] = {"color": GREY, "marker": "o", "linestyle": "", "markersize": 2.8}
        found.append((Line2D([], [], **full), "reference"))
        found.append((Line2D([], [], **full, markerfacecolor="white"), "quantised"))
    if any(rate.images.undecided and drawn(rate) for rate in rates):
        wide = Line2D([], [], color=GREY, linewidth=_WIDE, alpha=0.5)
        found.append((wide, "as undecided images fall"))
    return found


def _remark(rates: Iterable[Rate], whole: str) -> str:
    few = any(not drawn(rate) for rate in rates)
    said = f"$n$: {whole}. Thin lines: 95 % (Wilson)."
    return f"{said} ($n$): fewer than {LEAST}, not drawn." if few else said
