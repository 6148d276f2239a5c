"""images.csv: one line an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from relrob.domain.record import Record

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


def images_csv(records: Iterable[Record], seconds: Mapping[int, float]) -> str:
    """The header and one line an image, by ascending index; LF ends, quotes only where a cell needs
    them."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in sorted(records, key=lambda record: record.index):
        cells = vars(record) | {"seconds": seconds.get(record.index)}
        writer.writerow([cell(cells[name]) for name in COLUMNS])
    return buffer.getvalue()
