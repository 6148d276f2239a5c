"""Temporary files: a folder that goes with its block, and one line where the disk takes none."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relrob.errors import StoreError
from relrob.system.files import DESCRIPTORS, NO_DESCRIPTORS

# Errors of a disk that takes no more.
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def temporary_folder(prefix: str = "relrob-") -> Iterator[Path]:
    """A folder that is removed at the end of the block.

    Raises StoreError where none can be made, and in place of any error of the block on a disk that
    is full by then: libraries tell of a full disk in words of their own, or call their file broken.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise refusal(error) from error
    with made as name:
        try:
            yield Path(name)
        except StoreError:
            raise
        except OSError as error:
            if error.errno in FULL:
                raise refusal(error) from error
            check_temporary()
            raise
        except Exception:
            # The folder still holds what filled the disk.
            check_temporary()
            raise


def made_folder(prefix: str) -> str:
    """The path of a new folder, which the caller removes. Raises StoreError."""
    try:
        return tempfile.mkdtemp(prefix=prefix)
    except OSError as error:
        raise refusal(error) from error


def check_temporary() -> None:
    """Raise StoreError where no megabyte of temporary files can be written. Other libraries would
    fail there with errors that do not help."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 20))
            file.flush()
    except OSError as error:
        raise refusal(error) from error


def refusal(error: OSError) -> StoreError:
    """The line about temporary files that cannot be written."""
    try:
        place = f" in {tempfile.gettempdir()}"
    except FileNotFoundError:
        # Its words name every place that was tried.
        place = ""
    return StoreError(
        f"no temporary files{place}: {error.strerror or error}",
        hint=DESCRIPTORS
        if error.errno in NO_DESCRIPTORS
        else "free space, or the environment variable TMPDIR = another directory",
    )
