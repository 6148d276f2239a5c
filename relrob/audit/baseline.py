"""The audit of the last release: read, compared, and refused where it was about something else."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.audit.facts import Facts, facts_of
from relrob.audit.rows import COLUMNS, READERS, Row
from relrob.errors import StoreError, UsageError
from relrob.system.json_file import read_json, read_text

DOCUMENT: Final = "audit.json"
IMAGES: Final = "images.csv"
# The columns without which a line says nothing; an audit of an earlier version has these.
_NEEDED: Final = COLUMNS[: COLUMNS.index("quantised_verdict") + 1]
_HEX: Final = 64  # letters of a digest
# What both audits must be about: words for the message, and where it stands in audit.json.
_SAME: Final = (
    ("data set", ("dataset", "sha256")),
    ("split", ("dataset", "split")),
    ("labels", ("dataset", "labels")),
    ("reference", ("reference", "sha256")),
    ("reading of the reference", ("reference", "contract")),
    ("layout of the reference", ("reference", "layout")),
    ("runtime of the reference", ("reference", "runtime")),
    ("region", ("region",)),
)


@dataclass(frozen=True)
class Baseline:
    """The audit of a directory, as facts."""

    directory: str
    facts: Facts


@dataclass(frozen=True)
class Changes:
    """Images that are lost now and were not (`new`), were lost and are not (`mended`), are and were
    (`kept`); ascending."""

    new: tuple[int, ...]
    mended: tuple[int, ...]
    kept: tuple[int, ...]

    def json(self) -> dict[str, list[int]]:
        """The three lists."""
        return {"new": list(self.new), "mended": list(self.mended), "still": list(self.kept)}


def read_baseline(directory: Path, now: Mapping[str, Any]) -> Baseline:
    """The audit in a directory. `now`: the keys of audit.json of the audit that it is for.

    Raises StoreError for a directory without an audit, UsageError for one of another data set,
    reference or region.
    """
    document = _document(directory / DOCUMENT)
    for what, keys in _SAME:
        old, new = (_at(each, keys) for each in (document, now))
        if old != new:
            raise UsageError(
                f"baseline {directory} is of another {what}: {_short(old)}, now {_short(new)}",
                "an audit of the same reference, data set and region",
                "--baseline another directory",
            )
    rows = _rows(directory / IMAGES)
    listed = _at(document, ("pair", "diagnosis")) or []
    blocking = [each["id"] for each in listed if each.get("blocking")]
    differing = _at(document, ("runtimes", "most_differing"))
    runtimes = (int(differing[0]), int(differing[1])) if differing else None
    labelled = _at(document, ("dataset", "labels")) != "reference"
    return Baseline(str(directory), facts_of(rows, labelled, blocking, runtimes))


def changes(facts: Facts, old: Facts) -> Changes:
    """What became of the lost images. An image that was not sampled now is not mended."""
    now, then = facts.lost | facts.fooled, old.lost | old.fooled
    mended = (then - now) & (facts.kept | facts.held)
    new, kept = now - then, now & then
    return Changes(tuple(sorted(new)), tuple(sorted(mended)), tuple(sorted(kept)))


def _at(document: Any, keys: Sequence[str]) -> Any:
    """A value inside a document, None where it is not there."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _short(value: Any) -> str:
    """A digest in sixteen letters; a region in JSON."""
    if isinstance(value, str):
        return value[:16] if len(value) == _HEX else value or "pixels as they are"
    return json.dumps(value, sort_keys=True)


def _document(path: Path) -> dict[str, Any]:
    """audit.json. Raises StoreError."""
    found = read_json(path, "an audit.json that relrob wrote")
    if not isinstance(found, dict) or "verdict" not in found:
        raise StoreError(f"{path} is no audit", "an audit.json that relrob wrote")
    return found


def _rows(path: Path) -> tuple[Row, ...]:
    """The rows of images.csv. Raises StoreError."""
    lines = csv.DictReader(read_text(path, "an images.csv of relrob audit").splitlines())
    missing = [name for name in _NEEDED if name not in (lines.fieldnames or ())]
    if missing:
        raise StoreError(f"{path} has no column {missing[0]}", "an images.csv of relrob audit")
    try:
        return tuple(Row(**_cells(line)) for line in lines)
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path}: {error}", "an images.csv of relrob audit") from error


def _cells(line: Mapping[str, str | None]) -> dict[str, Any]:
    """The fields of a row that a line has."""
    found: dict[str, Any] = {}
    for name, read in READERS.items():
        text = line.get(name) or ""
        if text or read is str:
            found[name] = read(text)
    return found
