"""Pictures of a study's witnesses in print, at the width of a column, as SVG and PDF.

Every picture is drawn pixel for pixel; a pixel is several dots wide in the file, so that no reader
blurs it. The same witnesses give the same bytes. Imports Matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.domain.arrays import Levels
from relrob.domain.record import Set
from relrob.report.figure_file import files
from relrob.report.run.picture import RAMP, difference_colours, rgb
from relrob.report.study.galleries import Frames, Shown, set_witnesses, table_witnesses
from relrob.report.study.style import COLUMN, GREY, PRINT, SMALL, TEXT, plain
from relrob.store.study_directory import CellResult

_NAMES: Final = {
    Set.RFP: ("set-R-FP", "$R^{FP}$: the reference withstands, the quantised network is fooled"),
    Set.RQ: ("set-R-Q", "$R_Q$: what fools the reference does not fool the quantised network"),
    Set.R0: ("set-R-0", "$R^0$: all that fools the reference fools the quantised network"),
    Set.MIXED: ("set-R-mixed", "$R^{mixed}$: some of what fools the reference fools both"),
}
_BEYOND: Final = (
    "\N{DAGGER} beyond the radius: a walk of the search ends at the first image there,\n"
    "and looks at it, as the paper's code does (--strict-radius leaves it out)."
)
# Inches.
_GAP, _BETWEEN, _TOP, _LINE = 0.03, 0.14, 0.34, 0.105
_DOTS: Final = 3  # dots of a pixel, along each side
_TINY: Final = 5.6  # points


def set_galleries(cells: Sequence[CellResult]) -> dict[str, bytes]:
    """set-NAME.svg and .pdf for each set that has a witness."""
    return draw_sets(set_witnesses(cells))


def table_one(cells: Sequence[CellResult]) -> dict[str, bytes]:
    """perturbed.svg and .pdf: one image at each radius and step."""
    return draw_table(table_witnesses(cells))


def draw_sets(witnesses: Mapping[Set, Sequence[Shown]]) -> dict[str, bytes]:
    """The same from witnesses that were chosen."""
    made: dict[str, bytes] = {}
    with matplotlib.rc_context(PRINT):
        for which, shown in witnesses.items():
            name, title = _NAMES[which]
            made |= files(name, _set(title, shown))
    return made


def draw_table(frames: Frames) -> dict[str, bytes]:
    """The same from witnesses that were chosen; nothing without one."""
    known = [shown for shown in frames.values() if shown is not None]
    if not known:
        return {}
    with matplotlib.rc_context(PRINT):
        return files("perturbed", _table(frames, known))


@final
class _Sheet:
    """A figure of a column's width on which things stand at inches from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(COLUMN, height))

    def picture(self, pixels: Levels, left: float, top: float, side: float) -> None:
        """An image (H, W, 3) in a frame."""
        axes = self.axes(left, top, side, side)
        dots = np.kron(pixels, np.ones((_DOTS, _DOTS, 1), np.uint8))
        axes.imshow(dots, interpolation="none")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty frame."""
        low = self.height - top - height
        place = (left / COLUMN, low / self.height, width / COLUMN, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.4, color=GREY)
        return axes

    def text(self, text: str, left: float, top: float, **style: Any) -> None:
        """Text whose upper edge stands there."""
        given = {"va": "top", "fontsize": SMALL, "linespacing": 1.15, **style}
        self.figure.text(left / COLUMN, 1 - top / self.height, text, **given)


def _set(title: str, shown: Sequence[Shown]) -> Figure:
    """Two witnesses a line: original, perturbed and difference, below them what the networks say
    and what the change costs."""
    columns = min(2, len(shown))
    lines = -(-len(shown) // 2)
    block = (COLUMN - _BETWEEN - 2 * _GAP) / 2
    side = (block - 2 * _GAP) / 3
    high = side + 2.6 * _LINE
    remark = _caption(shown)
    foot = _LINE * (2.4 + remark.count("\n") + 1)
    sheet = _Sheet(_TOP + lines * high + foot)
    sheet.text(title, COLUMN / 2, 0.02, ha="center", fontsize=TEXT - 0.5)
    for number, each in enumerate(shown):
        left = _GAP + (number % 2) * (block + _BETWEEN)
        top = _TOP + (number // 2) * high
        for place, (name, pixels) in enumerate(_pictures(each).items()):
            at = left + place * (side + _GAP)
            sheet.picture(pixels, at, top, side)
            if number < columns:
                sheet.text(name, at + side / 2, top - 0.03, ha="center", va="baseline", color=GREY)
        sheet.text(_said(each), left, top + side + 0.03, fontsize=SMALL - 0.3)
    below = _TOP + lines * high
    _key(sheet, below + 0.02)
    sheet.text(remark, _GAP, below + 1.6 * _LINE, color=GREY)
    return sheet.figure


def _pictures(shown: Shown) -> dict[str, Levels]:
    before, after = (
        np.asarray(image, np.float32).reshape(shown.view.shape)
        for image in (shown.view.original, shown.view.perturbed)
    )
    return {
        "original": rgb(before),
        "perturbed": rgb(after),
        "difference": difference_colours(after - before),
    }


def _said(shown: Shown) -> str:
    view = shown.view
    labels = [_class(shown, x) for x in (view.label, view.reference_label, view.quantised_label)]
    step = "" if shown.step is None else f", $\\delta$ = {shown.step}"
    return (
        f"image {view.index}, class {labels[0]}: $N$ says {labels[1]}, $N^Q$ {labels[2]}\n"
        f"$r$ = {shown.radius}{step}, $L_1$ = {_cost(shown)}"
    )


def _cost(shown: Shown) -> str:
    return f"{float(shown.cost):.4g}" + ("\N{DAGGER}" if shown.beyond else "")


def _class(shown: Shown, label: int) -> str:
    return plain(shown.classes[label], 8) if label < len(shown.classes) else str(label)


def _key(sheet: _Sheet, top: float) -> None:
    """The colours of differences."""
    wide, high = 0.9, 0.08
    left = COLUMN / 2 - wide / 2
    axes = sheet.axes(left, top, wide, high)
    at = np.linspace(0, 2, 64)
    strip = np.stack([np.interp(at, (0, 1, 2), RAMP[:, part]) for part in range(3)], axis=1)
    axes.imshow(np.rint(strip)[None].astype(np.uint8), aspect="auto", interpolation="none")
    middle = top + high / 2
    sheet.text("darker", left - 0.05, middle, ha="right", va="center_baseline", color=GREY)
    sheet.text("brighter", left + wide + 0.05, middle, va="center_baseline", color=GREY)


def _caption(shown: Iterable[Shown]) -> str:
    """The regions that the witnesses come from, and why some cost more than the radius."""
    shown = list(shown)
    where = dict.fromkeys(f"{each.dataset}, {each.region}, {each.runtime}" for each in shown)
    lines = [
        f"{'; '.join(plain(name, 60) for name in where)}. $L_1$: the sum of all changes.",
        "Full colour: the largest change of a picture.",
    ]
    return "\n".join([*lines, *([_BEYOND] if any(each.beyond for each in shown) else [])])


def _table(frames: Frames, known: Sequence[Shown]) -> Figure:
    """A line of pictures a radius, a column a step; "none" where nothing fools the reference."""
    radii, steps = sorted({radius for radius, _ in frames}), sorted({step for _, step in frames})
    side = (COLUMN - 0.17 - _GAP * (len(steps) + 1)) / (len(steps) + 1)
    high = side + 3 * _LINE * 0.92 + 0.05
    first = known[0]
    none = "None: nothing fools $N$." if None in frames.values() else ""
    which = f"image {first.view.index} (class {_class(first, first.view.label)})"
    where = f"{plain(first.dataset, 30)}, {which}; {first.region}, {first.runtime}"
    remark = (
        f"{where}. Below a picture:\nlabels of $N$ and $N^Q$, pixels changed, $L_1$ cost. {none}"
    ).rstrip()
    remark = "\n".join([remark, *([_BEYOND] if any(each.beyond for each in known) else [])])
    top = 0.16
    sheet = _Sheet(top + len(radii) * high + _LINE * (remark.count("\n") + 1.6))
    lefts = [0.17 + place * (side + _GAP) for place in range(len(steps) + 1)]
    for left, name in zip(
        lefts, ["original", *(f"$\\delta$ = {step}" for step in steps)], strict=True
    ):
        sheet.text(name, left + side / 2, 0.02, ha="center")
    for number, radius in enumerate(radii):
        at = top + number * high
        sheet.text(f"$r$ = {radius}", 0.08, at + side / 2, ha="center", va="center", rotation=90)
        sheet.picture(_pictures(first)["original"], lefts[0], at, side)
        for left, step in zip(lefts[1:], steps, strict=True):
            _frame(sheet, frames, (radius, step), left, at, side)
    sheet.text(remark, 0.02, top + len(radii) * high + 0.03, color=GREY)
    return sheet.figure


def _frame(
    sheet: _Sheet,
    frames: Frames,
    key: tuple[Fraction, Fraction],
    left: float,
    top: float,
    side: float,
) -> None:
    """One picture of the table and the lines below it."""
    shown = frames.get(key)
    if shown is None:
        said = "none" if key in frames else "not run"
        middle = (left + side / 2, top + side / 2)
        sheet.text(said, *middle, ha="center", va="center", color=GREY)
        return
    sheet.picture(_pictures(shown)["perturbed"], left, top, side)
    labels = [_class(shown, x) for x in (shown.view.reference_label, shown.view.quantised_label)]
    lines = f"{labels[0]}, {labels[1]}\n{_changed(shown):,} px\n{_cost(shown)}"
    sheet.text(lines, left + side / 2, top + side + 0.02, ha="center", fontsize=_TINY)


def _changed(shown: Shown) -> int:
    """Pixels that differ."""
    before, after = (
        np.asarray(image).reshape(shown.view.shape)
        for image in (shown.view.original, shown.view.perturbed)
    )
    return int((before != after).any(axis=2).sum())
