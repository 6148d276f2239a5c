"""Figures of studies of stages in print, as SVG and PDF: the published figures again, from our
rows, at the width of a column or, with more than two panels a line, of a page.

A point is the mean over seeds and runs; a thin bar reaches from the least to the greatest seed.
Published numbers, where the paper prints any, are hollow. The same rows give the same bytes.
Imports Matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import matplotlib
from matplotlib.figure import Figure

from relrob.report.figure_file import files
from relrob.report.study import matachana_figures, shrestha_figures, zhao_figures
from relrob.report.study.shown import Nothing, Shown
from relrob.report.study.stage_rows import Rows
from relrob.report.study.style import PRINT

_Maker = Callable[[Rows, Shown], dict[str, Figure]]
_MAKERS: Final[dict[str, _Maker]] = {
    "zhao2018": zhao_figures.made,
    "matachana2020": matachana_figures.made,
    "shrestha2024": shrestha_figures.made,
}


def figures(report: str, rows: Rows, shown: Shown | None = None) -> dict[str, bytes]:
    """File name to content of all figures that the rows, and the files `shown`, have something for;
    none for a study that repeats no published one. A figure without a point in it is left out."""
    if report not in _MAKERS:
        return {}
    with matplotlib.rc_context(PRINT):
        drawn: dict[str, bytes] = {}
        for name, figure in _MAKERS[report](rows, shown or Nothing()).items():
            if any(axes.has_data() for axes in figure.axes):
                drawn |= files(name, figure)
        return drawn
