"""The store of a run: one SQLite file in the run directory, one transaction an image.

The rollback journal (journal_mode=DELETE, synchronous=EXTRA) is used, not the write-ahead log: a kill leaves at most a
journal that the next opening rolls back, a finished run leaves ONE file that can be copied, and no memory is shared.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from relrob.domain.record import ImageResult, Record, WitnessView
from relrob.errors import StoreError
from relrob.files import check_writable, disk_errors
from relrob.study import rows, witness_file

FILE = "store.sqlite"
_log = logging.getLogger(__name__)
BUSY_SECONDS = 10.0
_ELSEWHERE = "--out another directory"
_IN_USE = "another relrob is using {}"
_WAIT = "wait for it to end, or --out another directory"


def canonical(config: Mapping[str, Any]) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN.

    >>> canonical({"step": 0.25, "radius": 20})
    '{"radius":20,"step":0.25}'
    """
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@final
class Store:
    """Records, witnesses and seconds of one run; `open` to write, `read` for reports; a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, config: str, cleanup: ExitStack) -> None:
        """Use `Store.open` or `Store.read`."""
        self._path = path
        self._connection = connection
        self._cleanup = cleanup
        self.config: dict[str, Any] = json.loads(config)
        self.digest = hashlib.sha256(config.encode()).hexdigest()
        self._order = tuple(dict.fromkeys(int(index) for index in self.config.get("indices", ())))

    @classmethod
    def open(cls, directory: Path, config: Mapping[str, Any]) -> Store:
        """Create the run directory, or resume the run in it; one process at a time.

        Raises StoreError: another configuration, unrelated files, a damaged or newer store, in use, no space.
        """
        text, path = canonical(config), directory / FILE
        with ExitStack() as stack:
            with disk_errors(directory):
                directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_locked(directory))
                _refuse_files(directory)
            connection = _connect(path, "rwc", stack)
            with _sqlite_errors(path):
                connection.executescript("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; PRAGMA foreign_keys=ON")
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    with _transaction(connection):
                        for statement in (*rows.SCHEMA, f"PRAGMA user_version={rows.VERSION}"):
                            connection.execute(statement)
                        connection.execute("INSERT INTO meta VALUES ('config', ?)", (text,))
            _refuse_other(directory, _stored_config(path, connection), text)
            return cls(path, connection, text, stack.pop_all())

    @classmethod
    def check(cls, directory: Path, config: Mapping[str, Any] | None = None) -> None:
        """Raise now, before the work, the StoreError that `open` would raise for what lies in `directory`; writes nothing."""
        path = directory / FILE
        if not path.is_file():
            check_writable(path)
            if directory.is_dir():
                with disk_errors(directory):
                    _refuse_files(directory)
        elif config is not None:
            with cls.read(directory) as store:
                _refuse_other(directory, canonical(store.config), canonical(config))

    @classmethod
    def read(cls, directory: Path) -> Store:
        """Open a run for reports; only what a kill left half-written is rolled back. Raises StoreError."""
        path = directory / FILE
        if not path.is_file():
            raise StoreError(f"{directory} is not a run directory", f"a directory with a {FILE} that relrob wrote")
        with ExitStack() as stack:
            connection = _connect(path, "rw", stack)
            with _sqlite_errors(path):
                connection.execute("PRAGMA query_only=ON")
            return cls(path, connection, _stored_config(path, connection), stack.pop_all())

    def close(self) -> None:
        """Close the file and let others have the directory; again is no harm."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def done(self) -> frozenset[int]:
        """Indices of the images that have a record."""
        return frozenset(index for (index,) in self._query('SELECT "index" FROM records'))

    def forget(self, indices: Collection[int]) -> None:
        """Drop all that is known of some images, in one transaction: they count as not done."""
        given = [(index,) for index in indices]
        with _sqlite_errors(self._path), _transaction(self._connection):
            for table in ("witnesses", "certificates", "timings", "records"):
                self._connection.executemany(f'DELETE FROM {table} WHERE "index" = ?', given)  # noqa: S608  (names above)

    def append(self, result: ImageResult) -> None:
        """Store an image whole, on disk when this returns. The same result again changes nothing.

        Raises StoreError: another result for that image, an image outside the selection, a full disk.
        """
        index = int(result.record.index)
        if self._order and index not in self._order:
            raise StoreError(f"image {index} is not among the {len(self._order)} images of {self._path.parent}")
        row = rows.encode(result.record)
        witnesses = {str(view.network): view for view in result.witnesses}
        if len(witnesses) != len(result.witnesses) or any(view.index != index for view in result.witnesses):
            raise StoreError(f"the witnesses of image {index} are not its own, one a network")
        with _sqlite_errors(self._path), _transaction(self._connection):
            stored = self._connection.execute('SELECT * FROM records WHERE "index" = ?', (index,)).fetchone()
            if stored is not None:
                self._check_same(index, stored == row, witnesses)
                return
            self._connection.execute(rows.INSERT, row)
            blobs = [(index, name, witness_file.encode(view)) for name, view in sorted(witnesses.items())]
            self._connection.executemany("INSERT INTO witnesses VALUES (?, ?, ?)", blobs)
            certificates = [(index, name, data) for name, data in sorted(result.certificates)]
            self._connection.executemany("INSERT INTO certificates VALUES (?, ?, ?)", certificates)
            self._connection.execute("INSERT INTO timings VALUES (?, ?)", (index, float(result.seconds)))

    def _check_same(self, index: int, same_row: bool, witnesses: Mapping[str, WitnessView]) -> None:
        old = {view.network: witness_file.digest(view) for view in self.witnesses(index)}
        new = {name: witness_file.digest(view) for name, view in witnesses.items()}
        if not same_row or old != new:
            raise StoreError(
                f"image {index} is stored in {self._path.parent} with another result",
                "the same result each time",
                _ELSEWHERE,
            )

    def records(self) -> list[Record]:
        """All records, in the order of the configuration's `indices` where it has them, else ascending."""
        stored = [rows.decode(row) for row in self._query('SELECT * FROM records ORDER BY "index"')]
        place = {index: number for number, index in enumerate(self._order)}
        return sorted(stored, key=lambda record: place.get(record.index, record.index))

    def witness_files(self, index: int | None = None) -> list[tuple[int, str, bytes]]:
        """(index, network, bytes of the .npz) of every witness, or of one image's, ascending."""
        query = 'SELECT "index", network, npz FROM witnesses WHERE ? IS NULL OR "index" = ? ORDER BY "index", network'
        return [(int(at), str(network), bytes(data)) for at, network, data in self._query(query, (index, index))]

    def certificates(self) -> list[tuple[int, str, bytes]]:
        """(index, network, bytes) of every certificate, ascending."""
        query = 'SELECT "index", network, json FROM certificates ORDER BY "index", network'
        return [(int(at), str(network), bytes(data)) for at, network, data in self._query(query)]

    def witnesses(self, index: int | None = None) -> list[WitnessView]:
        """Every witness, or those of one image; by index, "quantised" before "reference"."""
        return [witness_file.decode(data) for _, _, data in self.witness_files(index)]

    def seconds(self) -> dict[int, float]:
        """Seconds that each image took, by index: the clock, kept apart from the records."""
        return {int(index): float(spent) for index, spent in self._query('SELECT * FROM timings ORDER BY "index"')}

    def content_sha256(self) -> str:
        """SHA-256 of records and witnesses, no clock: the same for every run of a configuration, interrupted or not."""
        sha = hashlib.sha256()
        views: dict[int, list[WitnessView]] = {}
        for view in self.witnesses():
            views.setdefault(view.index, []).append(view)
        for record in self.records():
            digests = [witness_file.digest(view) for view in views.get(record.index, [])]
            sha.update(json.dumps([rows.encode(record), digests]).encode() + b"\n")
        return sha.hexdigest()

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with _sqlite_errors(self._path):
            return self._connection.execute(statement, values).fetchall()


def _refuse_files(directory: Path) -> None:
    """A directory with files that are no run is somebody's work."""
    if not (directory / FILE).exists() and any(directory.iterdir()):
        raise StoreError(f"{directory} has files but no run", "a new or empty directory", _ELSEWHERE)


def _refuse_other(directory: Path, found: str, text: str) -> None:
    """The run there is the one asked for, or StoreError."""
    if found != text:
        told = rows.differences(json.loads(found), json.loads(text))
        raise StoreError(f"{directory} holds a run of another configuration: {told}", hint=_ELSEWHERE)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold an advisory lock on the directory itself: it leaves no file, and ends with the process however that dies."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    held = False
    try:
        held = _lock(handle, directory)
        yield
    finally:
        if held:
            fcntl.flock(handle, fcntl.LOCK_UN)  # worker processes may hold copies of the handle
        os.close(handle)


def _lock(handle: int, directory: Path) -> bool:
    """Lock an open directory; False, and a warning, on a file system that knows no such lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(_IN_USE.format(directory), hint=_WAIT) from error
    except OSError as error:
        _log.warning("cannot lock %s (%s): run no second relrob in it", directory, error.strerror)
        return False
    return True


def _connect(path: Path, mode: str, stack: ExitStack) -> sqlite3.Connection:
    """A connection without implicit transactions, closed by `stack`."""
    with _sqlite_errors(path):
        address = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    stack.callback(connection.close)
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _stored_config(path: Path, connection: sqlite3.Connection) -> str:
    """The configuration in the store, after checking that the file is whole and of this version of relrob."""
    with _sqlite_errors(path):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, rows.VERSION):
            age, remedy = ("a newer", "upgrade relrob") if version > rows.VERSION else ("an older", _ELSEWHERE)
            raise StoreError(f"{path} was written by {age} relrob (format {version})", f"format {rows.VERSION}", remedy)
        columns = [column[1] for column in connection.execute("PRAGMA table_info(records)")]
        if version != rows.VERSION or tuple(columns) != rows.COLUMNS:
            raise StoreError(
                f"{path} is not a store of this relrob", f"format {rows.VERSION}", "--out another directory"
            )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreError(f"{path} is damaged: {verdict}", hint="restore it from a copy, or --out another directory")
        row = connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
    if row is None:
        raise StoreError(f"{path} names no configuration", hint=_ELSEWHERE)
    return str(row[0])


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's refusals into a StoreError of one line."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(_IN_USE.format(path.parent), hint=_WAIT) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            hint = "restore it from a copy, or --out another directory"
            raise StoreError(f"{path} is damaged or not a store: {error}", hint=hint) from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise StoreError(f"{path} refuses an impossible record: {error}") from error
        hint = "free space or another --out"
        raise StoreError(f"cannot use {path}: {error}", hint=hint) from error
