"""Images with an effective perturbation, class by class: Figure 6 of Duncan et al. 2020.

The whole of a class are the images that the reference gets right. A class of fewer than `LEAST` is
not drawn: the one that the network gets right on 2 of 100 images would look the safest. Imports
Matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from relrob.report.study.style import COLUMN, GREY, SMALL, foot, legend, plain, sheet
from relrob.report.study.table_rows import LEAST, Rate, TableRow
from relrob.store.proportions import Proportion

_HIGH: Final = 1.75  # inches of a panel
_FILLED: Final = 0.86  # of the room of a class that its bars fill
_BAR: Final = "#D55E00"  # an interval: seen on dark and on light bars
_LONG: Final = 3  # characters of a name that need not slant
# Undecided images on top of a bar.
_OPEN: Final[Any] = {"hatch": "///////", "linewidth": 0.3, "color": "none"}
_NONE: Final = Rate(Proportion())


def by_class(rows: Sequence[TableRow]) -> Figure:
    """A panel a kernel family and radius of a grid: the share of images fooled, a bar a step, with
    its interval; above each class the number of its images."""
    parts: dict[tuple[str, str], list[TableRow]] = {}
    for row in rows:
        parts.setdefault((row.runtime, f"{row.described}, {row.runtime}, radius {row.radius}"), [])
        parts[row.runtime, f"{row.described}, {row.runtime}, radius {row.radius}"].append(row)
    steps = sorted({_step(row) for row in rows}, reverse=True)
    figure, panels = sheet(len(parts), 1, COLUMN, _HIGH)
    for (axes,), ((_, title), mine) in zip(panels, parts.items(), strict=True):
        _panel(axes, mine, steps)
        axes.set_title(title, loc="left", pad=11)
    shares = [rate for row in rows for rate in row.right_by_label.values()]
    open_ = any(rate.images.undecided and rate.images.whole >= LEAST for rate in shares)
    more = [(Patch(facecolor="none", edgecolor=GREY, hatch="///////"), "undecided")]
    legend(figure, panels, more if open_ else (), columns=8, title="step $\\delta$")
    few = any(rate.images.whole < LEAST for rate in shares)
    said = "$n$: images that the reference gets right. Thin lines: 95 % (Wilson)."
    foot(figure, f"{said}\nA class of fewer than {LEAST} is not drawn." if few else said)
    return figure


def _step(row: TableRow) -> Fraction:
    """The step of a row that has one."""
    return row.step if row.step is not None else Fraction(0)


def _of(row: TableRow, label: int) -> Rate:
    return row.right_by_label.get(label, _NONE)


def _panel(axes: Axes, rows: Sequence[TableRow], steps: Sequence[Fraction]) -> None:
    labels = sorted({label for row in rows for label in row.right_by_label})
    width = _FILLED / len(steps)
    shown = []
    for row in sorted(rows, key=_step, reverse=True):
        number = steps.index(_step(row))
        shade = matplotlib.colormaps["cividis"](0.95 * number / max(len(steps) - 1, 1))
        places = [place + (number - (len(steps) - 1) / 2) * width for place in range(len(labels))]
        known = [
            (x, rate.bounds, rate.interval)
            for x, rate in ((x, _of(row, label)) for x, label in zip(places, labels, strict=True))
            if rate.bounds is not None and rate.interval is not None and rate.images.whole >= LEAST
        ]
        if not known:
            continue
        lefts, bounds, ends = zip(*known, strict=True)
        low, rest = [a for a, _ in bounds], [b - a for a, b in bounds]
        axes.bar(lefts, low, width, color=shade, label=str(row.step), linewidth=0)
        if any(rest):
            axes.bar(lefts, rest, width, low, edgecolor=shade, **_OPEN)
        lower, upper = zip(*ends, strict=True)
        axes.vlines(lefts, lower, upper, colors=_BAR, linewidth=0.5)
        shown += [value for each in ends for value in each]
    axes.set_ylim(0, max(shown, default=100.0) * 1.04)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylabel("images fooled, %")
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    _classes(axes, rows, labels)


def _classes(axes: Axes, rows: Sequence[TableRow], labels: Sequence[int]) -> None:
    """Names of the classes below, numbers of images above, and the classes of too few images."""
    names = [_name(rows[0].classes, label) for label in labels]
    axes.set_xticks(range(len(labels)), names)
    if max(map(len, names), default=0) > _LONG:
        axes.tick_params(axis="x", rotation=30, pad=1)
        for shown in axes.get_xticklabels():
            shown.set(ha="right", rotation_mode="anchor")
    axes.annotate("$n$ =", (0, 1), xytext=(-4, 2), **_ABOVE, ha="right")
    for place, label in enumerate(labels):
        wholes = sorted({_of(row, label).images.whole for row in rows})
        text = "\N{EN DASH}".join(f"{end:,}" for end in dict.fromkeys((wholes[0], wholes[-1])))
        colour = GREY if wholes[-1] < LEAST else "black"
        at = ((place + 0.6) / (len(labels) + 0.2), 1)
        axes.annotate(text, at, xytext=(0, 2), **_ABOVE, ha="center", color=colour)
        if wholes[-1] < LEAST:
            said: dict[str, Any] = {"rotation": 90, "fontsize": SMALL, "color": GREY}
            below = axes.get_xaxis_transform()
            axes.text(
                place, 0.03, f"$n$ < {LEAST}", transform=below, va="bottom", ha="center", **said
            )


_ABOVE: Final[Any] = {
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "fontsize": SMALL,
    "annotation_clip": False,
}


def _name(classes: Sequence[str], label: int) -> str:
    return plain(classes[label], 12) if label < len(classes) else str(label)
