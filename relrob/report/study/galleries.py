"""Pictures of a study's witnesses: a contact sheet of each set, and one image over all radii and
steps (Duncan et al. 2020, Table I).

The pictures show the first images of each set in the study's order, so the same study gives the
same pictures. Imports Matplotlib.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.domain.arrays import Floats
from relrob.domain.record import Record, Set, WitnessView
from relrob.report.figure_file import STYLE, files
from relrob.report.run.picture import gallery_png
from relrob.store.study_directory import CellResult, records_of, witnesses_of

_SETS: Final = (
    (Set.RFP, "quantised"),
    (Set.RQ, "reference"),
    (Set.R0, "reference"),
    (Set.MIXED, "reference"),
)
_NAMES: Final = {
    Set.RFP: "set-R-FP",
    Set.RQ: "set-R-Q",
    Set.R0: "set-R-0",
    Set.MIXED: "set-R-mixed",
}
_EACH: Final = 12


def set_galleries(cells: Sequence[CellResult]) -> dict[str, bytes]:
    """set-NAME.png for each set that has a witness: R^FP fools the quantised network alone; R_Q,
    R^0 and R^mixed the reference."""
    chosen: dict[Set, dict[int, WitnessView]] = {which: {} for which, _ in _SETS}
    for cell in cells:
        records = records_of(cell)
        for which, network in _SETS:
            for record in records:
                if len(chosen[which]) == _EACH:
                    break
                if record.set is which and record.index not in chosen[which]:
                    for view in witnesses_of(cell, record.index):
                        if view.network == network:
                            chosen[which][record.index] = view
    return {
        f"{_NAMES[which]}.png": gallery_png(list(views.values()), _EACH)
        for which, views in chosen.items()
        if views
    }


def table_one(cells: Sequence[CellResult]) -> dict[str, bytes]:
    """perturbed.svg and .png: one image at each radius and step of a grid.

    The grid is the first one with a witness; the image has witnesses in most of its cells.
    """
    grids = dict.fromkeys(
        (cell.grid, str(cell.options.get("runtime", "")))
        for cell in cells
        if cell.options.get("step")
    )
    for grid, runtime in grids:
        mine = {
            (Fraction(cell.options["radius"]), Fraction(cell.options["step"])): cell
            for cell in cells
            if (cell.grid, str(cell.options.get("runtime", ""))) == (grid, runtime)
        }
        fooled = {key: _fooled(records_of(cell)) for key, cell in mine.items()}
        often = Counter(index for indices in fooled.values() for index in indices)
        if often:
            index = min(often, key=lambda index: (-often[index], index))
            views = {key: _reference_view(cell, index) for key, cell in mine.items()}
            with matplotlib.rc_context({**STYLE, "font.size": 8.0}):
                return files(
                    "perturbed",
                    _sheet(views, index, ", ".join(name for name in (grid, runtime) if name)),
                )
    return {}


def _fooled(records: Sequence[Record]) -> list[int]:
    return [record.index for record in records if record.set in (Set.RQ, Set.R0, Set.MIXED)]


def _reference_view(cell: CellResult, index: int) -> WitnessView | None:
    """The witness against the reference, if there is one."""
    return next((view for view in witnesses_of(cell, index) if view.network == "reference"), None)


def _sheet(
    views: dict[tuple[Fraction, Fraction], WitnessView | None], index: int, title: str
) -> Figure:
    """A line of pictures a radius, a column a step; "none" where no perturbation fools the
    reference."""
    radii, steps = sorted({radius for radius, _ in views}), sorted({step for _, step in views})
    figure = Figure(
        figsize=(1.45 * (len(steps) + 1), 1.75 * len(radii) + 0.35), layout="constrained"
    )
    sheet = figure.subplots(len(radii), len(steps) + 1, squeeze=False)
    shown = next(view for view in views.values() if view is not None)
    for line, radius in zip(sheet, radii, strict=True):
        _picture(line[0], shown.original, shown.shape, f"radius {radius}\noriginal: {shown.label}")
        for axes, step in zip(line[1:], steps, strict=True):
            view = views.get((radius, step))
            if view is None:
                axes.set_axis_off()
                axes.set_title(f"step {step}\nnone", fontsize=8)
            else:
                said = f"step {step}\n{view.reference_label}, quantised {view.quantised_label}"
                _picture(axes, view.perturbed, view.shape, said)
    figure.suptitle(
        f"Image {index}, {title}: what fools the reference, and what both networks say", fontsize=9
    )
    return figure


def _picture(axes: Axes, pixels: Floats, shape: tuple[int, int, int], title: str) -> None:
    """An image of the data set, pixel for pixel."""
    image = np.asarray(pixels).reshape(shape)
    axes.imshow(
        image if shape[2] == 3 else image.mean(axis=2),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)
