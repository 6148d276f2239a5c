"""Small tables that users write: comma, semicolon or tab, headers in any case."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relrob.errors import DatasetError
from relrob.system.files import read_regular

DELIMITERS: Final = (",", ";", "\t")
LARGEST: Final = 1 << 28


@dataclass(frozen=True)
class Row:
    """A row: its line in the file, and the texts of the columns asked for, without spaces at the
    ends."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of a table. `columns`: what was asked for to the header's own word. `spare`: header
    words that could have stood for a column too."""

    rows: tuple[Row, ...]
    columns: Mapping[str, str]
    spare: tuple[str, ...]


def text_of(path: Path, most: int = LARGEST) -> str:
    """The text of a file in UTF-8, without the mark of its beginning. Raises DatasetError."""
    try:
        return read_regular(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"cannot read {path}: {error}", "text in UTF-8") from error


def read_table(path: Path, wanted: Mapping[str, Sequence[str]], needed: Sequence[str]) -> Table:
    """The columns of a table by what they mean: `wanted` says by which words, the best first.

    Columns outside `needed` may be absent. Raises DatasetError.
    """
    text = text_of(path)
    head: list[str] = []
    for delimiter in DELIMITERS:
        words = _line(path, text, delimiter)
        found = {name: _place(words, known) for name, known in wanted.items()}
        if all(found[name] is not None for name in needed):
            places = {name: place for name, place in found.items() if place is not None}
            return _table(path, text, delimiter, words, places, wanted)
        head = max(head, words, key=len)
    raise DatasetError(
        f"{path} has the columns {', '.join(word.strip() for word in head) or 'none'}",
        " and ".join("/".join(wanted[name]) for name in needed),
        "a first line such as filename,label",
    )


def _line(path: Path, text: str, delimiter: str) -> list[str]:
    """The words of the header."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise DatasetError(f"cannot read {path}: {error}", "a comma-separated table") from error


def _plain(word: str) -> str:
    """Without case, spaces, hyphens and underscores.

    >>> _plain(" File_Name ")
    'filename'
    """
    return "".join(word.casefold().split()).replace("_", "").replace("-", "")


def _place(words: Sequence[str], known: Sequence[str]) -> int | None:
    """The column of the first known word that is there."""
    plain = [_plain(word) for word in words]
    return next((plain.index(word) for word in known if word in plain), None)


def _table(
    path: Path,
    text: str,
    delimiter: str,
    words: list[str],
    places: Mapping[str, int],
    wanted: Mapping[str, Sequence[str]],
) -> Table:
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for cells in reader:
            if cells:
                padded = [*cells, *[""] * len(words)]
                found = {name: padded[place].strip() for name, place in places.items()}
                rows.append(Row(reader.line_num, found))
    except csv.Error as error:
        raise DatasetError(f"cannot read {path}: {error}", "a comma-separated table") from error
    known = {word for names in wanted.values() for word in names}
    spare = [
        word.strip()
        for place, word in enumerate(words)
        if _plain(word) in known and place not in places.values()
    ]
    return Table(
        tuple(rows), {name: words[place].strip() for name, place in places.items()}, tuple(spare)
    )
