"""The store of a search for critical radii: one SQLite file in its directory, one transaction an
image.

Rows are sealed as those of a run are (`relrob.store.seals`): every opening computes all seals
again, so that damage, and edits by other programs, show.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from relrob.domain.radius import RadiusRecord
from relrob.domain.record import WitnessView
from relrob.errors import StoreError
from relrob.store import witness_file
from relrob.store.configuration import canonical
from relrob.store.run_directory import refuse_files, refuse_other, writable
from relrob.store.seals import RunSeal, summed
from relrob.store.sqlite_file import (
    RESTORE,
    check_whole,
    connect,
    is_empty,
    locked,
    sqlite_errors,
    transaction,
)
from relrob.system.files import check_writable, disk_errors

FILE: Final = "radius.sqlite"
_VERSION: Final = 1
_TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    """CREATE TABLE radii (
  "index" INTEGER PRIMARY KEY NOT NULL CHECK ("index" >= 0),
  record TEXT NOT NULL CHECK (typeof(record) = 'text'),
  seconds REAL NOT NULL CHECK (typeof(seconds) = 'real'),
  reference BLOB CHECK (typeof(reference) IN ('blob', 'null')),
  quantised BLOB CHECK (typeof(quantised) IN ('blob', 'null')),
  seal TEXT NOT NULL CHECK (length(seal) = 64)
)""",
)
_ROWS: Final = 'SELECT * FROM radii ORDER BY "index"'
_FILES: Final = 'SELECT quantised, reference FROM radii WHERE "index" = ?'


@final
class RadiusStore:
    """Records, witnesses and seconds, as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, cleanup: ExitStack) -> None:
        """Use `RadiusStore.open`."""
        self._path, self._connection, self._cleanup = path, connection, cleanup
        self._config, self._run = _checked(path, connection)

    @classmethod
    def open(cls, directory: Path, config: Mapping[str, Any]) -> RadiusStore:
        """Begin in the directory, or go on with the search in it, one process at a time. Raises
        StoreError: another configuration, unrelated files, a damaged store, a store in use, no
        space."""
        text, path = canonical(config), directory / FILE
        with ExitStack() as stack:
            with disk_errors(directory):
                directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(directory))
                refuse_files(directory, FILE, "search for radii")
            connection = writable(path, stack)
            if is_empty(path, connection):
                _create(path, connection, text)
            refuse_other(directory, _checked(path, connection)[0], text, "search")
            return cls(path, connection, stack.pop_all())

    @classmethod
    def check(cls, directory: Path, config: Mapping[str, Any] | None = None) -> None:
        """Raise now, before the work, the StoreError that `open` would raise; writes nothing."""
        path = directory / FILE
        if not path.is_file():
            check_writable(path)
            if directory.is_dir():
                with disk_errors(directory):
                    refuse_files(directory, FILE, "search for radii")
            return
        with ExitStack() as stack:
            connection = connect(path, "rw", stack)
            if config is not None and not is_empty(path, connection):
                found = _checked(path, connection)[0]
                refuse_other(directory, found, canonical(config), "search")

    @classmethod
    def read(cls, directory: Path) -> RadiusStore:
        """Open a search for reports, finished or not. Raises StoreError: none there, or a damaged
        one."""
        path, accepted = directory / FILE, f"a directory with a {FILE} that relrob radius wrote"
        with disk_errors(path, "read"):
            there = path.is_file()
        if not there:
            raise StoreError(f"{directory} holds no search for radii", accepted)
        with ExitStack() as stack:
            connection = connect(path, "rw", stack)
            if is_empty(path, connection):
                told = f"{directory} has no search yet: it was stopped as it began"
                raise StoreError(told, accepted, "relrob radius again")
            with sqlite_errors(path):
                connection.execute("PRAGMA query_only=ON")
            return cls(path, connection, stack.pop_all())

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the records."""
        found: dict[str, Any] = json.loads(self._config)
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical configuration: the name of the search."""
        return hashlib.sha256(self._config.encode()).hexdigest()

    def close(self) -> None:
        """Close the file and release the directory."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(
        self, record: RadiusRecord, witnesses: tuple[WitnessView, ...], seconds: float
    ) -> None:
        """Store an image whole; it is on the disk when this returns. Raises StoreError, also where
        the image is there already."""
        files = {view.network: witness_file.encode(view) for view in witnesses}
        row = (
            int(record.index),
            canonical(record.json()),
            float(seconds),
            files.get("reference"),
            files.get("quantised"),
        )
        run = self._run.changed(_seal(row), 1)
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO radii VALUES (?, ?, ?, ?, ?, ?)", (*row, _seal(row))
            )
            _write(self._connection, self._config, run)
        self._run = run

    def records(self) -> dict[int, RadiusRecord]:
        """Index to record, ascending. Raises StoreError."""
        with sqlite_errors(self._path):
            return {
                int(row[0]): RadiusRecord.of(json.loads(row[1]))
                for row in self._connection.execute(_ROWS)
            }

    def seconds(self) -> dict[int, float]:
        """Index to the seconds that the image took."""
        with sqlite_errors(self._path):
            return {int(row[0]): float(row[2]) for row in self._connection.execute(_ROWS)}

    def witnesses(self, index: int) -> list[WitnessView]:
        """Those of an image: "quantised" before "reference". Raises StoreError."""
        with sqlite_errors(self._path):
            found = self._connection.execute(_FILES, (index,)).fetchone() or ()
        return [witness_file.decode(data, f"of image {index}") for data in found if data]

    def witness_files(self) -> list[tuple[int, str, bytes]]:
        """(index, network, bytes of the .npz) of every witness."""
        with sqlite_errors(self._path):
            return [
                (int(row[0]), network, bytes(data))
                for row in self._connection.execute(_ROWS)
                for network, data in (("quantised", row[4]), ("reference", row[3]))
                if data is not None
            ]


def _create(path: Path, connection: sqlite3.Connection, text: str) -> None:
    with sqlite_errors(path), transaction(connection):
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        _write(connection, text, RunSeal())


def _write(connection: sqlite3.Connection, config: str, run: RunSeal) -> None:
    """Write the configuration and the seal of all rows over it."""
    values = (("config", config), ("seal", run.text(config)))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)


def _seal(row: tuple[Any, ...]) -> str:
    """SHA-256 (hex) of all that the store holds of an image."""
    index, record, seconds, *files = row
    digests = [None if data is None else hashlib.sha256(data).hexdigest() for data in files]
    return hashlib.sha256(json.dumps([index, record, seconds, digests]).encode()).hexdigest()


def _checked(path: Path, connection: sqlite3.Connection) -> tuple[str, RunSeal]:
    """(configuration, seal) of a store whose rows are all as relrob wrote them. Raises
    StoreError."""
    with sqlite_errors(path), transaction(connection, "DEFERRED"):
        made = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION or made != [(text,) for text in _TABLES]:
            raise StoreError(f"{path} is not a store of this relrob", f"format {_VERSION}", RESTORE)
        check_whole(path, connection)
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        rows = (
            (row[0], row[-1] if _seal(row[:-1]) == row[-1] else None)
            for row in connection.execute(_ROWS)
        )
        config = str(meta["config"])
        return config, summed(path, config, rows, meta.get("seal"))
