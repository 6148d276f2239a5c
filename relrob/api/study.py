"""Studies in Python, as `relrob study` and `relrob table` run, show, draw and export them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from relrob.api.pipeline import (
    export_stages,
    holds_stages,
    is_staged,
    run_stages,
    show_stages,
    show_stages_text,
    stage_figures,
    stage_lines,
    stages_html,
)
from relrob.api.results import StudyResult
from relrob.domain.events import Event, Listener, silent
from relrob.domain.record import RECORD_COLUMNS
from relrob.errors import UsageError
from relrob.registry import load, load_extra
from relrob.report.study.published import on_8bit_grid, published
from relrob.report.study.table_rows import FEATURES, TableRow, study_rows
from relrob.report.study.text import study_json, study_text
from relrob.store.radius_directory import FILE as RADII
from relrob.store.radius_reading import open_radius
from relrob.store.radius_summary import RadiusSummary
from relrob.store.study_directory import CellResult, StudyHead, read_runs, read_study, records_of
from relrob.study.campaign import run_study
from relrob.study.options import spelled
from relrob.study.pipeline.spec import is_pipeline, read_pipeline
from relrob.study.pool import leave_unguarded
from relrob.study.run import crew
from relrob.study.spec import builtin, find_spec, parsed, read_spec
from relrob.system.files import readable, write_atomic

PAGE: Final = "report.html"
_CELL: Final = ("grid", "dataset", "region", "radius", "step", "scheme", "runtime")


def list_studies() -> list[dict[str, Any]]:
    """The studies that come with relrob: `name` and `title`; `grids` and the number of `cells`, or
    `groups`, the number of `stages` and the `profiles`."""
    return [_listed(name, text) for name, text in builtin().items()]


def _listed(name: str, text: str) -> dict[str, Any]:
    if is_pipeline(parsed(name, text)):
        pipeline = read_pipeline(name, text)
        return {
            "name": name,
            "title": pipeline.title,
            "groups": list(pipeline.groups),
            "stages": len(pipeline.stages),
            "profiles": list(pipeline.profiles),
        }
    spec = read_spec(name, text, {}, {})
    return {
        "name": name,
        "title": spec.title,
        "grids": list(spec.grids),
        "cells": len(spec.cells),
    }


def run_named(
    name: str,
    out: Path | None = None,
    *,
    workers: int | str | None = None,
    rerun: str | None = None,
    references: dict[str, str] | None = None,
    only: tuple[str, ...] = (),
    changes: dict[str, Any] | None = None,
    scheduler: str | None = None,
    profile: str | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Run a study, or the rest of an interrupted one; returns the document of `show`, and
    "directory".

    `rerun`: images to decide again: "never" (None), "unknown" or "always". `references`: data set
    to its reference network. `only`: grids or groups to run, all when empty. `changes`: options of
    `relrob verify` that replace the study's where a run uses them. `workers` and `scheduler`: as
    for `relrob.verify`. `profile`: of a study of stages, which takes none of `rerun`, `references`
    and `changes`. Raises RelrobError.
    """
    leave_unguarded()
    count = crew(workers, scheduler)
    if is_staged(name):
        _refuse(name, {**(changes or {}), "reference": references, "rerun": rerun})
        return run_stages(
            name,
            out,
            profile=profile or "",
            workers=count,
            only=only,
            scheduler=scheduler,
            listener=listener,
        )
    if profile is not None:
        raise UsageError(f"--profile for {name}, a study of runs", hint="leave out --profile")
    spec = find_spec(name, changes or {}, references or {}, only)
    for option in changes or {}:
        others = sum(option not in cell.options for cell in spec.cells)
        if others:
            words = f"{spelled(option)} has no effect on {others} of {len(spec.cells)} runs"
            listener(Event("note", words))
    directory = out if out is not None else Path("relrob-runs") / f"study-{spec.name}"
    run_study(spec, directory, count, rerun or "never", listener, scheduler)
    write_atomic(directory / PAGE, study_html(directory))
    return {**show(directory), "directory": str(directory)}


def _refuse(name: str, options: dict[str, Any]) -> None:
    """Raise UsageError for an option that a study of stages makes no use of."""
    for option, value in options.items():
        if value:
            raise UsageError(
                f"study {name}: {spelled(option)} has no effect on stages",
                "--profile, --only, --workers",
                f"leave out {spelled(option)}",
            )


def study(
    name: str,
    *,
    out: str | Path | None = None,
    workers: int | str | None = None,
    rerun: str | None = None,
    reference: dict[str, str] | None = None,
    only: Sequence[str] = (),
    profile: str | None = None,
    scheduler: str | None = None,
    listener: Listener = silent,
    **changes: Any,
) -> StudyResult:
    """Run a study, or the rest of an interrupted one, with the words of `relrob study run`.

    `changes`: options of `relrob verify` that replace the study's, such as images="0:10". The
    result of a study of stages has no cells; its records are the rows of all groups. Raises
    RelrobError.
    """
    leave_unguarded()
    found = run_named(
        name,
        None if out is None else Path(out),
        workers=workers,
        rerun=rerun,
        references=reference,
        only=tuple(only),
        changes=changes,
        profile=profile,
        scheduler=scheduler,
        listener=listener,
    )
    directory = Path(found.pop("directory"))
    if holds_stages(directory):
        return StudyResult((), directory, json.dumps(found), *stage_lines(directory))
    _, cells = read_study(directory)
    lines = tuple(tuple(line) for cell in cells for line in _lines(cell))
    names = (*_CELL, *RECORD_COLUMNS)
    return StudyResult(tuple(cells), directory, json.dumps(found), names, lines)


def table(*runs: str | Path, format: str = "markdown") -> str:
    """Run directories side by side, as `relrob table` prints them. Raises RelrobError."""
    return table_text([Path(run) for run in runs], format)


def show(directory: Path) -> dict[str, Any]:
    """A study as far as it was run, as the document of `relrob study show --format json`: cells
    with rates, intervals and published numbers, and the paper's claims. Raises StoreError."""
    if holds_stages(directory):
        return show_stages(directory)
    head, _, rows = _shown(directory)
    return study_json(head, rows)


def show_text(directory: Path, form: str) -> str:
    """The same as markdown, csv, latex or json. Raises UsageError, StoreError."""
    if holds_stages(directory):
        return show_stages_text(directory, form)
    head, _, rows = _shown(directory)
    return study_text(head, rows, form)


def study_html(directory: Path) -> str:
    """The page of a study, as far as it was run. Raises StoreError."""
    if holds_stages(directory):
        return stages_html(directory)
    head, cells, rows = _shown(directory)
    made: str = load("relrob.report.html.write:study_html")(
        head, cells, rows, study_json(head, rows)
    )
    return made


def _shown(directory: Path) -> tuple[StudyHead, list[CellResult], list[TableRow]]:
    """A study's head, its cells, and their rows beside the published numbers that it names."""
    head, cells = read_study(directory)
    return head, cells, study_rows(cells, published(head.published))


def table_text(runs: Sequence[Path], form: str) -> str:
    """The tables of some run directories, or directories of studies, as markdown, csv, latex or
    json.

    Runs with the quantisation and the region of Duncan et al. 2020 stand beside the numbers that
    the paper gives for their data set, radius and step. Directories of `relrob radius` have tables
    of their own, and none of runs beside them. Raises RelrobError.
    """
    searches = [run for run in runs if (run / RADII).is_file()]
    if searches:
        return _radii(runs, searches, form)
    there = on_8bit_grid(published("duncan2020.csv"))
    rows = []
    for cell in read_runs(runs):
        rows += study_rows([cell], there if _theirs(cell) else {})
    head = StudyHead("table", "Relative robustness and adversarial transfer")
    return study_text(head, rows, form)


def _radii(runs: Sequence[Path], searches: Sequence[Path], form: str) -> str:
    """The tables of finished searches for critical radii."""
    if len(searches) < len(runs):
        other = next(run for run in runs if run not in searches)
        raise UsageError(
            f"a search for radii, {searches[0]}, beside {other}",
            "directories of one kind",
            "a table for each kind",
        )
    found = list[tuple[str, RadiusSummary]]()
    for directory in searches:
        with open_radius(directory) as data:
            found.append((readable(directory), data.summary))
    made: str = load("relrob.report.radius.table:radius_text")(found, form)
    return made


def _theirs(cell: CellResult) -> bool:
    """True for a run that the numbers of Duncan et al. 2020 speak of: dynamic range, and a search
    or ladders of 20 features."""
    header, region = cell.summary.header, cell.summary.header.region
    paper = region.kind == "search" or (region.kind == "ladder" and region.features == FEATURES)
    dynamic = header.quantised.scheme == "dynamic"
    return dynamic and paper and header.reference.arithmetic == "float32"


def write_figures(directory: Path, output: Path) -> list[str]:
    """Draw the figures and galleries of a study into `output`, as far as it was run; returns the
    names of the files. Raises StoreError."""
    if holds_stages(directory):
        drawn = stage_figures(directory)
    else:
        _, cells, rows = _shown(directory)
        drawn = load("relrob.report.study.figures:figures")(rows)
        for make in ("set_galleries", "table_one"):
            drawn |= load(f"relrob.report.study.gallery_figures:{make}")(cells)
    for name, data in drawn.items():
        write_atomic(output / name, data)
    return sorted(drawn)


def export_records(
    directory: Path, output: Path, only: Sequence[str] = (), without: Sequence[str] = ()
) -> int:
    """Write a line for each image and cell as .csv or .parquet; returns the number of lines. Of a
    study of stages, write its finished stages as .zip; returns their number. `only` and `without`
    are for stages (`relrob.api.pipeline.export_stages`).

    No line holds a time, so two runs with the same seeds give the same bytes. Raises UsageError,
    StoreError.
    """
    if holds_stages(directory):
        return export_stages(directory, output, only, without)
    if only or without:
        raise UsageError("--only or --without for a study of runs", "a study of stages")
    if output.suffix not in (".csv", ".parquet"):
        raise UsageError(f"output {output}", "a file name that ends in .csv or .parquet")
    _, cells = read_study(directory)
    names, lines = [*_CELL, *RECORD_COLUMNS], [line for cell in cells for line in _lines(cell)]
    if output.suffix == ".parquet":
        data: bytes = load_extra("relrob.report.study.parquet_file:parquet_bytes", "parquet")(
            names, lines
        )
        write_atomic(output, data)
        return len(lines)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else value for value in line] for line in lines)
    write_atomic(output, text.getvalue())
    return len(lines)


def _lines(cell: CellResult) -> list[list[Any]]:
    """The cell's records, each after the columns `_CELL` of its cell."""
    header = cell.summary.header
    shown = [
        cell.grid,
        cell.dataset,
        header.region.kind,
        cell.options["radius"],
        cell.options.get("step"),
        header.quantised.scheme,
        header.quantised.runtime,
    ]
    return [
        [*shown, *(getattr(record, name) for name in RECORD_COLUMNS)] for record in records_of(cell)
    ]
