"""Charts as inline SVG, without any library. Colours are classes of the page's style sheet, so they
follow light and dark; each chart says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from relrob.errors import capped, printable
from relrob.report.html.parts import Tone

_WIDE: Final = 720.0
# Of a letter of 12 pixels: a share of the width that is never too little.
_LETTER: Final = 6.8


@dataclass(frozen=True)
class Part:
    """A part of a bar: `count` images. `parts`: those that divide it."""

    name: str
    count: int
    tone: Tone
    parts: tuple[Part, ...] = ()


def svg(width: float, height: float, label: str, body: str, name: str = "") -> Markup:
    """An SVG of that size with a text for readers who do not see it; `body` is markup."""
    kind = f' class="{name}"' if name else ""
    size = f'viewBox="0 0 {pixel(width)} {pixel(height)}"'
    opened = f'<svg{kind} {size} role="img" aria-label="{escaped(label)}">'
    return Markup(f"{opened}{body}</svg>")  # noqa: S704


def escaped(words: str) -> Markup:
    """Text in markup: readable characters only, and not endless."""
    return escape(capped(printable(words), 300))


def pixel(value: float) -> str:
    """A coordinate with a tenth of a pixel.

    >>> pixel(3.0), pixel(3.14159)
    ('3', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")


def rect(x: float, y: float, width: float, height: float, tone: str) -> str:
    """A rectangle."""
    place = f'x="{pixel(x)}" y="{pixel(y)}" width="{pixel(width)}" height="{pixel(height)}"'
    return f'<rect {place} class="f-{tone or "plain"}"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """A line of text."""
    more = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{pixel(x)}" y="{pixel(y)}" text-anchor="{anchor}"{more}>{escaped(words)}</text>'
    )


def icicle(parts: Sequence[Part], label: str) -> Markup:
    """Two rows of bars: the parts, and below each the parts that divide it, all on one scale.

    A part too narrow for its name has it in the tooltip and in the table beside the chart.
    """
    total, high, gap = sum(part.count for part in parts), 46.0, 3.0
    drawn, x = [], 0.0
    for part in parts:
        width = _WIDE * part.count / total if total else 0.0
        drawn.append(_bar(part, x, 0, width, high))
        at = x
        for inner in part.parts:
            wide = _WIDE * inner.count / total
            drawn.append(_bar(inner, at, high + gap, wide, high))
            at += wide
        x += width
    return svg(_WIDE, 2 * high + gap, label, "".join(drawn), "icicle")


def _bar(part: Part, x: float, y: float, width: float, height: float) -> str:
    """A bar with its name and count, as far as there is room."""
    if not part.count:
        return ""
    told, count = part.name, f"{part.count:,}"
    short = told.partition(":")[0]
    fitting = [name for name in (told, short) if _fits(width - 6, name, count)]
    words = ""
    if fitting:
        words = text(x + width / 2, y + 19, fitting[0], "on")
        words += text(x + width / 2, y + 36, count, "on")
    elif _fits(width - 4, count):
        words = text(x + width / 2, y + 28, count, "on")
    title = f"<title>{escaped(told)}: {count}</title>"
    inner = rect(x + 0.75, y, max(width - 1.5, 1.5), height, part.tone)
    return f"<g>{title}{inner}{words}</g>"


def _fits(width: float, *lines: str) -> bool:
    """Is each of the lines shorter?"""
    return width > max(map(len, lines)) * _LETTER


def interval(ends: tuple[float, float], value: float | None, tone: Tone, label: str) -> Markup:
    """A share between 0 and 1 with its interval, as long as a cell."""
    width, height = 120.0, 14.0
    colour = tone or "plain"
    low, high = (4 + (width - 8) * end for end in ends)
    drawn = rect(4, 6.5, width - 8, 1, "rule")
    drawn += rect(low, 5, max(high - low, 1.5), 4, f"{colour}-soft")
    if value is not None:
        drawn += f'<circle cx="{pixel(4 + (width - 8) * value)}" cy="7" r="4" class="f-{colour}"/>'
    return svg(width, height, label, drawn, "cell")


def bar(share: float, tone: Tone, label: str) -> Markup:
    """A bar of a share of the cell's width."""
    width = 90.0
    drawn = rect(0, 2, width, 10, "rule") + rect(0, 2, width * min(max(share, 0), 1), 10, tone)
    return svg(width, 14, label, drawn, "cell short")


@dataclass(frozen=True)
class Column:
    """A class in a chart of scores: on the original, on the perturbed image."""

    name: str
    before: float
    after: float
    tone: Tone


def columns(classes: Sequence[Column], label: str) -> Markup:
    """Scores of a network, a column a class; a line across it is the score before. Columns stand on
    0, or on the least score where one is below 0, so that the largest score is the tallest."""
    if not classes:
        return Markup("")
    high, each = 56.0, 22.0
    values = [value for one in classes for value in (one.before, one.after)]
    low, top = min(0.0, *values), max(values)
    reach = (top - low) or 1.0
    drawn = []
    for place, one in enumerate(classes):
        x = 3 + each * place
        tall, before = (high * (value - low) / reach for value in (one.after, one.before))
        drawn.append(rect(x, 4 + high - tall, each - 8, max(tall, 1), one.tone or "dim"))
        drawn.append(rect(x - 2, 4 + high - before - 0.75, each - 4, 1.5, "ink"))
        drawn.append(text(x + (each - 8) / 2, high + 17, one.name[:3]))
    # Never narrower than of ten classes: the browser stretches it to one width, letters and all.
    return svg(each * max(len(classes), 10), high + 20, label, "".join(drawn), "scores")
