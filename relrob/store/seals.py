"""Seals: a digest of all that the store holds of an image, and one of the whole run, written in the
transaction of each change.

A seal shows damage, and edits by other programs. It is no signature: whoever can edit the store can
compute it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from relrob.errors import StoreError
from relrob.store import attack_rows
from relrob.store.sqlite_file import RESTORE

_MODULUS: Final = 2**256


@dataclass(frozen=True)
class RunSeal:
    """The number of images in a store, and the sum of their seals modulo 2^256, which does not
    depend on their order."""

    rows: int = 0
    total: int = 0

    def changed(self, seal: str, by: int) -> RunSeal:
        """The seal with one image more (`by` is 1) or one fewer (-1). `seal`: that image's."""
        return replace(
            self, rows=self.rows + by, total=(self.total + by * int(seal, 16)) % _MODULUS
        )

    def text(self, config: str) -> str:
        """SHA-256 (hex) of this seal and the configuration `config`, which lie beside each
        other."""
        return hashlib.sha256(
            json.dumps([config, self.rows, f"{self.total:064x}"]).encode()
        ).hexdigest()


@dataclass(frozen=True)
class Held:
    """All that the store holds of one image, with digests for blobs.

    `format`: the format of the store that the image was decided for. `attacks`: None in a store
    of a format that has none, whose seals do not speak of them.
    """

    format: int
    record: tuple[Any, ...] | None
    witnesses: tuple[tuple[str, str], ...]
    certificates: tuple[tuple[str, str], ...]
    seconds: tuple[float, ...]
    attacks: tuple[tuple[Any, ...], ...] | None = None

    def seal(self) -> str:
        """SHA-256 (hex) of every field. Raises TypeError for a value of a type that no record
        has."""
        values = list(vars(self).values())
        told = values[:-1] if self.attacks is None else values
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def rows_there(
    connection: sqlite3.Connection, formats: dict[int, int], index: int | None = None
) -> Iterator[tuple[int, Held]]:
    """(index, rows) of each image in any table, ascending, or of one image `index`.

    `formats`: index to the format that its seal names.
    """
    where, values = ("", ()) if index is None else (' WHERE "index" = ?', (index,))
    query = f"SELECT * FROM records{where}"  # noqa: S608
    records = {row[0]: row for row in connection.execute(query, values)}
    blobs = []
    for table, column in (("witnesses", "npz"), ("certificates", "json")):
        found: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        query = f"""SELECT "index", network, {column}
            FROM {table}{where} ORDER BY "index", network"""  # noqa: S608
        for at, network, data in connection.execute(query, values):
            found[at].append((network, hashlib.sha256(data).hexdigest()))
        blobs.append(found)
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    for at, spent in connection.execute(f"SELECT * FROM timings{where}", values):  # noqa: S608
        seconds[at].append(spent)
    attacks: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in attack_rows.rows(connection, index):
        attacks[row[0]].append(row)
    kept = attack_rows.there(connection)
    for at in sorted({*records, *blobs[0], *blobs[1], *seconds, *attacks, *formats}):
        witnesses, certificates = (tuple(found.get(at, ())) for found in blobs)
        yield (
            at,
            Held(
                formats.get(at, 0),
                records.get(at),
                witnesses,
                certificates,
                tuple(seconds.get(at, ())),
                tuple(attacks.get(at, ())) if kept else None,
            ),
        )


def add(connection: sqlite3.Connection, index: int, kind: int, run: RunSeal) -> RunSeal:
    """Seal the rows of an image; returns the run's seal with it. `kind`: the format to name."""
    for _, row in rows_there(connection, {index: kind}, index):
        connection.execute("INSERT INTO seals VALUES (?, ?, ?)", (index, kind, row.seal()))
        run = run.changed(row.seal(), 1)
    return run


def write(connection: sqlite3.Connection, config: str, run: RunSeal) -> None:
    """Write the configuration and the run's seal over it."""
    values = (("config", config), ("seal", run.text(config)))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)


def check(
    path: Path, connection: sqlite3.Connection, config: str
) -> tuple[RunSeal, dict[int, int]]:
    """Compute every seal again; returns that of the run, and index to the format of each image.

    Raises StoreError that names the first image whose seal is broken.
    """
    stored = {at: (kind, seal) for at, kind, seal in connection.execute("SELECT * FROM seals")}
    formats = {at: kind for at, (kind, _) in stored.items()}
    rows = (
        (at, stored[at][1] if row.record is not None and _has_seal(row, stored.get(at)) else None)
        for at, row in rows_there(connection, formats)
    )
    kept = connection.execute("SELECT value FROM meta WHERE key = 'seal'").fetchone()
    return summed(path, config, rows, kept and kept[0]), formats


def summed(
    path: Path, config: str, rows: Iterable[tuple[int, str | None]], kept: object
) -> RunSeal:
    """The seal of a store at `path`, which must be the one that it keeps. `rows`: images with their
    seals, None for one that is not that of the image.

    Raises StoreError that names the first image whose seal is broken.
    """
    run = RunSeal()
    for at, seal in rows:
        if seal is None:
            raise StoreError(f"image {at} in {path} is not as relrob wrote it", hint=RESTORE)
        run = run.changed(seal, 1)
    if kept != run.text(config):
        raise StoreError(
            f"{path} is not as relrob wrote it: its configuration was changed, "
            "or images were added or taken out",
            hint=RESTORE,
        )
    return run


def _has_seal(row: Held, stored: tuple[int, str] | None) -> bool:
    """Is the stored (format, seal) that of the rows?"""
    try:
        return stored is not None and row.seal() == stored[1]
    except TypeError:
        # A column holds bytes where text was.
        return False
