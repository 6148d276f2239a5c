"""Text and JSON files of directories that relrob wrote, read as files that anybody may have
edited since.

Whatever the file holds, an error is one line that names it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from relrob.errors import StoreError
from relrob.system.files import disk_errors, read_regular

# Bytes of one such file: evidence.json has pictures, images.csv a line an image.
LARGEST: Final = 1 << 28
_ODD: Final = (ValueError, TypeError, AttributeError, IndexError, OverflowError, csv.Error)


def read_text(path: Path, accepted: str, hint: str = "") -> str:
    """The text of a file. `accepted` and `hint`: of the error.

    Raises StoreError: no regular file, too long, not UTF-8.
    """
    with disk_errors(path, "read"):
        data = read_regular(path, LARGEST)
    with damage(path, accepted, hint):
        return data.decode()


def read_json(path: Path, accepted: str, hint: str = "") -> Any:
    """The value in a JSON file, which has no NaN and no infinity. Raises StoreError as `read_text`
    does, and for text that is no JSON or is nested too deep."""
    text = read_text(path, accepted, hint)
    with damage(path, accepted, hint):
        return json.loads(text, parse_constant=_refuse)


@contextmanager
def damage(path: Path, accepted: str, hint: str = "") -> Iterator[None]:
    """Errors from values that are not those that the file should hold become StoreError."""
    try:
        yield
    except RecursionError as error:
        raise StoreError(f"{path} is damaged (nested too deep)", accepted, hint) from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is damaged (no UTF-8 text)", accepted, hint) from error
    except KeyError as error:
        raise StoreError(f"{path} is damaged (no entry {error})", accepted, hint) from error
    except _ODD as error:
        raise StoreError(f"{path} is damaged ({error})", accepted, hint) from error


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
