"""Every image of a run: a row each, and what is left out of the table in ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from relrob.domain.record import NETWORKS, AttackRecord, Record, Set
from relrob.domain.verdict import Status
from relrob.report.html.images import Pictures
from relrob.report.html.parts import Block, Cell, Column, Line, Notes, Section, Table, Terms, Tone
from relrob.report.html.run_data import RunData
from relrob.report.html.sets import TONES
from relrob.report.run.attack_words import placed
from relrob.store.grounds import Ground, ground

# Rows of a page, the ones that matter first.
MOST: Final = 2000
_ORDER: Final = (Set.RFP, Set.UNKNOWN, Set.MIXED, Set.RQ, Set.R0, Set.L_IC, Set.RQFP)
_GROUNDS: Final = {
    Ground.PROVED: "robust, proved",
    Ground.RUN: "robust, every point run",
    Ground.SEARCHED: "a search met nothing",
}
_TONES: Final = {Status.ROBUST: Tone.GOOD, Status.NOT_ROBUST: Tone.BAD, Status.UNKNOWN: Tone.OPEN}


def section(run: RunData, pictures: Pictures) -> Section:
    """The table, which can be filtered by set and sorted by any column."""
    kept = chosen(run.records)
    left = sorted({r.index for r in run.records} - {r.index for r in kept})
    counted = any(record.points is not None for record in kept)
    attacks = run.summary.attacks
    names = [
        Column(f"{each.label}, {name}", True, f"nearest, {each.norm}")
        for each in (attacks.each if attacks else ())
        for name in NETWORKS
    ]
    columns = (
        Column("image", True),
        Column("class"),
        Column("set"),
        Column("reference"),
        Column("quantised"),
        Column("margin", True, "reference"),
        Column("margin", True, "quantised"),
        *((Column("effective points", True, "reference, quantised, both, of all"),) * counted),
        *names,
        Column("decided by"),
        Column("why undecided, and remarks"),
    )
    lines = tuple(_line(run, pictures, record, counted) for record in kept)
    keys = tuple(which.value for which in Set if any(r.set is which for r in kept))
    blocks: list[Block] = [Table("All images", columns, lines, keys, "set", tall=True)]
    if left:
        blocks.append(
            Notes((f"{len(left):,} images have no row here; images.csv has one for each.",))
        )
        blocks.append(Terms(tuple(_left(run.records, set(left)))))
    if pictures.room.left_out:
        blocks.append(
            Notes((f"{pictures.room.left_out:,} pictures were left out to keep the page small.",))
        )
    return Section(
        "images",
        "Every image",
        "Margins are the smallest that were met: the score of the true class less the largest "
        "other; below 0 the network is fooled.",
        tuple(blocks),
    )


def chosen(records: Sequence[Record]) -> list[Record]:
    """The records that have a row, by index: all, or those of the sets that matter most."""
    first = sorted(records, key=lambda r: (_ORDER.index(r.set), r.index))[:MOST]
    return sorted(first, key=lambda record: record.index)


def _left(records: Sequence[Record], left: set[int]) -> list[tuple[str, str]]:
    """Set to the images of it that have no row."""
    return [
        (which.value, found)
        for which in Set
        if (found := ranges(r.index for r in records if r.set is which and r.index in left))
    ]


def ranges(indices: Iterable[int]) -> str:
    """Numbers as ranges.

    >>> ranges([1, 2, 3, 7]), ranges([])
    ('1-3, 7', '')
    """
    ordered, runs = sorted(indices), list[list[int]]()
    for index in ordered:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    words = [f"{a}-{b}" if b > a else str(a) for a, b in runs]
    return ", ".join(words)


def _line(run: RunData, pictures: Pictures, record: Record, counted: bool) -> Line:
    shown = pictures.original(record.index) if record.index in run.first else None
    tried = {(each.attack, each.network): each for each in run.attacks.get(record.index, ())}
    attacks = run.summary.attacks
    found = [
        _attacked(tried.get((each.attack, name)), record, name)
        for each in (attacks.each if attacks else ())
        for name in NETWORKS
    ]
    return Line(
        (
            Cell(str(record.index), picture=shown),
            run.name(record.label),
            Cell(record.set.value, TONES[record.set] if record.set is Set.RFP else Tone.PLAIN),
            verdict(record, "reference", run.name(record.reference_label)),
            verdict(record, "quantised", run.name(record.quantised_label)),
            _number(record.reference_margin),
            _number(record.quantised_margin),
            *((_effective(record),) * counted),
            *found,
            record.decided_by.replace(",", ", ").replace("  ", " "),
            _remarks(record),
        ),
        record.set.value,
        f"i{record.index}",
    )


def verdict(record: Record, network: str, says: str) -> Cell:
    """A verdict with its ground; of an image that the reference gets wrong, what it says."""
    status = getattr(record, f"{network}_verdict")
    if not status:
        label = getattr(record, f"{network}_label")
        return Cell("right" if label == record.label else f"says {says}", Tone.DIM)
    if status == Status.ROBUST:
        return Cell(_GROUNDS[ground(record, network)], Tone.GOOD)
    return Cell("fooled" if status == Status.NOT_ROBUST else "unknown", _TONES[Status(status)])


def _attacked(found: AttackRecord | None, record: Record, network: str) -> Cell | str:
    """The nearest image that an attack found, beside the verdict."""
    if found is None:
        return ""
    beside = getattr(record, f"{network}_verdict")
    return Cell(placed(found), Tone.BAD if found.inside and beside else Tone.PLAIN)


def _effective(record: Record) -> str:
    counts = (record.reference_effective, record.quantised_effective, record.transferred)
    if record.points is None or counts == (None, None, None):
        return ""
    told = ", ".join("-" if count is None else f"{count:,}" for count in counts)
    return f"{told} of {record.points:,}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _remarks(record: Record) -> str:
    told = [record.reason] if record.reason else []
    told += ["wrong with no change"] if record.clean_regression else []
    told += [f"ties: {record.ties}"] if record.ties else []
    return "; ".join(told)
