"""Shares of effective perturbations that transfer: their least and greatest value where the points
of some images were not counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relrob.domain.record import Record, Set
from relrob.domain.verdict import Status
from relrob.store.proportions import Bounds, ratio

_Counts = tuple[int, int]  # perturbations that transfer, effective ones


@dataclass(frozen=True)
class PointShare:
    """A share of effective perturbations that transfer.

    `value`: None where there are none, and where those of an image are not counted; `bounds`: its
    least and greatest value then, the value twice else; None where nothing was counted or the
    points have no number.
    """

    value: float | None
    bounds: Bounds | None


@dataclass(frozen=True)
class _Open:
    """What an image that was not counted can add: at the `least` and at the `greatest` share; None
    where its points have no number."""

    least: _Counts
    greatest: _Counts


def over_points(records: Iterable[Record]) -> PointShare:
    """Over all effective perturbations of the reference."""
    return _share([_all(record) for record in records if _matters(record)])


def of_closest(records: Iterable[Record]) -> PointShare:
    """Over those of least cost."""
    return _share([_closest(record) for record in records if _matters(record)])


def _matters(record: Record) -> bool:
    """Can the reference have effective perturbations here?"""
    return record.set is not Set.L_IC and record.reference_verdict != Status.ROBUST


def _all(record: Record) -> _Counts | _Open | None:
    if (
        _decided(record)
        and record.transferred is not None
        and record.reference_effective is not None
    ):
        return record.transferred, record.reference_effective
    most = record.reference_effective
    return _open(record, most if most is not None else _few(record), most)


def _closest(record: Record) -> _Counts | _Open | None:
    if (
        _decided(record)
        and record.closest_transferred is not None
        and record.closest_effective is not None
    ):
        return record.closest_transferred, record.closest_effective
    return _open(record, _few(record), record.reference_effective)


def _decided(record: Record) -> bool:
    """Are both verdicts known? Where one is not and points are counted all the same, its witness
    was refuted by the replay, and the counts with it."""
    return Status.UNKNOWN not in (record.reference_verdict, record.quantised_verdict)


def _few(record: Record) -> int:
    """An image in R_NOT has one effective perturbation, an undecided one may have none."""
    fooled = record.reference_verdict == Status.NOT_ROBUST
    return int(fooled or bool(record.reference_effective))


def _open(record: Record, few: int, most: int | None) -> _Open | None:
    """Of a region of p points, e effective for the reference (`few` <= e <= `most`, or p) and q
    for the quantised network, t = at least e + q - p and at most min(e, q) transfer.

    A point (1, 1) never lowers the share and (0, 1) never raises it. So the share is least for the
    least q and as many e as leave t at 0, and greatest for the greatest q and as many e as
    transfer.
    """
    points = record.points
    if points is None:
        return None
    high, (least_q, most_q) = points if most is None else most, _quantised(record, points)
    alone = min(max(points - least_q, few), high)
    shared = max(few, min(most_q, high))
    return _Open((max(0, alone + least_q - points), alone), (min(shared, most_q), shared))


def _quantised(record: Record, points: int) -> _Counts:
    """The least and the greatest number of effective perturbations of the quantised network."""
    if record.quantised_verdict == Status.ROBUST:
        return 0, 0
    known = record.quantised_effective
    if known is not None and record.quantised_verdict != Status.UNKNOWN:
        return known, known
    return int(record.quantised_verdict == Status.NOT_ROBUST), points


def _share(images: Sequence[_Counts | _Open | None]) -> PointShare:
    counted = [each for each in images if isinstance(each, tuple)]
    few, many = _sum(counted)
    value = ratio(few, many)
    if len(counted) == len(images):
        return PointShare(value, None if value is None else (value, value))
    uncounted = [each for each in images if isinstance(each, _Open)]
    if not counted or len(counted) + len(uncounted) < len(images):
        return PointShare(None, None)
    least = _sum([(few, many), *(each.least for each in uncounted)])
    greatest = _sum([(few, many), *(each.greatest for each in uncounted)])
    low = ratio(*least)
    # Without an effective perturbation there is no share; with one, none of these transfers.
    return PointShare(None, None if low is None else (low, ratio(*greatest) or 0.0))


def _sum(counts: Sequence[_Counts]) -> _Counts:
    return sum(few for few, _ in counts), sum(many for _, many in counts)
