"""images.csv of an audit: one line for every image of the data set."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from relrob.audit.rows import COLUMNS, Row
from relrob.report.run.csv_file import cell


def rows_csv(rows: Iterable[Row]) -> str:
    """The header and a line an image, ascending; fields of images that were not sampled are empty.
    No line holds a time."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.index):
        writer.writerow([cell(getattr(row, name)) for name in COLUMNS])
    return buffer.getvalue()
