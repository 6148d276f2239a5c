"""The store's tables: a record as a row of typed, checked columns, and back."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from relrob.domain.record import RECORD_COLUMNS, Record, Set
from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.store import attack_rows

VERSION = 6
COLUMNS = RECORD_COLUMNS
_LARGEST = 2**63 - 1


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _count_out(value: Any) -> int | str:
    """A count as SQLite holds it. Its integers end at 2^63 and a ladder can have 2^78 points, so
    larger counts are text."""
    return int(value) if int(value) <= _LARGEST else str(int(value))


def _finite_or_infinite(value: Any) -> float:
    """A margin. Raises StoreError for NaN, which SQLite would turn into an empty field."""
    if math.isnan(value):
        raise StoreError("a margin is NaN", "a number", "look for overflow in the network")
    return float(value)


@dataclass(frozen=True)
class _Kind:
    """How a field of a record is stored.

    `sql`: the column's type and checks, where `{c}` stands for its name; `encode`: value to SQL;
    `decode`: SQL to value.
    """

    sql: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_VERDICTS = _quoted(("", *Status))
# The label -1 means that the network was never evaluated.
_KINDS: Mapping[str, _Kind] = {
    "int": _Kind("INTEGER NOT NULL CHECK (typeof({c}) = 'integer' AND {c} >= 0)", int, int),
    "int | None": _Kind(
        "CHECK ({c} IS NULL OR (typeof({c}) = 'integer' AND {c} >= 0)"
        " OR (typeof({c}) = 'text' AND {c} NOT GLOB '*[^0-9]*'))",
        _count_out,
        int,
    ),
    "count": _Kind(
        "NOT NULL CHECK ((typeof({c}) = 'integer' AND {c} >= 0)"
        " OR (typeof({c}) = 'text' AND {c} NOT GLOB '*[^0-9]*'))",
        _count_out,
        int,
    ),
    "label": _Kind("INTEGER NOT NULL CHECK (typeof({c}) = 'integer' AND {c} >= -1)", int, int),
    "float | None": _Kind(
        "REAL CHECK ({c} IS NULL OR typeof({c}) = 'real')", _finite_or_infinite, float
    ),
    "str": _Kind("TEXT NOT NULL", str, str),
    "verdict": _Kind(
        f"TEXT NOT NULL CHECK ({{c}} IN ({_VERDICTS}) AND ({{c}} = '') = (\"set\" = 'L_ic'))",
        str,
        str,
    ),
    "Set": _Kind(f"TEXT NOT NULL CHECK ({{c}} IN ({_quoted(tuple(Set))}))", str, Set),
    "bool": _Kind("INTEGER NOT NULL CHECK ({c} IN (0, 1))", lambda value: int(bool(value)), bool),
}


def _kind(name: str, annotation: str) -> _Kind:
    if name in ("reference_label", "quantised_label"):
        return _KINDS["label"]
    if name == "proved":
        return _KINDS["count"]
    return _KINDS["verdict" if name.endswith("_verdict") else annotation]


_FIELDS: tuple[tuple[str, _Kind], ...] = tuple(
    (field.name, _kind(field.name, str(field.type))) for field in fields(Record)
)


def schema(columns: int, version: int = VERSION) -> tuple[str, ...]:
    """The statements that make the tables of a store of that format, whose records have the first
    so many columns."""
    records = ",\n  ".join(
        f'"{name}" {kind.sql.format(c=chr(34) + name + chr(34))}'
        for name, kind in _FIELDS[:columns]
    )
    return (
        _META,
        f'CREATE TABLE records (\n  {records},\n  PRIMARY KEY ("index")\n)',
        *_BESIDE,
        *([attack_rows.TABLE] if version >= attack_rows.SINCE else []),
    )


_META = "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)"
_BESIDE = (
    """CREATE TABLE witnesses (
  "index" INTEGER NOT NULL REFERENCES records ("index"),
  network TEXT NOT NULL CHECK (network IN ('reference', 'quantised')),
  npz BLOB NOT NULL CHECK (typeof(npz) = 'blob'),
  PRIMARY KEY ("index", network)
)""",
    """CREATE TABLE certificates (
  "index" INTEGER NOT NULL REFERENCES records ("index"),
  network TEXT NOT NULL CHECK (network IN ('reference', 'quantised')),
  json BLOB NOT NULL CHECK (typeof(json) = 'blob'),
  PRIMARY KEY ("index", network)
)""",
    """CREATE TABLE timings (
  "index" INTEGER PRIMARY KEY NOT NULL REFERENCES records ("index"),
  seconds REAL NOT NULL CHECK (seconds >= 0)
)""",
    """CREATE TABLE seals (
  "index" INTEGER PRIMARY KEY NOT NULL REFERENCES records ("index"),
  format INTEGER NOT NULL CHECK (typeof(format) = 'integer'),
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64)
)""",
)
SCHEMA = schema(len(COLUMNS))
_MARKS = ", ".join("?" * len(COLUMNS))
INSERT = f"INSERT INTO records VALUES ({_MARKS})"  # noqa: S608


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction."""
    for statement in (*SCHEMA, f"PRAGMA user_version={VERSION}"):
        connection.execute(statement)


def encode(record: Record) -> tuple[Any, ...]:
    """The row of a record, of Python's own types. Raises StoreError for a NaN margin."""
    values = ((kind, getattr(record, name)) for name, kind in _FIELDS)
    return tuple(None if value is None else kind.encode(value) for kind, value in values)


def decode(row: tuple[Any, ...]) -> Record:
    """The record of a row."""
    values: dict[str, Any] = {}
    for (name, kind), value in zip(_FIELDS, row, strict=True):
        values[name] = None if value is None else kind.decode(value)
    return Record(**values)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names. Anything else is one value, lists too.

    >>> _flat({"region": {"radius": 20}, "seed": 0})
    {'region.radius': 20, 'seed': 0}
    """
    if not isinstance(value, Mapping):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{name}.{key}" if name else str(key))
    return flat


def _short(value: Any) -> str:
    text = (
        f"{len(value)} values from {value[:3]}"
        if isinstance(value, list) and len(value) > 3
        else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def differences(there: Mapping[str, Any], here: Mapping[str, Any], most: int = 3) -> str:
    """The first keys at which two configurations differ, with both values.

    >>> differences({"region": {"radius": 20}, "seed": 0}, {"region": {"radius": 10}, "seed": 0})
    'region.radius is 20 there and 10 here'
    """
    old, new = _flat(there), _flat(here)
    missing = object()
    told = []
    for key in dict.fromkeys([*new, *old]):
        was, now = old.get(key, missing), new.get(key, missing)
        if type(was) is not type(now) or was != now:
            words = [("absent" if value is missing else _short(value)) for value in (was, now)]
            told.append(f"{key} is {words[0]} there and {words[1]} here")
    more = f", and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more
