"""images.csv of an audit, read back: every cell is checked, because a baseline excuses what it
says is lost."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from relrob.audit.rows import COLUMNS, READERS, Row
from relrob.domain.record import Set
from relrob.domain.verdict import Status
from relrob.store.grounds import Ground
from relrob.store.summarise import admits

# The columns without which a line says nothing; an audit of an earlier version has these.
_NEEDED: Final = COLUMNS[: COLUMNS.index("quantised_verdict") + 1]
_VERDICTS: Final = ("", *Status)
_WORDS: Final = {
    "set": ("", *Set),
    "reference_verdict": _VERDICTS,
    "quantised_verdict": _VERDICTS,
    "reference_ground": ("", *Ground),
    "quantised_ground": ("", *Ground),
}
# A label is -1 where a network gives no number; counts and indices are none of these.
_LABELS: Final = ("label", "reference_label", "quantised_label", "witness_reference_label")


def rows_in(text: str, images: int) -> tuple[Row, ...]:
    """The rows of an images.csv about so many images, ascending.

    Raises ValueError, whose one line names the line and the column, for a header, a cell or a
    number of lines that relrob does not write.
    """
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader)
        _check_header(header)
        rows = tuple(_row(reader.line_num, header, cells) for cells in reader)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    if len(rows) != images:
        raise ValueError(f"it has {len(rows):,} images, audit.json has {images:,}")
    for place, row in enumerate(rows):
        if row.index != place:
            raise ValueError(f"index {row.index} stands where {place} belongs")
    return rows


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise ValueError(f"it has no column {missing[0]}")
    strange = [name for name in header if name not in COLUMNS or header.count(name) > 1]
    if strange:
        raise ValueError(f"its column {strange[0]!r} is unknown, or there twice")


def _row(line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise ValueError(f"line {line} has {len(cells)} cells, the header {len(header)}")
    found: dict[str, Any] = {}
    for name, text in zip(header, cells, strict=True):
        if text or READERS[name] is str or name in _NEEDED[:4]:
            try:
                found[name] = _value(name, text)
            except ValueError as error:
                raise ValueError(f"line {line}: {name} {text!r}") from error
    row = Row(**found)
    verdicts = (row.reference_verdict, row.quantised_verdict)
    if not (admits(Set(row.set), verdicts) if row.sampled else verdicts == ("", "")):
        told = ", ".join(map(repr, (row.set, *verdicts)))
        raise ValueError(f"line {line}: {told} do not fit each other")
    return row


def _value(name: str, text: str) -> Any:
    """The value of a cell. Raises ValueError."""
    value = READERS[name](text)
    known = text in _WORDS.get(name, (text,))
    if isinstance(value, int):
        known = str(value) == text and value >= (-1 if name in _LABELS else 0)
    elif isinstance(value, float):
        known = f"{value:.9g}" == text
    if not known:
        raise ValueError(text)
    return value
