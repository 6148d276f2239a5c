"""The document of a finished stage, and the seal of a JSON document: a digest of all that it says.

A seal shows damage, and edits by other programs. It is no signature: whoever can edit the document
can compute it. So what a document holds is checked by its types as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

from relrob.domain.stage import canonical, stage_digest
from relrob.errors import StoreError
from relrob.system.files import sha256_bytes

DOCUMENT: Final = "stage.json"
REMEDY: Final = "delete its folder: it is made again"
_FORMAT: Final = 2
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

Row = dict[str, Any]


def is_digest(text: object) -> bool:
    """Is it a SHA-256 in hexadecimal digits?"""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_plain(name: object) -> bool:
    """Is it the name of a file of a stage: of one folder, and not hidden? Names that begin with a
    dot are of files that are being written.

    >>> [is_plain(name) for name in ("net.keras", "../net.keras", ".net.keras", "")]
    [True, False, False, False]
    """
    return isinstance(name, str) and bool(name) and name[0] != "." and not set(name) & set("/\\\0")


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished stage: what decided it, its `rows` of results, and the SHA-256 of its `files`.

    `read`: role to the `result` of the input at that time. `made`: the version of relrob, and of
    the tools that decide numbers. `seconds`: what it took. Raises ValueError for a field of another
    type.
    """

    kind: str
    options: dict[str, Any]
    inputs: dict[str, str]
    rows: tuple[Row, ...]
    files: dict[str, str]
    read: dict[str, str]
    made: dict[str, str]
    seconds: float

    def __post_init__(self) -> None:
        flat = all(_of(row, _is_value) for row in self.rows)
        links = _of(self.inputs, is_digest) and _of(self.read, is_digest)
        files = _of(self.files, is_digest) and all(map(is_plain, self.files))
        made = _of(self.made, lambda text: isinstance(text, str))
        timed = _is_number(self.seconds) and self.seconds >= 0
        whole = isinstance(self.kind, str) and _of(self.options, _is_value)
        if not (whole and flat and links and files and made and timed):
            raise ValueError("a stage with a field of another type")
        if DOCUMENT in self.files or not set(self.read) <= set(self.inputs):
            raise ValueError("a stage with files or inputs that are not its own")

    @property
    def digest(self) -> str:
        """Of kind, options and inputs: the folder's name."""
        return stage_digest(self.kind, self.options, self.inputs)

    @property
    def result(self) -> str:
        """The digest of rows and files. Two machines may differ in it where `digest` agrees."""
        return sha256_bytes(canonical([list(self.rows), self.files]).encode())


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, (str, bool)) or _is_number(value)


def _of(value: object, each: Callable[[object], bool]) -> bool:
    """Is it a dictionary of text to such values?"""
    if not isinstance(value, dict):
        return False
    return all(isinstance(key, str) and each(entry) for key, entry in value.items())


def sealed(body: dict[str, Any]) -> str:
    """A JSON document of these entries and its seal."""
    seal = sha256_bytes(canonical(body).encode())
    return json.dumps({**body, "seal": seal}, indent=1, allow_nan=False) + "\n"


def unsealed(text: str) -> dict[str, Any]:
    """The entries of such a document. Raises ValueError for any other text."""
    try:
        document = json.loads(text)
        seal = document.pop("seal")
        same = sha256_bytes(canonical(document).encode()) == seal
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no sealed document") from error
    if not same:
        raise ValueError("its seal is of another document")
    return dict(document)


def text_of(done: Finished) -> str:
    """stage.json."""
    return sealed({"format": _FORMAT, **asdict(done)})


def stage_of(text: str, where: str) -> Finished:
    """The stage of a stage.json. Raises StoreError."""
    problem: Exception | None = None
    try:
        document = unsealed(text)
        if document.pop("format", None) == _FORMAT:
            return Finished(**{**document, "rows": tuple(document["rows"])})
    except (ValueError, KeyError, TypeError) as error:
        problem = error
    raise StoreError(
        f"{where} is damaged, or of another version",
        f"a {DOCUMENT} that relrob wrote",
        REMEDY,
    ) from problem
