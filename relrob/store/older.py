"""Stores of an older relrob, read as they are or carried over. Format 5 lacks the table of attacks.
Format 4 lacks the last columns of a record too. Format 3 lacks spot checks and seals as well, and
keeps the selection of images in its configuration."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.store import seals, tables
from relrob.store.seals import RunSeal
from relrob.store.sqlite_file import RESTORE, connect, sqlite_errors, transaction
from relrob.system.files import atomic_path

FORMAT: Final = 3  # the last one without seals
SEALED: Final = 4
_CONFIGURED: Final = 4  # of a configuration that is the same in stores of later formats
_LAST: Final = {FORMAT: "clean_regression", SEALED: "spot_checks", 5: "quantised_proved"}
COLUMNS: Final = {
    version: tables.COLUMNS[: tables.COLUMNS.index(last) + 1] for version, last in _LAST.items()
}


def _tie(network: str) -> str:
    verdict, margin = f"{network}_verdict", f"{network}_margin"
    return f"CASE WHEN {verdict} = 'NOT_ROBUST' AND {margin} = 0 THEN '{network}, ' ELSE '' END"


# The columns that older records lack, as SQL; ties of the clean image are not known.
_LATER: Final = {
    "spot_checks": "0",
    "ties": f"rtrim({_tie('reference')} || {_tie('quantised')}, ', ')",
    "reference_proved": "NULL",
    "quantised_proved": "NULL",
}
_log = logging.getLogger(__name__)


def configuration(text: str) -> dict[str, Any]:
    """The configuration in today's format, which leaves the selection of images to the reader."""
    config: dict[str, Any] = json.loads(text)
    config.pop("indices", None)
    dataset = config.get("dataset")
    if isinstance(dataset, dict):
        dataset.pop("images", None)
    return {**config, "format": _CONFIGURED} if config.get("format") == FORMAT else config


def columns(version: int) -> str:
    """The columns of a record in a store of some format, as SQL."""
    there = COLUMNS.get(version, tables.COLUMNS)
    return ", ".join([f'"{name}"' for name in there] + [_LATER[name] for name in _lacking(there)])


def _lacking(there: tuple[str, ...]) -> tuple[str, ...]:
    return tables.COLUMNS[len(there) :]


def warn(path: Path, images: Collection[int]) -> None:
    """Say that these images, if any, have no seal of the relrob that decided them."""
    if images:
        _log.warning(
            "%s: rows not sealed: an older relrob decided %d of its images; "
            "try: another --out decides them again",
            path,
            len(images),
        )


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError for a verdict that contradicts the witness or certificate that is kept
    beside it."""
    for network in ("reference", "quantised"):
        same = f"""WHERE o."index" = r."index" AND o.network = '{network}'"""
        held = f"""SELECT "index", {network}_verdict,
          EXISTS (SELECT 1 FROM witnesses o {same}), EXISTS (SELECT 1 FROM certificates o {same})
          FROM records r"""  # noqa: S608
        for index, verdict, witness, certificate in connection.execute(held):
            wrong = "a certificate" if certificate and verdict != Status.ROBUST else ""
            wrong = wrong or ("a witness" if witness and verdict == Status.ROBUST else "")
            wrong = wrong or ("no witness" if not witness and verdict == Status.NOT_ROBUST else "")
            if wrong:
                told = f"the {network} network is {verdict or 'wrong'} there, with {wrong}"
                raise StoreError(
                    f"image {index} in {path} is not as relrob wrote it: {told}", hint=RESTORE
                )


def carry_over(path: Path, connection: sqlite3.Connection, config: str) -> None:
    """Put a sealed store of today's format with the same rows in the place of the older one, at
    once or not at all.

    The seals of its rows keep the older format.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    formats: dict[int, int] = {}
    if version >= SEALED:
        formats.update(connection.execute('SELECT "index", format FROM seals').fetchall())
    with atomic_path(path) as temporary, ExitStack() as stack:
        new = connect(temporary, "rw", stack)
        with sqlite_errors(path), transaction(new):
            tables.create(new)
            for table, what in (
                ("records", columns(version)),
                ("witnesses", "*"),
                ("certificates", "*"),
                ("timings", "*"),
            ):
                for row in connection.execute(f"SELECT {what} FROM {table}"):  # noqa: S608
                    marks = ", ".join("?" * len(row))
                    new.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608
            indices = [index for (index,) in new.execute('SELECT "index" FROM records')]
            run = RunSeal()
            for index in indices:
                run = seals.add(new, index, formats.get(index, FORMAT), run)
            seals.write(new, config, run)
        new.close()
