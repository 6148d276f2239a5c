"""A study's directory: study.json, which lists the cells, and the stores of the cells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relrob.domain.record import Record, Set, WitnessView
from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.store import older
from relrob.store.header import LEADING, Header
from relrob.store.header_check import check_header
from relrob.store.images import asked
from relrob.store.run_directory import FILE, Store
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from relrob.system.files import write_atomic
from relrob.system.json_file import damage, read_json

INDEX: Final = "study.json"
_FORMAT: Final = 1
_KEYS: Final = {"grid", "options", "run", "directory", "header"}
_HEAD: Final = ("study", "title", "published", "sha256")


@dataclass(frozen=True)
class StudyHead:
    """A study's name and `title`, its table of `published` numbers ("" for none), and the digest of
    its text."""

    study: str
    title: str
    published: str = ""
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class CellResult:
    """A cell of a study, or a run alone, as it lies on the disk.

    `grid`: the grid that it belongs to; `options`: its `dataset`, `radius`, `step` and others.
    `quantised_robust`: images on which the quantised network is robust. `by_label`: label to
    (images in R_NOT, images whose reference is undecided, images). `indices`: the images that were
    asked for, None for all in the store. `right`: label to the images that the reference gets
    right. `lost`: of each image in R^FP, the perturbed images that the quantised network gets
    wrong; None where they were not counted. `sizes`: the least and the greatest region of an image
    on which the reference is robust, in perturbed images; None where there is none.
    """

    grid: str
    options: dict[str, Any]
    directory: Path
    summary: Summary
    quantised_robust: int
    by_label: dict[int, tuple[int, int, int]]
    indices: Sequence[int] | None = None
    right: dict[int, int] = field(default_factory=dict)
    lost: tuple[int | None, ...] = ()
    sizes: tuple[int, int] | None = None

    @property
    def dataset(self) -> str:
        """The data set, as the study names it."""
        return str(self.options.get("dataset", "mnist"))


def read_study(directory: Path) -> tuple[StudyHead, list[CellResult]]:
    """The head of a study, and its cells from their stores. Raises StoreError."""
    index = read_index(directory)
    cells = []
    for entry in index["cells"]:
        place = directory / entry["directory"]
        told = directory / INDEX
        cells.append(_read(place, entry["grid"], entry["options"], entry["header"], told))
    return StudyHead(**{key: index[key] for key in _HEAD}), cells


def read_runs(directories: Sequence[Path]) -> list[CellResult]:
    """The runs in run directories and in directories of studies. The grid of a run directory is its
    name. Raises StoreError."""
    found = []
    for directory in directories:
        found += (
            read_study(directory)[1] if (directory / INDEX).is_file() else [_read_run(directory)]
        )
    return found


def _read_run(directory: Path) -> CellResult:
    """The run in a directory, with the header of its summary.json; an interrupted run has its store
    alone."""
    path, accepted = directory / "summary.json", "a summary.json that relrob verify wrote"
    with Store.read(directory) as store, damage(directory / FILE, "a store that relrob wrote"):
        header = store.config
        header["dataset"]["images"] = len(store.done())
    if path.is_file():
        document = read_json(path, accepted)
        with damage(path, accepted):
            header = {name: document[name] for name in (*LEADING, "effective_rule")}
    told = path if path.is_file() else directory / FILE
    with damage(told, accepted):
        known = Header.of(header)
    options = {
        "dataset": known.dataset.name,
        "radius": known.region.radius,
        "step": known.region.step,
    }
    return _read(directory, directory.resolve().name, options, header, told)


def _read(
    place: Path, grid: str, options: dict[str, Any], header: Mapping[str, Any], told: Path
) -> CellResult:
    """The run in the directory `place`, whose header, which the file `told` holds, is held against
    the store. Raises StoreError."""
    with Store.read(place) as store:
        if told != place / FILE:
            check_header(told, header, store.config, store.run)
        indices = asked(header)
        records, spent, attacks = store.records(indices), store.seconds(), store.attacks()
        older.warn(place / FILE, store.older)
    seconds = sum(spent[record.index] for record in records)
    summary = summarise(records, header, seconds, attacks)
    return cell_of(grid, options, place, summary, records, indices)


def cell_of(
    grid: str,
    options: dict[str, Any],
    place: Path,
    summary: Summary,
    records: Sequence[Record],
    indices: Sequence[int] | None = None,
) -> CellResult:
    """A cell with what is counted from its records."""
    robust = sum(record.quantised_verdict == Status.ROBUST for record in records)
    right = Counter(record.label for record in records if record.set is not Set.L_IC)
    lost = tuple(record.quantised_effective for record in records if record.set is Set.RFP)
    sizes = [
        record.points
        for record in records
        if record.reference_verdict == Status.ROBUST and record.points is not None
    ]
    return CellResult(
        grid,
        options,
        place,
        summary,
        robust,
        _by_label(records),
        indices,
        right=dict(sorted(right.items())),
        lost=lost,
        sizes=(min(sizes), max(sizes)) if sizes else None,
    )


def _by_label(records: Sequence[Record]) -> dict[int, tuple[int, int, int]]:
    """Label, ascending, to (images on which the reference is fooled, undecided, all images)."""
    found = Counter((record.label, record.reference_verdict) for record in records)
    every = Counter(record.label for record in records)
    return {
        label: (found[label, Status.NOT_ROBUST], found[label, Status.UNKNOWN], every[label])
        for label in sorted(every)
    }


def records_of(cell: CellResult) -> list[Record]:
    """The records of the images that were asked for, in their order."""
    with Store.read(cell.directory) as store:
        return store.records(cell.indices)


def witnesses_of(cell: CellResult, index: int) -> list[WitnessView]:
    """The witnesses of an image in a cell."""
    with Store.read(cell.directory) as store:
        return store.witnesses(index)


def write_index(head: StudyHead, directory: Path, entries: list[dict[str, Any]]) -> None:
    """Write study.json. `entries`: one for each cell, with the keys `_KEYS`. Raises StoreError."""
    content = {"format": _FORMAT, **vars(head), "cells": entries}
    write_atomic(
        directory / INDEX, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_index(directory: Path) -> dict[str, Any]:
    """study.json: `study`, `title`, `published`, `sha256`, `cells`. Raises StoreError."""
    path = directory / INDEX
    if not path.is_file():
        raise StoreError(
            f"{directory} is not the directory of a study",
            f"one with a {INDEX} that relrob study run wrote",
        )
    accepted = f"a {INDEX} that relrob study run wrote"
    index: Any = read_json(path, accepted)
    try:
        whole = isinstance(index, dict) and index.get("format") == _FORMAT
        whole = whole and all(isinstance(index.get(key), str) for key in _HEAD)
        whole = whole and all(
            set(cell) == _KEYS
            and isinstance(cell["grid"], str)
            and isinstance(cell["options"], dict)
            and (directory / cell["directory"]).resolve().is_relative_to(directory.resolve())
            for cell in index["cells"]
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise StoreError(f"{path} is damaged, or of another version", accepted)
    return {key: index[key] for key in (*_HEAD, "cells")}
