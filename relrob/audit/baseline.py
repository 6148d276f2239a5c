"""The audit of the last release: read, compared, and refused where it was about something else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.audit.facts import Facts, facts_of
from relrob.audit.table import rows_in
from relrob.errors import StoreError, UsageError
from relrob.system.files import disk_errors, read_regular, sha256_bytes

DOCUMENT: Final = "audit.json"
IMAGES: Final = "images.csv"
# The most bytes of either file: that of ten million images has fewer.
_LARGEST: Final = 1 << 30
_WRITTEN: Final = "a directory that relrob audit wrote"
_HINT: Final = "copy it again, or another --baseline"
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
    """The audit of a directory, as facts. `subject`: words of `_SAME` to what it was about, in
    JSON; `sealed`: does audit.json hold the digest of images.csv?"""

    directory: str
    facts: Facts
    subject: Mapping[str, str]
    sealed: bool

    def check_same(self, now: Mapping[str, Any]) -> None:
        """Raise UsageError where it is of another data set, reference or region. `now`: the keys of
        audit.json of the audit that it is for."""
        for what, new in _subject(now).items():
            old = self.subject[what]
            if old != new:
                raise UsageError(
                    f"baseline {self.directory} is of another {what}: {_short(old)}, "
                    f"now {_short(new)}",
                    "an audit of the same reference, data set and region",
                    "--baseline another directory",
                )

    @property
    def warning(self) -> str:
        """What to heed about it, "" for nothing."""
        if self.sealed:
            return ""
        return (
            "the baseline is of an older relrob, without a digest of its images.csv: that nobody "
            "edited it is not known"
        )


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


def read_baseline(directory: Path) -> Baseline:
    """The audit in a directory. Raises StoreError for a directory without an audit, and for files
    that are damaged or not of one audit."""
    path, table = directory / DOCUMENT, directory / IMAGES
    text = _text(path)
    try:
        document = json.loads(text)
        subject = _subject(document)
    except RecursionError as error:
        raise StoreError(f"{path} is no JSON: it nests too deeply", _WRITTEN, _HINT) from error
    except ValueError as error:
        raise StoreError(f"{path} is no JSON", _WRITTEN, _HINT) from error
    if not isinstance(document, dict) or "verdict" not in document:
        raise StoreError(f"{path} is no audit", _WRITTEN, _HINT)
    images, blocking, runtimes, digest = _fields(path, document)
    text = _text(table)
    if digest is not None and digest != sha256_bytes(text.encode()):
        raise StoreError(
            f"{table} is not the one of its audit.json: its SHA-256 is another",
            _WRITTEN,
            _HINT,
        )
    try:
        rows = rows_in(text, images)
    except ValueError as error:
        raise StoreError(f"{table} is damaged: {error}", _WRITTEN, _HINT) from error
    labelled = _at(document, ("dataset", "labels")) != "reference"
    facts = facts_of(rows, labelled, blocking, runtimes)
    return Baseline(str(directory), facts, subject, digest is not None)


def _fields(
    path: Path, document: Mapping[str, Any]
) -> tuple[int, list[str], tuple[int, int] | None, str | None]:
    """(images, names of blocking diagnoses, labels that two runtimes gave and images compared,
    SHA-256 of images.csv). Raises StoreError that names the key of another type."""
    images = _at(document, ("dataset", "images"))
    listed = _at(document, ("pair", "diagnosis"))
    apart = _at(document, ("runtimes", "most_differing"))
    digest = _at(document, ("files", IMAGES))
    named = isinstance(listed, list) and all(
        isinstance(_at(each, ("id",)), str) and isinstance(_at(each, ("blocking",)), bool)
        for each in listed
    )
    counted = isinstance(apart, list) and [_counts(each) for each in apart] == [True, True]
    for key, good in (
        ("dataset.images", _counts(images)),
        ("pair.diagnosis", named),
        ("runtimes.most_differing", apart is None or (counted and apart[0] <= apart[1])),
        (f"files[{IMAGES!r}]", "files" not in document or isinstance(digest, str)),
    ):
        if not good:
            raise StoreError(
                f"{path} is damaged: {key} is missing or of another type", _WRITTEN, _HINT
            )
    blocking = [each["id"] for each in listed if each["blocking"]]
    return images, blocking, None if apart is None else (apart[0], apart[1]), digest


def _counts(value: Any) -> bool:
    return type(value) is int and value >= 0


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


def _subject(document: Any) -> dict[str, str]:
    """Words of `_SAME` to the value in JSON. Raises ValueError, RecursionError."""
    return {
        what: json.dumps(_at(document, keys), sort_keys=True, allow_nan=False)
        for what, keys in _SAME
    }


def _short(text: str) -> str:
    """A digest in sixteen letters; a region in JSON."""
    value = json.loads(text)
    if isinstance(value, str):
        return value[:16] if len(value) == _HEX else value or "pixels as they are"
    return text


def _text(path: Path) -> str:
    """A file as text. Raises StoreError."""
    with disk_errors(path, "read"):
        data = read_regular(path, _LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is no text", _WRITTEN, _HINT) from error
