"""Critical radii as curves: by radius, the share of images that each network was proved right on,
and the share that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor, log10
from typing import Final

from markupsafe import Markup

from relrob.domain.radius import Interval
from relrob.domain.record import NETWORKS
from relrob.report.html import charts
from relrob.report.html.classes import FEWEST
from relrob.report.html.parts import Block, Cell, Column, Figure, Line, Notes, Table, Tone
from relrob.report.radius.words import norm
from relrob.store.radius_summary import RadiusSummary

TONES: Final = {"reference": Tone.PLAIN, "quantised": Tone.BAD}
_WIDE, _HIGH = 480.0, 250.0
_LEFT, _RIGHT, _TOP, _BELOW = 42.0, 12.0, 26.0, 42.0
_TICKS: Final = 6  # about so many


def blocks(summary: RadiusSummary) -> list[Block]:
    """The chart, and its numbers at some radii. Of fewer than `FEWEST` images nothing is drawn."""
    n = len(summary.asked)
    if n < FEWEST:
        told = f"{n} image{'' if n == 1 else 's'} that the reference gets right"
        return [Notes((f"No curve is drawn of {told}: fewer than {FEWEST} tell nothing.",))]
    caption = (
        f"n = {n:,} images that the reference gets right. Below the thick line: the share that is "
        "proved robust in the whole region of that radius, or a larger one. Above the thin line of "
        "the same colour: the share that is broken, by an image of the region that was replayed. "
        "The band between the two is undecided, and the true curve runs within it."
    )
    return [Figure(drawn(summary), caption, "Curves of radii"), _table(summary)]


def drawn(summary: RadiusSummary) -> Markup:
    """Two bands on one scale; the quantised network's lines are dashed."""
    most = end(summary)
    ticks = _ticks(most)
    body = [_frame(ticks, most, f"radius ({norm(summary)})")]
    for name in NETWORKS:
        tone = TONES[name] or "plain"
        proved, whole = edges(summary.intervals(name), most)
        low, high = _path(proved, most), _path(whole, most)
        body.append(f'<path d="{_band(proved, whole, most)}" class="f-{tone} band"/>')
        kind = f"l-{tone}{' dash' if name == 'quantised' else ''}"
        body.append(f'<path d="{low}" class="{kind}"/><path d="{high}" class="{kind} thin"/>')
    body.append(_legend())
    shares = "; ".join(_said(summary, name, most) for name in NETWORKS)
    return charts.svg(_WIDE, _HIGH, f"Curves of radii. {shares}", "".join(body), "curves")


Edge = list[tuple[float, float]]


def edges(found: Sequence[Interval], most: float) -> tuple[Edge, Edge]:
    """Two step functions of the radius as (radius, share from there on): images proved right in the
    region, and images of which no witness within it is known. At a step itself the first still has
    the share before it: a proof of that very radius is one."""
    n = len(found)
    proved = [each.proved for each in found if each.proved is not None]
    broken = [each.broken for each in found if each.broken is not None]
    lower = [(0.0, len(proved) / n), *_steps(proved, len(proved), n)]
    wrong = sum(end == 0 for end in broken)
    upper = [(0.0, (n - wrong) / n), *_steps([end for end in broken if end], n - wrong, n)]
    return lower, upper


def _steps(ends: Sequence[Fraction], count: int, n: int) -> Iterator[tuple[float, float]]:
    """After each end, the share that is left of `count` of `n`."""
    passed = 0
    for end, times in sorted(Counter(ends).items()):
        passed += times
        yield float(end), (count - passed) / n


def shares(found: Sequence[Interval], radius: Fraction) -> tuple[int, int, int]:
    """Images proved right in the whole region of a radius, undecided, and broken within it."""
    proved = sum(each.proved is not None and each.proved >= radius for each in found)
    broken = sum(each.broken is not None and each.broken <= radius for each in found)
    return proved, len(found) - proved - broken, broken


def end(summary: RadiusSummary) -> float:
    """The end of the axis: a little beyond the largest radius that is known."""
    every = [each for name in NETWORKS for each in summary.intervals(name)]
    ends = [float(end) for each in every for end in (each.proved, each.broken) if end is not None]
    return 1.04 * max(ends, default=0.0) or 1.0


def _ticks(most: float) -> list[Fraction]:
    """Round radii from 0 to the end of the axis.

    >>> [float(tick) for tick in _ticks(0.113)]
    [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]
    """
    rough = most / _TICKS
    unit = Fraction(10) ** floor(log10(rough))
    step = next(unit * each for each in (1, 2, 5, 10) if unit * each >= Fraction(rough))
    return [step * place for place in range(floor(Fraction(most) / step) + 1)]


def _x(radius: float, most: float) -> float:
    return _LEFT + (_WIDE - _LEFT - _RIGHT) * radius / most


def _y(share: float) -> float:
    return _TOP + (_HIGH - _TOP - _BELOW) * (1 - share)


def _frame(ticks: Sequence[Fraction], most: float, name: str) -> str:
    """Axes, with their numbers and names."""
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(charts.rect(_LEFT, _y(share) - 0.5, _WIDE - _LEFT - _RIGHT, 1, "rule"))
        parts.append(
            charts.text(_LEFT - 6, _y(share) + 4, f"{100 * share:.0f}%", "soft", anchor="end")
        )
    for tick in ticks:
        x = _x(float(tick), most)
        parts.append(charts.rect(x - 0.5, _y(0), 1, 5, "dim"))
        parts.append(charts.text(x, _y(0) + 19, f"{float(tick):g}", "soft"))
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    parts.append(charts.text(middle, _HIGH - 6, name, "soft"))
    return "".join(parts)


def _legend() -> str:
    """Above the curves: a line of each kind with its name."""
    parts, x = list[str](), _LEFT
    for name in NETWORKS:
        tone = TONES[name] or "plain"
        dash = " dash" if name == "quantised" else ""
        parts.append(f'<path d="M{x:g} 11h34" class="l-{tone}{dash}"/>')
        parts.append(charts.text(x + 42, 15, name, anchor="start"))
        x += 120
    return "".join(parts)


def _points(edge: Edge, most: float) -> Iterator[tuple[str, str]]:
    """Corners of a step function in pixels, as far as pixels tell them apart."""
    last = None
    for radius, share in edge:
        corner = charts.pixel(_x(min(radius, most), most)), charts.pixel(_y(share))
        if corner != last:
            yield corner
        last = corner


def _path(edge: Edge, most: float) -> str:
    """A step function to the end of the axis."""
    corners = list(_points(edge, most))
    (x, y), rest = corners[0], corners[1:]
    steps = "".join(f"H{across}V{up}" for across, up in rest)
    return f"M{x} {y}{steps}H{charts.pixel(_x(most, most))}"


def _band(low: Edge, high: Edge, most: float) -> str:
    """What is between two step functions."""
    forth = _path(high, most)
    corners = list(_points(low, most))
    back = [f"V{corners[-1][1]}"]
    for place in range(len(corners) - 1, 0, -1):
        back.append(f"H{corners[place][0]}V{corners[place - 1][1]}")
    return f"{forth}{''.join(back)}H{corners[0][0]}Z"


def _said(summary: RadiusSummary, name: str, most: float) -> str:
    """The curve of a network in words, at half of the axis."""
    radius = Fraction(most) / 2
    proved, _, broken = shares(summary.intervals(name), radius)
    return f"{name} at radius {float(radius):.3g}: {proved} proved, {broken} broken"


def _table(summary: RadiusSummary) -> Table:
    """The numbers of the curve at the radii of its axis."""
    columns = [Column("radius", True)]
    for name in NETWORKS:
        columns += [Column(word, True, name) for word in ("proved", "undecided", "broken")]
    n = len(summary.asked)
    lines = []
    for tick in _ticks(end(summary)):
        cells: list[Cell | str] = [f"{float(tick):g}"]
        for name in NETWORKS:
            for count, tone in zip(
                shares(summary.intervals(name), tick),
                (Tone.PLAIN, Tone.OPEN, Tone.PLAIN),
                strict=True,
            ):
                told = f"{count:,} ({_percent(count, n)})"
                cells.append(Cell(told, tone if count else Tone.DIM))
        lines.append(Line(tuple(cells)))
    caption = f"Images proved, undecided and broken by radius, of {n:,}"
    return Table(caption, tuple(columns), tuple(lines))


def _percent(count: int, n: int) -> str:
    """A share in whole percents that is 0 or 100 only where it is.

    >>> _percent(0, 300), _percent(1, 300), _percent(299, 300)
    ('0%', '<1%', '>99%')
    """
    percent = 100 * count / n
    if 0 < percent < 1:
        return "<1%"
    return ">99%" if 99 < percent < 100 else f"{percent:.0f}%"
