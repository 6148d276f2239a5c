"""Lines of adversarial examples in print, above each its label and its distance. Imports
Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.domain.arrays import Floats
from relrob.report.study.shown import Examples
from relrob.report.study.style import COLUMN, PAGE, SMALL

# A name and the examples of a line.
Line = tuple[str, Examples]
_NARROW: Final = 5
# Inches of a picture and of what stands above it.
_TEXT: Final = 0.24


def pictured(lines: Sequence[Line]) -> Figure:
    """A line of pictures for each of these, below a line of the clean images of the first; a page
    wide where one has more than five."""
    count = max(len(examples.images) for _, examples in lines)
    width = COLUMN if count <= _NARROW else PAGE
    side = width / (count + 1)
    same = all(
        (
            examples.images.shape == lines[0][1].images.shape
            and (examples.images == lines[0][1].images).all()
        )
        for _, examples in lines
    )
    rows = len(lines) + (1 if same else len(lines))
    # No layout engine: its solver orders what it holds by memory addresses.
    high = rows * (side + _TEXT)
    figure = Figure(figsize=(width, high))
    axes = figure.subplots(
        rows,
        count + 1,
        squeeze=False,
        gridspec_kw={
            "left": 0,
            "right": 1,
            "bottom": 0.02 / high,
            "top": 1 - _TEXT / high,
            "wspace": 0.05,
            "hspace": _TEXT / side,
        },
    )
    place = 0
    for number, (name, examples) in enumerate(lines):
        if number == 0 or not same:
            _line(axes[place], "clean", examples.images, [str(y) for y in examples.labels])
            place += 1
        told = [
            f"{label}, {gap:.2g}"
            for label, gap in zip(examples.found, examples.distances, strict=True)
        ]
        _line(axes[place], name, examples.adversarial, told)
        place += 1
    return figure


def _line(axes: Sequence[Axes], name: str, images: Floats, told: Sequence[str]) -> None:
    for each in axes:
        each.set_axis_off()
    axes[0].text(
        0.95, 0.5, name, ha="right", va="center", fontsize=SMALL, transform=axes[0].transAxes
    )
    for each, image, text in zip(axes[1:], images, told, strict=False):
        grey = image.shape[2] == 1
        each.imshow(
            image[:, :, 0] if grey else image, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        each.set_title(text, fontsize=SMALL, pad=1.5)
