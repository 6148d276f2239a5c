"""How every figure of a study looks in print: width, letters, colours, its one legend.

Widths are those of a column and of a page of IEEE's two-column style. Colours are Okabe and Ito's,
which the colour-blind can tell apart; markers and lines differ too. The font comes with Matplotlib,
so that a figure is the same on every machine. Imports Matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.figure_file import STYLE

# Inches: 88.9 mm and 181.9 mm.
COLUMN: Final = 3.5
PAGE: Final = 7.16
# Points: of text, and of numbers beside points.
TEXT: Final = 8.0
SMALL: Final = 6.5
GREY: Final = "#555555"
PRINT: Final[Any] = {
    **STYLE,
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL + 0.5,
    "axes.titlepad": 4.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.4,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "hatch.linewidth": 0.4,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}
# (colour, marker, line, the marker as a letter) of a series.
LOOKS: Final = (
    ("#0072B2", "o", "-", "\N{BLACK CIRCLE}"),
    ("#D55E00", "s", "--", "\N{BLACK SQUARE}"),
    ("#009E73", "^", "-.", "\N{BLACK UP-POINTING TRIANGLE}"),
    ("#CC79A7", "D", ":", "\N{BLACK DIAMOND}"),
    ("#8A6D00", "v", "-", "\N{BLACK DOWN-POINTING TRIANGLE}"),
)


# A legend of many short names.
_MANY: Final = 4
_SHORT: Final[Any] = {"handlelength": 0.8, "handletextpad": 0.3, "columnspacing": 0.8}


def sheet(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels, `width` inches wide in all, each line of panels `height` inches high."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(line) for line in axes]


def legend(
    figure: Figure,
    axes: Iterable[Iterable[Axes]],
    more: Sequence[tuple[Artist, str]] = (),
    columns: int = 3,
    title: str = "",
) -> None:
    """One legend above all panels: each series once, then `more`."""
    told: dict[str, Any] = {}
    for line in axes:
        for each in line:
            for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
                told.setdefault(label, handle)
    told |= {label: handle for handle, label in more}
    if told:
        figure.legend(
            list(told.values()),
            list(told),
            loc="outside upper center",
            ncols=min(len(told), columns),
            title=title or None,
            **(_SHORT if columns > _MANY else {}),
        )


def foot(figure: Figure, text: str) -> None:
    """A remark below all panels, at the left edge; several lines where it has several."""
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL, color=GREY, linespacing=1.1)


def plain(text: str, most: int = 14) -> str:
    """Text from a file for a figure: no formula, no control character, at most `most` characters.

    >>> plain("$x$ and more text")
    '\\\\$x\\\\$ and more\\u2026'
    """
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    shown = shown if len(shown) <= most else shown[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return shown.replace("$", r"\$")
