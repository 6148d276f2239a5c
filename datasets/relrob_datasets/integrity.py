"""Files that may be missing, broken or other than their manifest says."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relrob.errors import ChecksumError, DatasetError
from relrob.system.files import sha256_file
from relrob_datasets.manifest import File


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of a broken or unreadable file into a DatasetError of one line."""
    try:
        yield
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DatasetError(
            f"cannot read {path}: {reason}", hint="another copy of the file"
        ) from error


def unsplit(path: Path, split: str) -> DatasetError:
    """The error for a split of data that have none."""
    return DatasetError(
        f"{path} has no splits: {split!r}", "test, which stands for all of it", "no --split"
    )


def check_file(path: Path, file: File) -> None:
    """Raise ChecksumError unless `path` has the SHA-256 of `file`, or its MD5 where it has no
    SHA-256."""
    with reading(path):
        if file.sha256:
            if (found := sha256_file(path)) != file.sha256:
                raise ChecksumError(
                    f"{path} has sha256 {found}",
                    f"{file.sha256} ({file.name})",
                    "get the file again",
                )
        elif (found := _md5_file(path)) != file.md5:
            raise ChecksumError(
                f"{path} has md5 {found}", f"{file.md5} ({file.name})", "get the file again"
            )


def sha256_of(paths: Sequence[Path]) -> str:
    """SHA-256 of the bytes of the files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with reading(path), path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _md5_file(path: Path) -> str:
    """MD5 (hex), which shows damage and not malice, for files whose publisher gives nothing
    better."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
