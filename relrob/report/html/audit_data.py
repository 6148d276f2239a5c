"""An audit as a page reads it: audit.json and images.csv of its directory."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.audit.rows import Row
from relrob.errors import StoreError
from relrob.system.json_file import damage, read_json, read_text

_ACCEPTED: Final = "files that relrob audit wrote"
_NEEDED: Final = ("verdict", "sentences", "rules", "pair", "weights", "runtimes", "robustness")


@dataclass(frozen=True, eq=False)
class AuditData:
    """A finished audit: its document, and a row for every image of the data set."""

    document: Mapping[str, Any]
    rows: tuple[Row, ...]
    directory: Path


def read_audit(directory: Path) -> AuditData:
    """The audit in a directory. Raises StoreError where it is not finished or damaged."""
    path, table = directory / "audit.json", directory / "images.csv"
    if not path.is_file():
        raise StoreError(f"{directory} has no audit.json", "the directory of a finished audit")
    document, lines = read_json(path, _ACCEPTED), read_text(table, _ACCEPTED)
    with damage(path, _ACCEPTED):
        missing = [name for name in _NEEDED if name not in document]
        if missing:
            raise ValueError(f"no {missing[0]}")
    with damage(table, _ACCEPTED):
        rows = tuple(_row(each) for each in csv.DictReader(lines.splitlines(), strict=True))
    return AuditData(document, rows, directory)


def _row(cells: Mapping[str, str]) -> Row:
    """The fields that a page shows of an image that was not looked at closely."""
    return Row(
        index=int(cells["index"]),
        label=int(cells["label"]),
        reference_label=int(cells["reference_label"]),
        quantised_label=int(cells["quantised_label"]),
        set=cells["set"],
    )
