"""The figure of critical radii: on the left both networks image by image, on the right the share of
images by radius. Imports Matplotlib.

Left: a rectangle is an image; it spans the reference's interval across and the quantised network's
upwards. Below the diagonal the quantised network is less robust. Where no witness is known, the
rectangle is open-ended and reaches the edge. Right: a band is bounded by the images that were
proved and by those of which no witness is known.
"""

from __future__ import annotations

import re
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from relrob.domain.radius import Compared, Interval
from relrob.domain.record import NETWORKS
from relrob.errors import how_many
from relrob.report.figure_file import STYLE, files
from relrob.report.radius.words import norm
from relrob.store.radius_summary import RadiusSummary

_STYLE: Final[Any] = {
    **STYLE,
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_SIZE: Final = (7.0, 3.4)
# Okabe and Ito's colours; bands have hatches, so that grey prints tell them apart.
_LOOKS: Final = {
    Compared.LESS: "#D55E00",
    Compared.SAME: "#0072B2",
    Compared.MORE: "#009E73",
    Compared.OPEN: "#999999",
}
_BANDS: Final[dict[str, tuple[str, Any, str]]] = {
    "reference": ("#0072B2", "-", "///"),
    "quantised": ("#D55E00", "--", "\\\\\\"),
}
_FAINT: Final = 0.05  # opacity of a rectangle: many lie upon each other
_LEAST: Final = 0.01  # of the axis: the side of a rectangle that has none


def figure(summary: RadiusSummary) -> dict[str, bytes]:
    """radius.svg and radius.pdf; the same radii give the same bytes."""
    with matplotlib.rc_context(_STYLE):
        sheet = Figure(figsize=_SIZE, layout="constrained")
        left, right = sheet.subplots(1, 2)
        _pairs(left, summary)
        _curves(right, summary)
        return files("radius", sheet)


def _unit(summary: RadiusSummary) -> str:
    """The region on an axis."""
    return re.sub(r"\bL(-infinity|\d)", _in_tex, norm(summary))


def _in_tex(found: re.Match[str]) -> str:
    """The name of a norm as mathematics."""
    order = found[1]
    return "$L_\\infty$" if order == "-infinity" else f"$L_{order}$"


def _most(summary: RadiusSummary) -> float:
    """The end of both axes."""
    every = [each for name in NETWORKS for each in summary.intervals(name)]
    ends = [float(end) for each in every for end in (each.proved, each.broken) if end is not None]
    return 1.05 * max(ends, default=0.0) or 1.0


def _ends(each: Interval, most: float) -> tuple[float, float]:
    """Where the interval begins and ends on an axis."""
    low = float(each.proved or 0)
    high = most if each.broken is None else float(each.broken)
    middle, half = (low + high) / 2, max((high - low) / 2, _LEAST * most / 2)
    return middle - half, middle + half


def _pairs(axes: Axes, summary: RadiusSummary) -> None:
    """A rectangle for each image."""
    most = _most(summary)
    boxes: dict[Compared, list[Rectangle]] = {word: [] for word in Compared}
    for record in summary.asked:
        if record.reference is None or record.quantised is None or record.compared is None:
            continue
        left, right = _ends(record.reference, most)
        low, high = _ends(record.quantised, most)
        boxes[record.compared].append(Rectangle((left, low), right - left, high - low))
    for word in (Compared.OPEN, Compared.SAME, Compared.MORE, Compared.LESS):
        colour = _LOOKS[word]
        axes.add_collection(
            PatchCollection(
                boxes[word],
                facecolor=to_rgba(colour, _FAINT),
                edgecolor=to_rgba(colour, 0.8),
                linewidth=0.7,
            )
        )
    axes.plot([0, most], [0, most], color="#333333", linewidth=0.8)
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.set_xlabel(f"reference: critical radius ({_unit(summary)})")
    axes.set_ylabel("quantised")
    axes.set_title(
        f"{how_many(len(summary.asked), 'image')}: each a rectangle of what is not known"
    )
    shown = [word for word in Compared if boxes[word]]
    axes.legend(
        [Patch(color=_LOOKS[word], alpha=0.5) for word in shown],
        [f"{word.value} ({len(boxes[word])})" for word in shown],
        title="quantised is",
        loc="upper left",
    )


def _curves(axes: Axes, summary: RadiusSummary) -> None:
    """A band for each network. Between two radii, the proofs are those of the larger, and the
    images without a witness those of the smaller."""
    curve, count = summary.curve(), len(summary.asked)
    across = np.repeat([point["radius"] for point in curve], 2)[1:-1]
    handles = []
    for name in NETWORKS:
        colour, line, hatch = _BANDS[name]
        shares = 100 * np.array([point[name] for point in curve]) / count
        low, high = np.repeat(shares[1:, 0], 2), np.repeat(shares[:-1, 1], 2)
        axes.fill_between(across, low, high, color=colour, alpha=0.2, hatch=hatch, linewidth=0)
        axes.plot(across, low, color=colour, linestyle=line, linewidth=1.2)
        axes.plot(across, high, color=colour, linestyle=line, linewidth=0.8)
        handles.append(Line2D([], [], color=colour, linestyle=line, label=name))
    axes.set(xlim=(0, _most(summary)), ylim=(0, 102))
    axes.set_xlabel(f"radius ({_unit(summary)})")
    axes.set_ylabel("images without a wrong one in the region, %")
    axes.set_title("proved, up to no witness known")
    axes.legend(handles=handles, loc="upper right")
