"""Pictures of witnesses: original, perturbed and difference side by side, and contact sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from relrob.domain.arrays import Floats, Levels
from relrob.domain.record import WitnessView
from relrob.errors import UsageError
from relrob.system.files import write_atomic

PANEL = 280
MARGIN = 16
# Of a contact sheet: a picture, what is between, the lines above and below, title and colour key.
_SMALL, _GAP, _HEAD, _FOOT, _TITLE, _KEY = 112, 8, 40, 42, 44, 30
_WIDE = 72  # of a strip of colours
_Colour = tuple[int, int, int]
_PAPER, _INK, _GREY, _FRAME = (250, 250, 248), (25, 25, 25), (95, 95, 95), (170, 170, 170)
# Blue and orange can be told apart by the colour-blind.
_DARKER, _SAME, _BRIGHTER = (
    (33, 102, 172),
    (247, 247, 247),
    (200, 84, 10),
)
RAMP = np.array([_DARKER, _SAME, _BRIGHTER], dtype=np.float64)
# PNG compression: level 9 saves little on these pictures and takes much longer.
_LEVEL = 6


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that pictures are alike on every machine."""
    return ImageFont.load_default(size)


def witness_png(view: WitnessView) -> bytes:
    """A PNG of one witness with captions; the same bytes for the same witness. About 900 by 420
    pixels."""
    panels, top = _panels(view, PANEL), 56
    width, below = 3 * PANEL + 4 * MARGIN, top + panels[0].height
    canvas = Image.new("RGB", (width, below + 84), _PAPER)
    draw = ImageDraw.Draw(canvas)
    title = f"image {view.index}: a witness against the {view.network} network"
    draw.text((MARGIN, 10), title, _INK, _font(18))
    captions = (_truth(view), _answers(view), _change(view))
    names = ("original", "perturbed", "difference")
    for number, (name, panel, lines) in enumerate(zip(names, panels, captions, strict=True)):
        left = MARGIN + number * (PANEL + MARGIN)
        draw.text((left, top - 20), name, _GREY, _font(14))
        _paste(canvas, panel, left, top)
        for row, line in enumerate(lines):
            _write(draw, (left, below + 10 + 20 * row), line, _INK, 15, PANEL)
    _legend(draw, view, MARGIN + 2 * (PANEL + MARGIN), below + 38)
    return _png(canvas)


def gallery(views: Sequence[WitnessView], path: Path, limit: int = 24, region: str = "") -> None:
    """Write a contact sheet of the first `limit` witnesses, two a row.

    Raises UsageError for no witness, StoreError where the file cannot be written.
    """
    write_atomic(path, gallery_png(views, limit, region))


def gallery_png(views: Sequence[WitnessView], limit: int = 24, region: str = "") -> bytes:
    """The contact sheet as a PNG: above each witness the image, its class and who is fooled, below
    it what both networks say and what the change costs. `region`: of the run, in words, for the
    title. Raises UsageError for no witness."""
    if not views or limit < 1:
        raise UsageError(
            f"a contact sheet of {len(views)} witnesses, at most {limit}", "at least one witness"
        )
    shown = views[:limit]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    wide, high = 3 * _SMALL + 2 * _GAP, _HEAD + _SMALL + _FOOT
    size = (
        MARGIN + columns * (wide + 2 * MARGIN) - MARGIN,
        _TITLE + rows * (high + MARGIN) + _KEY,
    )
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (MARGIN, 10), _sheet_title(views, shown, region), _INK, 15, size[0] - 2 * MARGIN)
    for number, view in enumerate(shown):
        left = MARGIN + (number % columns) * (wide + 2 * MARGIN)
        top = _TITLE + (number // columns) * (high + MARGIN)
        _small(canvas, view, left, top)
    _key(draw, MARGIN, size[1] - _KEY)
    return _png(canvas)


def _sheet_title(views: Sequence[WitnessView], shown: Sequence[WitnessView], region: str) -> str:
    """What the sheet holds."""
    count = f"{len(views):,} witness{'' if len(views) == 1 else 'es'}"
    title = count if len(shown) == len(views) else f"The first {len(shown):,} of {count}"
    return f"{title}; {region}" if region else title


def _small(canvas: Image.Image, view: WitnessView, left: int, top: int) -> None:
    """A witness on a contact sheet."""
    draw, wide = ImageDraw.Draw(canvas), 3 * _SMALL + 2 * _GAP
    head = f"image {view.index}, class {view.label}: fools the {view.network} network"
    _write(draw, (left, top), head, _INK, 14, wide)
    names = ("original", "perturbed", "difference")
    at = top + _HEAD
    for place, (name, panel) in enumerate(zip(names, _panels(view, _SMALL), strict=True)):
        across = left + place * (_SMALL + _GAP)
        _write(draw, (across, at - 16), name, _GREY, 11, _SMALL)
        _paste(canvas, panel, across, at)
    said = ", ".join(
        f"{name} says {label} ({'right' if label == view.label else 'WRONG'})"
        for name, label in (
            ("reference", view.reference_label),
            ("quantised", view.quantised_label),
        )
    )
    _write(draw, (left, at + _SMALL + 5), said, _INK, 13, wide)
    _write(draw, (left, at + _SMALL + 22), _change(view)[0], _GREY, 13, wide)


def _key(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """The colours of differences."""
    text = "difference: darker"
    draw.text((left, top), text, _GREY, _font(12))
    start = left + round(draw.textlength(text, _font(12))) + 8
    end = _strip(draw, start, top + 1)
    draw.text((end + 8, top), "brighter; full colour: the largest change", _GREY, _font(12))


def _truth(view: WitnessView) -> list[str]:
    height, width, channels = view.shape
    return [
        f"true label {view.label}",
        f"{width} x {height}, {'grey' if channels == 1 else f'{channels} channels'}",
    ]


def _answers(view: WitnessView) -> list[str]:
    pairs = (
        ("reference", view.reference_label, view.reference_margin),
        ("quantised", view.quantised_label, view.quantised_margin),
    )
    lines = []
    for name, label, margin in pairs:
        lines.append(
            f"{name}: {label}, {'right' if label == view.label else 'WRONG'}, margin {margin:.3g}"
        )
    return lines


def _change(view: WitnessView) -> list[str]:
    count = len(view.moved)
    return [f"L1 cost {cost_text(view)}, {count} feature{'' if count == 1 else 's'} moved"]


def cost_text(view: WitnessView) -> str:
    """The exact cost to four digits; the text itself when it is no number."""
    try:
        return f"{float(Fraction(view.cost)):.4g}"
    except (ValueError, ZeroDivisionError):
        return view.cost[:20]


def _panels(view: WitnessView, side: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Original, perturbed and difference as RGB images that fit `side` x `side`."""
    pixels = [
        np.asarray(image, dtype=np.float32).reshape(view.shape)
        for image in (view.original, view.perturbed)
    ]
    return (
        _scaled(rgb(pixels[0]), side),
        _scaled(rgb(pixels[1]), side),
        _scaled(difference_colours(pixels[1] - pixels[0]), side),
    )


def rgb(image: Floats) -> Levels:
    """(H, W, C) in [0,1] to (H, W, 3) levels; one channel, or any number but three, as grey."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if levels.shape[2] == 3:
        return levels
    grey = (
        levels
        if levels.shape[2] == 1
        else np.rint(levels.mean(axis=2, keepdims=True)).astype(np.uint8)
    )
    return np.repeat(grey, 3, axis=2)


def _strongest(change: Floats) -> NDArray[np.float32]:
    """(H, W, C) to (H, W): each pixel's change in the channel that changed most, with its sign."""
    channel = np.abs(change).argmax(axis=2)[..., None]
    strongest: NDArray[np.float32] = np.take_along_axis(change, channel, axis=2)[..., 0]
    return strongest


def difference_colours(change: Floats) -> Levels:
    """(H, W, C) changes to (H, W, 3) levels: blue is darker, orange brighter, near white equal. The
    largest change has the full colour."""
    signed = _strongest(change).astype(np.float64)
    largest = float(np.abs(signed).max(initial=0))
    position = signed / largest + 1 if largest > 0 else np.ones_like(signed)
    colours = [np.interp(position, (0, 1, 2), RAMP[:, colour]) for colour in range(3)]
    return np.rint(np.stack(colours, axis=2)).astype(np.uint8)


def difference_levels(view: WitnessView) -> Levels:
    """The change of a witness as (H, W, 3) levels, the largest one in full colour."""
    one, other = (
        np.asarray(image, dtype=np.float32).reshape(view.shape)
        for image in (view.original, view.perturbed)
    )
    return difference_colours(other - one)


def _scaled(levels: Levels, side: int) -> Image.Image:
    """Whole-number enlargement, pixel for pixel; a picture larger than `side` is reduced to it."""
    height, width = levels.shape[:2]
    factor = side // max(height, width)
    image = Image.fromarray(levels)
    if factor >= 1:
        return image.resize((width * factor, height * factor), Image.Resampling.NEAREST)
    shrink = side / max(height, width)
    return image.resize(
        (max(1, round(width * shrink)), max(1, round(height * shrink))), Image.Resampling.BOX
    )


def _paste(canvas: Image.Image, panel: Image.Image, left: int, top: int) -> None:
    """Paste the panel, framed."""
    canvas.paste(panel, (left, top))
    ImageDraw.Draw(canvas).rectangle(
        (left - 1, top - 1, left + panel.width, top + panel.height), outline=_FRAME
    )


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    colour: _Colour,
    size: int,
    width: int,
) -> None:
    """A line of text of at most `width` pixels: the font shrinks to 10, then the text is cut."""
    while size > 10 and draw.textlength(text, _font(size)) > width:
        size -= 1
    whole = text
    while text and draw.textlength(text, _font(size)) > width:
        whole = whole[:-1]
        text = f"{whole}..." if whole else ""
    draw.text(at, text, colour, _font(size))


def _legend(draw: ImageDraw.ImageDraw, view: WitnessView, left: int, top: int) -> None:
    """A strip from darker to brighter with the largest change at both ends."""
    change = np.asarray(view.perturbed, dtype=np.float64) - np.asarray(
        view.original, dtype=np.float64
    )
    font = _font(12)
    if not change.any():
        draw.text((left, top - 1), "no pixel differs: wrong without any perturbation", _GREY, font)
        return
    largest = f"{float(np.abs(change).max()):.3g}"
    low, high = f"darker -{largest}", f"+{largest} brighter"
    start = left + round(draw.textlength(low, font)) + 8
    draw.text((left, top - 1), low, _GREY, font)
    end = _strip(draw, start, top)
    draw.text((end + 8, top - 1), high, _GREY, font)


def _strip(draw: ImageDraw.ImageDraw, start: int, top: int) -> int:
    """The colours from darker to brighter in a frame; returns where they end."""
    for step in range(_WIDE):
        colour = tuple(
            round(float(np.interp(2 * step / (_WIDE - 1), (0, 1, 2), RAMP[:, part])))
            for part in range(3)
        )
        draw.line((start + step, top, start + step, top + 13), fill=colour)
    draw.rectangle((start - 1, top - 1, start + _WIDE, top + 14), outline=_FRAME)
    return start + _WIDE


def _png(canvas: Image.Image) -> bytes:
    """The bytes, with no date, no software name and no other metadata."""
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()
