"""What attacks found around the images of a run, as rows of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from relrob.domain.record import AttackRecord

# The first format of the store that has the table.
SINCE: Final = 6
_COLUMNS: Final = tuple(field.name for field in fields(AttackRecord))
# The column that depends on a clock, the last one.
_TIME: Final = "seconds"
_YES_NO: Final = "CHECK ({c} IS NULL OR {c} IN (0, 1))"
_COUNT: Final = "INTEGER NOT NULL CHECK (typeof({c}) = 'integer' AND {c} >= 0)"
_SQL: Final = {
    "attack": "TEXT NOT NULL",
    "network": "TEXT NOT NULL CHECK (network IN ('reference', 'quantised'))",
    "inside": "INTEGER NOT NULL CHECK (inside IN (0, 1))",
    "distance": "REAL CHECK (distance IS NULL OR (typeof(distance) = 'real' AND distance >= 0))",
    "label": "INTEGER NOT NULL CHECK (typeof(label) = 'integer' AND label >= -1)",
    "on_model": _YES_NO.format(c="on_model"),
    "transfers": _YES_NO.format(c="transfers"),
    "queries": _COUNT.format(c="queries"),
    "gradients": _COUNT.format(c="gradients"),
    "remark": "TEXT NOT NULL",
    _TIME: "REAL NOT NULL CHECK (seconds >= 0)",
}
_BOOLS: Final = frozenset({"inside", "on_model", "transfers"})
_LINES: Final = ",\n  ".join(f"{name} {_SQL[name]}" for name in _COLUMNS)
TABLE: Final = f"""CREATE TABLE attacks (
  "index" INTEGER NOT NULL REFERENCES records ("index"),
  {_LINES},
  PRIMARY KEY ("index", attack, network)
)"""
_MARKS: Final = ", ".join("?" * (len(_COLUMNS) + 1))
_INSERT: Final = f"INSERT INTO attacks VALUES ({_MARKS})"  # noqa: S608


def there(connection: sqlite3.Connection) -> bool:
    """Has the store the table? Older ones have not."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'attacks'"
    return connection.execute(query).fetchone() is not None


def insert(connection: sqlite3.Connection, index: int, found: Iterable[AttackRecord]) -> None:
    """Add what attacks found around an image, inside the caller's transaction."""
    connection.executemany(_INSERT, [(index, *_encode(each)) for each in found])


def read(
    connection: sqlite3.Connection, index: int | None = None
) -> dict[int, tuple[AttackRecord, ...]]:
    """Index to what attacks found, in the order in which they were asked; of one image, or of
    all."""
    found: dict[int, list[AttackRecord]] = {}
    for at, *row in rows(connection, index):
        found.setdefault(at, []).append(_decode(row))
    return {at: tuple(each) for at, each in found.items()}


def rows(connection: sqlite3.Connection, index: int | None = None) -> list[tuple[Any, ...]]:
    """The rows themselves, of one image or of all; none in a store without the table."""
    if not there(connection):
        return []
    where, values = ("", ()) if index is None else (' WHERE "index" = ?', (index,))
    query = f'SELECT * FROM attacks{where} ORDER BY "index", rowid'  # noqa: S608
    return connection.execute(query, values).fetchall()


def timeless(found: Iterable[AttackRecord]) -> list[list[Any]]:
    """All values but times, for a digest."""
    return [list(_encode(each)[: _COLUMNS.index(_TIME)]) for each in found]


def _encode(found: AttackRecord) -> tuple[Any, ...]:
    """The values of a row after the index, of Python's own types."""
    values = ((name, getattr(found, name)) for name in _COLUMNS)
    return tuple(int(value) if isinstance(value, bool) else value for _, value in values)


def _decode(row: Iterable[Any]) -> AttackRecord:
    given = dict(zip(_COLUMNS, row, strict=True))
    for name in _BOOLS:
        given[name] = None if given[name] is None else bool(given[name])
    return AttackRecord(**given)
