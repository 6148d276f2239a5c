"""The classes of a run, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relrob.domain.record import Record, Set
from relrob.domain.verdict import Status
from relrob.report.html.charts import interval
from relrob.report.html.parts import Cell, Column, Line, Section, Table, Tone
from relrob.report.html.run_data import RunData
from relrob.report.run.rates import percent, span
from relrob.store.proportions import Proportion

# Fewer images tell nothing of a class.
FEWEST: Final = 10


def section(run: RunData) -> Section:
    """A row for each class of which there are images."""
    columns = (
        Column("class"),
        Column("images", True),
        Column("right unperturbed", True, "reference, quantised"),
        Column("robust", True, "reference"),
        Column("robust", True, "quantised"),
        Column("lost", True),
        Column("undecided", True),
        Column("robust after quantisation", hint="share of the images, 95 % interval"),
    )
    labels = sorted({record.label for record in run.records})
    rows = tuple(
        _row(run, label, [record for record in run.records if record.label == label])
        for label in labels
    )
    return Section(
        "classes",
        "Class by class",
        f"Nothing is drawn for classes with fewer than {FEWEST} images: so few tell nothing. "
        "Undecided images widen an interval at both ends; they are never counted as robust, and "
        "never as lost.",
        (Table("Verdicts by class", columns, rows, tall=len(rows) > 25),),
    )


def _row(run: RunData, label: int, records: Sequence[Record]) -> Line:
    n = len(records)
    robust = {
        name: sum(getattr(r, f"{name}_verdict") == Status.ROBUST for r in records)
        for name in ("reference", "quantised")
    }
    right = (
        sum(r.reference_label == label for r in records),
        sum(r.quantised_label == label for r in records),
    )
    lost = sum(record.set is Set.RFP for record in records)
    open_ = sum(record.quantised_verdict == Status.UNKNOWN for record in records)
    either = sum(record.set is Set.UNKNOWN for record in records)
    share = Proportion(robust["quantised"], n - robust["quantised"] - open_, open_)
    return Line(
        (
            run.name(label),
            f"{n:,}",
            f"{right[0]:,}, {right[1]:,}",
            f"{robust['reference']:,}",
            f"{robust['quantised']:,}",
            Cell(f"{lost:,}", Tone.BAD if lost else Tone.PLAIN),
            Cell(f"{either:,}", Tone.OPEN if either else Tone.PLAIN),
            _drawn(share, n),
        )
    )


def _drawn(share: Proportion, n: int) -> Cell:
    """The share with its interval, where there are enough images."""
    ends = share.interval
    if n < FEWEST or ends is None:
        return Cell(f"fewer than {FEWEST} images", Tone.DIM)
    words = f"{percent(share.value)}, " if share.value is not None else ""
    told = f"{words}{span(ends)}"
    tone = Tone.OPEN if share.undecided else Tone.PLAIN
    return Cell(told, chart=interval(ends, share.value, tone, told))
