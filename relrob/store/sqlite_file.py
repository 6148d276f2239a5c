"""The store's SQLite file: connections, transactions, the lock on its directory, and every refusal
as a StoreError of one line."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from relrob.errors import RelrobError, StoreError

_log = logging.getLogger(__name__)
BUSY_SECONDS = 10.0
ELSEWHERE = "--out another directory"
RESTORE = "restore it from a copy, or --out another directory"
_IN_USE = "another relrob is using {}"
_WAIT = "wait for it to end, or --out another directory"
# Errors of Python over damaged bytes, which SQLite hands on as they are.
_GARBLED = (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError)


def connect(path: Path, mode: str, stack: ExitStack) -> sqlite3.Connection:
    """A connection without implicit transactions, closed by `stack`."""
    # SQLite would wait for a pipe.
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is no regular file", "a store that relrob wrote", ELSEWHERE)
    with sqlite_errors(path):
        address = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    stack.callback(connection.close)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """The whole block happens, or nothing of it. `kind`: IMMEDIATE, or DEFERRED to read one state
    of the file."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def is_empty(path: Path, connection: sqlite3.Connection) -> bool:
    """True where the file holds no run yet: relrob was killed while SQLite made it."""
    with sqlite_errors(path):
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return not tables and not connection.execute("PRAGMA user_version").fetchone()[0]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold an advisory lock on the directory itself.

    The lock leaves no file and ends with the process, however that dies. Raises StoreError where
    another process holds it.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    held = False
    try:
        held = _lock(handle, directory)
        yield
    finally:
        if held:
            # Closing is not enough: worker processes may hold copies of the handle.
            fcntl.flock(handle, fcntl.LOCK_UN)
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


def damaged(path: Path, why: object) -> StoreError:
    """The error for a file that relrob cannot have written."""
    told = "".join(letter if letter.isprintable() else "?" for letter in str(why)[:160])
    return StoreError(f"{path} is damaged or not a store: {told}", hint=RESTORE)


def check_whole(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError for a file whose pages SQLite finds damaged."""
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(path, verdict)


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite, and those of Python over garbled values, into a StoreError of one
    line."""
    try:
        yield
    except RelrobError:
        raise
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    except _GARBLED as error:
        raise damaged(path, f"{type(error).__name__}, {error}") from error


def _refusal(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(_IN_USE.format(path.parent), hint=_WAIT)
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StoreError(f"{path} refuses an impossible record: {error}")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"cannot use {path}: {error}", hint="more open files (ulimit -n), or another --out"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StoreError(f"cannot use {path}: {error}", hint="free space or another --out")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(
            f"cannot use {path}: {error}", hint="another --out, in a directory where you may write"
        )
    return damaged(path, error)
