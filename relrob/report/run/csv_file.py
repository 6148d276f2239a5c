"""images.csv: one line an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from relrob.domain.record import AttackRecord, Record
from relrob.report.run import attack_words
from relrob.store.attack_summary import Attacks

COLUMNS: tuple[str, ...] = (
    "index",
    "label",
    "reference_label",
    "quantised_label",
    "set",
    "reference_verdict",
    "quantised_verdict",
    "points",
    "reference_effective",
    "quantised_effective",
    "transferred",
    "reference_margin",
    "quantised_margin",
    "decided_by",
    "seconds",
    "reason",
    "ties",
    "reference_proved",
    "quantised_proved",
)


def cell(value: object) -> str:
    """Empty for None, nine significant digits for a float, text as it is."""
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def images_csv(
    records: Iterable[Record],
    seconds: Mapping[int, float],
    attacks: Attacks | None = None,
    found: Mapping[int, Sequence[AttackRecord]] | None = None,
) -> str:
    """The header and one line an image, by ascending index; LF ends, quotes only where a cell needs
    them. With `attacks`, columns of what they `found` follow."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*COLUMNS, *attack_words.columns(attacks)))
    for record in sorted(records, key=lambda record: record.index):
        cells = vars(record) | {"seconds": seconds.get(record.index)}
        tried = attack_words.cells(attacks, (found or {}).get(record.index, ()))
        writer.writerow([*(cell(cells[name]) for name in COLUMNS), *map(cell, tried)])
    return buffer.getvalue()
