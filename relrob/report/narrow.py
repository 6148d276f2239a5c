"""A page of Markdown for a narrow terminal: a table that is wider than a line becomes lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Final

_CELLS: Final = re.compile(r"(?<!\\)\|")
_ESCAPED: Final = re.compile(r"\\([^A-Za-z0-9\s])")


def narrowed(text: str, columns: int) -> str:
    """The page with every table that is wider than `columns` as a block a row, its first cell
    above the others, each with the name of its column; and other lines wrapped. A page that fits
    stays as it is.

    >>> page = "| set | images |\\n| --- | --- |\\n| R\\\\_Q | 3 |\\n"
    >>> print(narrowed(page, 16), end="")
    R_Q
      images: 3
    >>> narrowed(page, 40) == page
    True
    """
    lines = text.splitlines()
    if all(len(line) <= columns for line in lines):
        return text
    found: list[str] = []
    for table, group in groupby(lines, lambda line: line.startswith("|")):
        block = list(group)
        if not table:
            found += [each for line in block for each in _wrapped(_plain(line), columns, "")]
        elif len(block) < 3 or max(map(len, block)) <= columns:
            found += block
        else:
            found += _rows([_cells(line) for line in block], columns)
    return "\n".join(found) + "\n"


def _rows(table: Sequence[Sequence[str]], columns: int) -> list[str]:
    """The rows of a table as lines. `table`: its head, the line below it, its rows."""
    head, _, *rows = table
    lines = []
    for first, *others in rows:
        lines += _wrapped(first, columns, "")
        for name, cell in zip(head[1:], others, strict=False):
            lines += _wrapped(f"{name}: {cell}", columns, "  ") if cell else []
    return lines


def _cells(line: str) -> list[str]:
    """The cells of a row, without the marks that keep their text from being markup."""
    return [_plain(cell.strip()) for cell in _CELLS.split(line.strip())[1:-1]]


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _wrapped(text: str, columns: int, before: str) -> list[str]:
    """Lines of at most `columns` columns, where words allow."""
    return textwrap.wrap(
        text,
        max(columns, 8),
        initial_indent=before,
        subsequent_indent=f"{before}  ",
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
