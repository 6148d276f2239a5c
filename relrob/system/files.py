"""Files: digests, atomic writes, and the user's cache directory (the environment variable
RELROB_CACHE moves it)."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs

from relrob.errors import RelrobError, StoreError, printable

_PREFIX = ".relrob-partial-"
_LOCK = ".relrob-in-use"
log = logging.getLogger(__name__)
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EINVAL)
_NOT_THAT_FILE = (*_NO_FILE, errno.EFBIG)  # of `read_regular`
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
DESCRIPTORS = "ulimit -n 1024, which lets a program open more files"


def sha256_bytes(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file, `most` at most.

    Raises OSError for a longer file, and for a pipe or a device, which might never answer or end.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}")
        return file.read()


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open to be read. Raises OSError for a pipe, a device or a directory."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield file


def sha256_path(path: Path) -> str:
    """SHA-256 of a file, or of the names and bytes of every file below a directory in sorted
    order."""
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    for child in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(
            os.fsencode(child.relative_to(path).as_posix())
            + b"\0"
            + bytes.fromhex(sha256_file(child))
        )
    return digest.hexdigest()


def readable(name: str | Path, keep: str = "") -> str:
    """A file name, or text with some in it, as text for people and JSON. Bytes that are no UTF-8
    appear as \\xNN, characters that a terminal could obey as \\uNNNN. Characters in `keep` stay.

    >>> readable("caf\\udce9.npz")
    'caf\\\\xe9.npz'
    """
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), keep)


def cache_dir() -> Path:
    """The user's cache directory for relrob, made on demand; RELROB_CACHE moves it."""
    path = _cache_root()
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _cache_root() -> Path:
    return Path(os.environ.get("RELROB_CACHE") or platformdirs.user_cache_dir("relrob"))


def check_writable(path: Path, size: int = 1 << 16) -> None:
    """Raise now the StoreError that `write_atomic` of `size` bytes would raise after minutes of
    work; leaves nothing on the disk."""
    folder = next(place for place in (path.parent, *path.parent.parents) if place.exists())
    with disk_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a directory of that name exists")
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a directory")
        with tempfile.TemporaryFile(dir=folder) as trial:
            os.posix_fallocate(trial.fileno(), 0, size)


@contextmanager
def disk_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError (full disk, no permission) into a StoreError of one line, "cannot DOING
    PATH"."""
    try:
        yield
    except RelrobError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot {doing} {path}: {error.strerror or error}", hint=_remedy(path, error, doing)
        ) from error


def _remedy(path: Path, error: OSError, doing: str) -> str:
    """The remedy: RELROB_CACHE for the cache, free space for a full disk, another place for what is
    written, the right path of what is read."""
    if error.errno in NO_DESCRIPTORS:
        return DESCRIPTORS
    if doing == "read" and error.errno in _NOT_THAT_FILE:
        return "check the path"
    full = "free space, or " if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    cache = _cache_root()
    if path == cache or cache in path.parents:
        return f"{full}the environment variable RELROB_CACHE = a directory where you may write"
    return f"{full}another --out or output, in a directory where you may write"


def sweep(directory: Path) -> None:
    """Remove the half-written files of killed processes below a directory, which no other process
    may be using."""
    with disk_errors(directory):
        for leftover in directory.rglob(f"{_PREFIX}*"):
            leftover.unlink(missing_ok=True)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a directory for this process, which makes it where it is not there. Raises StoreError
    where another process holds it. A file system without locks holds nothing."""
    path = directory / _LOCK
    with disk_errors(path):
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"{directory} is in use by another process",
                "one process at a time",
                "wait for it, or another directory",
            ) from error
        except OSError:
            log.debug("no locks in %s", directory)
        yield


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same directory. It becomes `path` when the block ends well, and
    vanishes when the block fails. Raises StoreError."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f"{_PREFIX}{path.name}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write the whole file or nothing of it. Raises StoreError."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
