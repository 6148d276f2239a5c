"""A study's directory: study.json, which says which cell is which, and the stores of its cells. Runs nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.domain.record import Record
from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.files import disk_errors, write_atomic
from relrob.study.store import Store
from relrob.study.summary import summarise

INDEX: Final = "study.json"
_FORMAT: Final = 1
_KEYS: Final = {"grid", "options", "run", "directory", "header"}


@dataclass(frozen=True, eq=False)
class CellResult:
    """A cell of a study as it lies on the disk: its options, its `directory`, its summary (interface.md), and for each label of its
    images how many the reference is fooled on (`R_NOT`), and how many there are."""

    grid: str
    options: dict[str, Any]
    directory: Path
    summary: dict[str, Any]
    by_label: dict[int, tuple[int, int]]

    @property
    def dataset(self) -> str:
        """The data set, as the study names it."""
        return str(self.options.get("dataset", "mnist"))


def read_study(directory: Path) -> tuple[dict[str, Any], list[CellResult]]:
    """study.json (`study`, `title`, `published`, `sha256`) and its cells, from their stores. Raises StoreError."""
    index = read_index(directory)
    cells = []
    for entry in index.pop("cells"):
        place = directory / entry["directory"]
        with Store.read(place) as store:
            records, seconds = store.records(), sum(store.seconds().values())
        summary = summarise(records, entry["header"], seconds)
        cells.append(CellResult(entry["grid"], entry["options"], place, summary, _by_label(records)))
    return index, cells


def _by_label(records: list[Record]) -> dict[int, tuple[int, int]]:
    """Of each label, in order: images on which the reference is fooled, and all."""
    fooled = Counter(record.label for record in records if record.reference_verdict == Status.NOT_ROBUST)
    every = Counter(record.label for record in records)
    return {label: (fooled[label], every[label]) for label in sorted(every)}


def records_of(cell: CellResult) -> list[Record]:
    """The records of a cell in index order."""
    with Store.read(cell.directory) as store:
        return store.records()


def write_index(head: Mapping[str, str], directory: Path, entries: list[dict[str, Any]]) -> None:
    """Write study.json. `head`: `study`, `title`, `published` and `sha256`."""
    content = {"format": _FORMAT, **head, "cells": entries}
    write_atomic(directory / INDEX, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_index(directory: Path) -> dict[str, Any]:
    """study.json: `study`, `title`, `published`, `sha256`, `cells`. Raises StoreError."""
    path = directory / INDEX
    if not path.is_file():
        raise StoreError(
            f"{directory} is not the directory of a study", f"one with a {INDEX} that relrob study run wrote"
        )
    with disk_errors(path):
        text = path.read_text()
    index: Any = None
    try:
        index = json.loads(text)
        whole = isinstance(index, dict) and index.get("format") == _FORMAT
        whole = whole and all(isinstance(index.get(key), str) for key in ("study", "title", "published", "sha256"))
        whole = whole and all(
            set(cell) == _KEYS and (directory / cell["directory"]).resolve().is_relative_to(directory.resolve())
            for cell in index["cells"]
        )
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise StoreError(f"{path} is damaged, or of another version", f"a {INDEX} that relrob study run wrote")
    return {key: index[key] for key in ("study", "title", "published", "sha256", "cells")}
