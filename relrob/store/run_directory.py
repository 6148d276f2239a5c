"""The store of a run: one SQLite file in the run directory, one transaction an image.

The store uses the rollback journal (journal_mode=DELETE, synchronous=EXTRA) and no write-ahead log.
A kill leaves at most a journal, which the next opening rolls back. A finished run leaves one file,
which can be copied. No memory is shared. Every opening checks the seals of all rows
(relrob.store.seals); stores of format 3 have none.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from relrob.domain.record import AttackRecord, ImageResult, Record, WitnessView
from relrob.errors import StoreError
from relrob.store import attack_rows, older, seals, tables, witness_file
from relrob.store.configuration import canonical
from relrob.store.seals import RunSeal
from relrob.store.sqlite_file import (
    ELSEWHERE,
    RESTORE,
    check_whole,
    connect,
    damaged,
    is_empty,
    locked,
    sqlite_errors,
    transaction,
)
from relrob.system.files import check_writable, disk_errors

FILE = "store.sqlite"
JOURNAL = f"{FILE}-journal"
_DELETE = 'DELETE FROM {} WHERE "index" = ?'


@final
class Store:
    """Records, witnesses, certificates and seconds of one run, as a context manager: `open` to
    write, `read` for reports."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, checked: _Checked, cleanup: ExitStack
    ) -> None:
        """Use `Store.open` or `Store.read`."""
        self._path = path
        self._connection = connection
        self._cleanup = cleanup
        self._checked = checked
        self._run = checked.sealed or RunSeal()
        self.config: dict[str, Any] = json.loads(checked.config)
        self.digest = hashlib.sha256(checked.config.encode()).hexdigest()

    @classmethod
    def open(cls, directory: Path, config: Mapping[str, Any]) -> Store:
        """Create the run directory, or resume the run in it, one process at a time.

        A store of an older format is carried over. Raises StoreError: another configuration,
        unrelated files, a damaged or newer store, a store in use, no space.
        """
        text, path = canonical(config), directory / FILE
        with ExitStack() as stack:
            with disk_errors(directory):
                directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(directory))
                refuse_files(directory, FILE, "run")
            connection = writable(path, stack)
            if is_empty(path, connection):
                with sqlite_errors(path), transaction(connection):
                    tables.create(connection)
                    seals.write(connection, text, RunSeal())
            checked = _check(path, connection)
            refuse_other(directory, checked.config, text, "run")
            if checked.version != tables.VERSION:
                older.carry_over(path, connection, text)
                connection.close()
                connection = writable(path, stack)
                checked = _check(path, connection)
            older.warn(path, checked.older)
            return cls(path, connection, checked, stack.pop_all())

    @classmethod
    def check(cls, directory: Path, config: Mapping[str, Any] | None = None) -> None:
        """Raise now, before the work, the StoreError that `open` would raise for `directory`;
        writes nothing."""
        path = directory / FILE
        if not path.is_file():
            check_writable(path)
            if directory.is_dir():
                with disk_errors(directory):
                    refuse_files(directory, FILE, "run")
        elif config is not None:
            with ExitStack() as stack:
                connection = connect(path, "rw", stack)
                if not is_empty(path, connection):
                    found = _check(path, connection).config
                    refuse_other(directory, found, canonical(config), "run")

    @classmethod
    def read(cls, directory: Path) -> Store:
        """Open a run for reports; a transaction that a kill left unfinished is rolled back.

        Raises StoreError: no run there, or a damaged one.
        """
        path, accepted = directory / FILE, f"a directory with a {FILE} that relrob wrote"
        with disk_errors(path, "read"):
            there, journal = path.is_file(), (directory / JOURNAL).is_file()
        if not there and not journal:
            raise StoreError(f"{directory} is not a run directory", accepted)
        with ExitStack() as stack:
            connection = connect(path, "rw", stack) if there else None
            if connection is None or is_empty(path, connection):
                raise StoreError(
                    f"{directory} has no run yet: it was stopped as it began",
                    accepted,
                    "relrob verify again",
                )
            with sqlite_errors(path):
                connection.execute("PRAGMA query_only=ON")
            checked = _check(path, connection)
            return cls(path, connection, checked, stack.pop_all())

    def close(self) -> None:
        """Close the file and release the directory. A second call does nothing."""
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

    @property
    def run(self) -> str | None:
        """The digest that a summary.json beside it names; None for one of before seals, whose
        summary has that of another configuration."""
        return self.digest if self._checked.version >= older.SEALED else None

    @property
    def older(self) -> frozenset[int]:
        """Indices of the images that an older relrob decided, without seals."""
        return self._checked.older

    def done(self) -> frozenset[int]:
        """Indices of the images that have a record."""
        return frozenset(index for (index,) in self._query('SELECT "index" FROM records'))

    def forget(self, indices: Collection[int]) -> None:
        """Delete every row of some images in one transaction: they count as not done."""
        given = [(index,) for index in sorted(set(indices))]
        run = self._run
        with sqlite_errors(self._path), transaction(self._connection):
            for values in given:
                for (seal,) in self._connection.execute(
                    'SELECT sha256 FROM seals WHERE "index" = ?', values
                ).fetchall():
                    run = run.changed(seal, -1)
            for table in ("seals", "witnesses", "certificates", "timings", "attacks", "records"):
                self._connection.executemany(_DELETE.format(table), given)
            seals.write(self._connection, self._checked.config, run)
        self._run = run

    def append(self, result: ImageResult) -> None:
        """Store an image whole; it is on the disk when this returns. The same result again changes
        nothing.

        Raises StoreError: another result for that image, a full disk.
        """
        index = int(result.record.index)
        row = tables.encode(result.record)
        witnesses = {str(view.network): view for view in result.witnesses}
        if len(witnesses) != len(result.witnesses) or any(
            view.index != index for view in result.witnesses
        ):
            raise StoreError(f"the witnesses of image {index} are not its own, one a network")
        with sqlite_errors(self._path), transaction(self._connection):
            stored = self._connection.execute(
                'SELECT * FROM records WHERE "index" = ?', (index,)
            ).fetchone()
            if stored is not None:
                same = stored == row and self.attacks(index).get(index, ()) == result.attacks
                self._check_same(index, same, witnesses)
                return
            self._connection.execute(tables.INSERT, row)
            blobs = [
                (index, name, witness_file.encode(view)) for name, view in sorted(witnesses.items())
            ]
            self._connection.executemany("INSERT INTO witnesses VALUES (?, ?, ?)", blobs)
            certificates = [(index, name, data) for name, data in sorted(result.certificates)]
            self._connection.executemany("INSERT INTO certificates VALUES (?, ?, ?)", certificates)
            self._connection.execute(
                "INSERT INTO timings VALUES (?, ?)", (index, float(result.seconds))
            )
            attack_rows.insert(self._connection, index, result.attacks)
            run = seals.add(self._connection, index, tables.VERSION, self._run)
            seals.write(self._connection, self._checked.config, run)
        self._run = run

    def _check_same(self, index: int, same_row: bool, witnesses: Mapping[str, WitnessView]) -> None:
        old = {view.network: witness_file.digest(view) for view in self.witnesses(index)}
        new = {name: witness_file.digest(view) for name, view in witnesses.items()}
        if not same_row or old != new:
            raise StoreError(
                f"image {index} is stored in {self._path.parent} with another result",
                "the same result each time",
                ELSEWHERE,
            )

    def records(self, indices: Iterable[int] | None = None) -> list[Record]:
        """All records, ascending; or those of some images, in their order, without the missing
        ones."""
        columns = self._checked.columns
        stored = self._query(f'SELECT {columns} FROM records ORDER BY "index"')  # noqa: S608
        with sqlite_errors(self._path):
            records = {record.index: record for record in map(tables.decode, stored)}
        return (
            list(records.values())
            if indices is None
            else [records[at] for at in indices if at in records]
        )

    def witness_files(self, index: int | None = None) -> list[tuple[int, str, bytes]]:
        """(index, network, bytes of the .npz) of every witness, or of one image's, ascending."""
        query = """SELECT "index", network, npz FROM witnesses
            WHERE ? IS NULL OR "index" = ? ORDER BY "index", network"""
        found = self._query(query, (index, index))
        with sqlite_errors(self._path):
            return [(int(at), str(network), bytes(data)) for at, network, data in found]

    def certificates(self) -> list[tuple[int, str, bytes]]:
        """(index, network, bytes) of every certificate, ascending."""
        query = 'SELECT "index", network, json FROM certificates ORDER BY "index", network'
        found = self._query(query)
        with sqlite_errors(self._path):
            return [(int(at), str(network), bytes(data)) for at, network, data in found]

    def witnesses(self, index: int | None = None) -> list[WitnessView]:
        """Every witness, or those of one image; by index, "quantised" before "reference"."""
        return [
            witness_file.decode(data, f"of image {at}") for at, _, data in self.witness_files(index)
        ]

    def attacks(self, index: int | None = None) -> dict[int, tuple[AttackRecord, ...]]:
        """Index to what attacks found around the image; of one image, or of all."""
        with sqlite_errors(self._path):
            return attack_rows.read(self._connection, index)

    def seconds(self) -> dict[int, float]:
        """Index to the seconds that the image took. No record holds a time."""
        found = self._query('SELECT * FROM timings ORDER BY "index"')
        with sqlite_errors(self._path):
            return {int(index): float(spent) for index, spent in found}

    def content_sha256(self) -> str:
        """SHA-256 (hex) of records and witnesses, without times: the same for every run of a
        configuration, interrupted or not."""
        sha = hashlib.sha256()
        views: dict[int, list[WitnessView]] = {}
        for view in self.witnesses():
            views.setdefault(view.index, []).append(view)
        attacks = self.attacks()
        for record in self.records():
            digests = [witness_file.digest(view) for view in views.get(record.index, [])]
            found = attack_rows.timeless(attacks.get(record.index, ()))
            told = [tables.encode(record), digests, *([found] if found else [])]
            sha.update(json.dumps(told).encode() + b"\n")
        return sha.hexdigest()

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with sqlite_errors(self._path):
            return self._connection.execute(statement, values).fetchall()


def writable(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """A connection whose every commit is on disk when it returns."""
    connection = connect(path, "rwc", stack)
    with sqlite_errors(path):
        connection.executescript(
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; PRAGMA foreign_keys=ON"
        )
    return connection


def refuse_files(directory: Path, file: str, what: str) -> None:
    """Raise StoreError for a directory with files but no store `file`: it is somebody's work.

    A journal without its store is a run that was just begun. `what` the store holds, in words.
    """
    if not (directory / file).exists() and any(
        path.name != f"{file}-journal" for path in directory.iterdir()
    ):
        raise StoreError(
            f"{directory} has files but no {what}", "a new or empty directory", ELSEWHERE
        )


def refuse_other(directory: Path, found: str, text: str, what: str) -> None:
    """Raise StoreError unless the configuration `found` is the one asked for, `text`. `what` the
    store holds, in words."""
    if found != text:
        told = tables.differences(json.loads(found), json.loads(text))
        raise StoreError(
            f"{directory} holds a {what} of another configuration: {told}", hint=ELSEWHERE
        )


@dataclass(frozen=True)
class _Checked:
    """The result of a look at a whole store.

    `version`: its format; `sealed`: the run's seal, None in format 3; `older`: the images that were
    decided without a seal; `columns`: those of a record, as SQL.
    """

    version: int
    config: str
    sealed: RunSeal | None
    older: frozenset[int]
    columns: str


def _check(path: Path, connection: sqlite3.Connection) -> _Checked:
    """Check the file and all its rows. Raises StoreError unless it is whole, of a known format and
    as relrob wrote it."""
    with sqlite_errors(path), transaction(connection, "DEFERRED"):
        version = _version(path, connection)
        check_whole(path, connection)
        config = _config(path, connection)
        if version == older.FORMAT:
            older.check(path, connection)
            indices = frozenset(
                index for (index,) in connection.execute('SELECT "index" FROM records')
            )
            config = canonical(older.configuration(config))
            return _Checked(version, config, None, indices, older.columns(version))
        run, formats = seals.check(path, connection, config)
        old = frozenset(index for index, kind in formats.items() if kind < older.SEALED)
        return _Checked(version, config, run, old, older.columns(version))


def _version(path: Path, connection: sqlite3.Connection) -> int:
    """The format of the store. Raises StoreError where its tables are not those of the format."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, *older.COLUMNS, tables.VERSION):
        age, remedy = (
            ("a newer", "upgrade relrob") if version > tables.VERSION else ("an older", ELSEWHERE)
        )
        raise StoreError(
            f"{path} was written by {age} relrob (format {version})",
            f"format {tables.VERSION}",
            remedy,
        )
    columns = tuple(column[1] for column in connection.execute("PRAGMA table_info(records)"))
    statements = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall()
    expected = older.COLUMNS.get(version, tables.COLUMNS)
    made = [(text,) for text in tables.schema(len(expected), version)]
    same = columns == expected and (version < older.SEALED or statements == made)
    if not version or not same:
        raise StoreError(
            f"{path} is not a store of this relrob", f"format {tables.VERSION}", RESTORE
        )
    return version


def _config(path: Path, connection: sqlite3.Connection) -> str:
    """The configuration in the store, as canonical JSON. Raises StoreError."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
    if row is None:
        raise StoreError(f"{path} names no configuration", hint=ELSEWHERE)
    text = str(row[0])
    if not isinstance(json.loads(text), dict):
        raise damaged(path, "its configuration is none")
    return text
