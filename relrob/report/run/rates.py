"""Shares of images and rates in words: a number where all is decided, else from the least to the
greatest that the undecided images allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relrob.errors import how_many
from relrob.store.grounds import Grounds
from relrob.store.proportions import Bounds, Proportion
from relrob.store.summary import Summary
from relrob.store.transfers import PointShare

_NAMED: Final = 5  # images that a sentence names
_REASONS: Final = 3  # that a sentence names
_RUN: Final = "every point run"
_SEARCHED: Final = "as far as a search saw, which proves nothing"


def percent(value: float | None) -> str:
    """A share as text.

    >>> percent(0.98333), percent(None)
    ('98.3%', 'not counted')
    """
    return "not counted" if value is None else f"{100 * value:.1f}%"


def span(ends: Bounds | Sequence[float] | None) -> str:
    """An interval as text: (0.911, 0.997) is "91.1 to 99.7%"."""
    return "" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}%"


def share(proportion: Proportion) -> str:
    """The share as text; "" where the whole is empty.

    >>> share(Proportion(11, 8)), share(Proportion(11, 0, open=8))
    ('57.9%', '57.9 to 100.0%')
    """
    ends = proportion.bounds
    if ends is None:
        return ""
    return span(ends) if proportion.undecided else percent(ends[0])


def counted(proportion: Proportion) -> str:
    """The images of the share as text.

    >>> counted(Proportion(11, 8)), counted(Proportion(11, 0, open=8))
    ('11 of 19', '11 to 19 of 19')
    >>> counted(Proportion(11, 8, rest_if=1))
    '11 of 20 to 11 of 19'
    """
    worst, best = proportion.worst or (0, 0), proportion.best or (0, 0)
    if worst == best:
        return f"{worst[0]} of {worst[1]}"
    if worst[1] == best[1]:
        return f"{worst[0]} to {best[0]} of {best[1]}"
    return f"{worst[0]} of {worst[1]} to {best[0]} of {best[1]}"


def named(images: Sequence[int], count: int) -> str:
    """The numbers of some of `count` images in brackets.

    >>> named([22], 1), named(range(20), 31)
    (' (image 22)', ' (images 0, 1, 2, 3, 4, ...)')
    """
    if not images:
        return ""
    some = ", ".join(map(str, images[:_NAMED])) + (", ..." if count > _NAMED else "")
    return f" (image{'s' if count > 1 else ''} {some})"


def headline(summary: Summary) -> str:
    """The fate of the images on which the reference is robust, in one sentence. Proved images and
    images of which every point was run are told apart."""
    sets, open_ = summary.sets, summary.undecided
    more = open_.reference
    beside = f"; the reference is undecided on {more} more" if more else ""
    if not sets.robust and more:
        return f"On no image is the reference known to be robust; it is undecided on {more}."
    if not sets.robust:
        return "On no image is the reference robust."
    before, after = summary.robust_by or (None, None)
    parts = _robust_on(after, sets.both_robust)
    if sets.lost:
        parts.append(f"fooled on {sets.lost}{named(summary.lost, sets.lost)}")
    if open_.robust_unknown:
        parts.append(f"{open_.robust_unknown} undecided")
    told = ", ".join(parts)
    return (
        f"Of {sets.robust} image{'s' if sets.robust > 1 else ''} where the reference is robust"
        f"{_grounds(before)}, the quantised network is {told}{beside}."
    )


def _robust_on(by: Grounds | None, images: int) -> list[str]:
    """On how many images the quantised network is robust, by what that rests on."""
    if not images:
        return []
    if by is None:
        return [f"robust on {images}"]
    parts = [f"proved robust on {by.proved}"] if by.proved else []
    parts += [f"robust on {by.run}, {_RUN}"] if by.run else []
    return parts + ([f"robust on {by.searched} {_SEARCHED}"] if by.searched else [])


def _grounds(by: Grounds | None) -> str:
    """What the reference's robustness rests on, where that is no proof."""
    if by is None or by.proved == by.images:
        return ""
    kinds = ((by.proved, "proved"), (by.run, f"with {_RUN}"), (by.searched, _SEARCHED))
    parts = [f"{count} {how}" for count, how in kinds if count]
    if len(parts) == 1:
        return f" ({_RUN if by.run else _SEARCHED})"
    return f" ({', '.join(parts)})"


def ties(summary: Summary) -> list[str]:
    """A sentence about the verdicts, and one about the clean images, that rest on ties."""
    found, told = summary.ties, []
    if found.fooled:
        told.append(
            f"Ties: on {how_many(found.fooled, 'image')}{named(found.images, found.fooled)} the "
            "quantised network is fooled by a tie alone: the true label's output is among the "
            "largest, and the first of these gives the label."
        )
    if found.reference:
        told.append(
            f"Ties of the reference: on {how_many(found.reference, 'image')} it is fooled by one."
        )
    if found.clean_reference or found.clean_quantised:
        told.append(
            "Clean images whose largest output comes more than once: "
            f"{found.clean_reference} on the reference, {found.clean_quantised} on the quantised "
            "network."
        )
    return told


def undecided(summary: Summary) -> list[str]:
    """A sentence about the images that are undecided, by their reasons, the most frequent first."""
    by_count = sorted(summary.reasons, key=lambda pair: -pair[1])
    some = by_count[:_REASONS]
    told = "; ".join(f"on {how_many(count, 'image')}, {_once(reason)}" for reason, count in some)
    more = sum(count for _, count in by_count[_REASONS:])
    return [f"Undecided {told}{f'; {more} more' if more else ''}."] if told else []


def _once(reason: str) -> str:
    """A reason that holds for both networks, told once.

    >>> _once("reference: late; quantised: late"), _once("quantised: late")
    ('both networks: late', 'quantised: late')
    """
    _, _, first = reason.partition("reference: ")
    said, _, second = first.partition("; quantised: ")
    return f"both networks: {said}" if said and said == second else reason


def rates(summary: Summary) -> list[tuple[str, str]]:
    """(name, text) of the rates, with the fraction and the interval where there is one."""
    shares = summary.shares
    return [
        ("relative robustness |R_Q^FP| / |R|", _rate(shares["R_Q^FP"], "R")),
        ("adversarial transfer |R^0| / |R_NOT|", _rate(shares["R^0"], "R_NOT")),
        *_point_rates(summary),
    ]


def _rate(proportion: Proportion, whole: str) -> str:
    ends = proportion.interval
    if ends is None:
        return f"not counted ({whole} is empty)"
    return f"{share(proportion)}, {counted(proportion)} (95%: {span(ends)})"


def _point_rates(summary: Summary) -> list[tuple[str, str]]:
    """The two rates over perturbed images."""
    effective, points = summary.effective, summary.transfer_points
    none = effective.reference == 0 and not summary.sets.unknown
    empty = "not counted (no effective points)" if none else "not counted"
    told = _point_rate(points, empty)
    if points.value is not None:
        told = f"{told}, {effective.transferred:,} of {effective.reference:,} effective points"
    return [
        ("transfer over points", told),
        ("transfer of the closest", _point_rate(summary.closest_transfer, empty)),
    ]


def _point_rate(points: PointShare, empty: str) -> str:
    if points.bounds is None:
        return empty
    if points.value is None:
        return f"{span(points.bounds)}: the points of some images are not counted"
    return percent(points.value)
