"""TOML that users write, read within limits of size, of time and of depth."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from relrob.errors import UsageError
from relrob.system.files import disk_errors, read_regular

# The most bytes of a file.
LARGEST: Final = 1 << 18
# The most dots in a line: tomllib takes the square of their number.
MOST_DOTS: Final = 500


def toml_text(path: Path) -> str:
    """The text of a TOML file. Raises StoreError for what is no regular file, or is larger than
    `LARGEST`, UsageError for bytes that are no UTF-8."""
    with disk_errors(path, "read"):
        data = read_regular(path, LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no TOML: it is not UTF-8", "a TOML file") from error


def toml_tables(
    what: str, text: str, accepted: str = "a TOML file", hint: str = ""
) -> dict[str, Any]:
    """The tables of a TOML text. `what`: its name in the message; `accepted`, `hint`: the end of
    the message. Raises UsageError.

    >>> toml_tables("policy.toml", "[rules]\\nmax-lost = 3")
    {'rules': {'max-lost': 3}}
    """
    # Lines of TOML end with \n alone: a quoted key may hold what str.splitlines takes for an end.
    dots = max(line.count(".") for line in text.split("\n"))
    if dots > MOST_DOTS:
        raise UsageError(f"{what} has a line with {dots:,} dots", f"{MOST_DOTS} at most", hint)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    except RecursionError:
        why = "it nests too deeply"
    except ValueError:
        # Python reads no integer of more than 4,300 digits.
        why = "a number has too many digits"
    raise UsageError(f"{what} is no TOML: {why}", accepted, hint)
