"""report.html of a finished run, audit, search for radii or study, from its directory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from relrob.errors import StoreError
from relrob.report.html.audit_data import read_audit
from relrob.report.html.audit_page import audit_page
from relrob.report.html.page import html
from relrob.report.html.parts import Section
from relrob.report.html.radius_page import curves_section, missing_section, radius_page
from relrob.report.html.run_data import RunData, open_run
from relrob.report.html.run_page import run_page
from relrob.report.html.study_page import stages_page, study_page
from relrob.report.study.stage_text import GroupRows
from relrob.report.study.table_rows import TableRow
from relrob.store.radius_directory import FILE
from relrob.store.radius_reading import open_radius, same_pair
from relrob.store.study_directory import CellResult, StudyHead
from relrob.system.files import write_atomic

NAME: Final = "report.html"
RUN: Final = "run"  # the run directory inside that of an audit
RADII: Final = "radii"  # a search for critical radii inside the directory of a run or an audit


def run_html(directory: Path) -> str:
    """The page of a run directory. Raises StoreError."""
    with open_run(directory) as run:
        return html(run_page(run, *_radii(directory, run)))


def write_run_page(directory: Path) -> None:
    """Write report.html into a run directory. Raises StoreError."""
    write_atomic(directory / NAME, run_html(directory))


def audit_html(directory: Path) -> str:
    """The page of an audit's directory. Raises StoreError."""
    audit = read_audit(directory)
    if audit.document["robustness"].get("skipped"):
        return html(audit_page(audit, None, *_radii(directory, None)))
    with open_run(directory / RUN) as run:
        return html(audit_page(audit, run, *_radii(directory, run)))


def write_audit_page(directory: Path) -> None:
    """Write report.html into an audit's directory. Raises StoreError."""
    write_atomic(directory / NAME, audit_html(directory))


def radius_html(directory: Path) -> str:
    """The page of a search for critical radii. Raises StoreError."""
    with open_radius(directory) as data:
        return html(radius_page(data))


def write_radius_page(directory: Path) -> None:
    """Write report.html into the directory of a search. Raises StoreError."""
    write_atomic(directory / NAME, radius_html(directory))


def _radii(directory: Path, run: RunData | None) -> tuple[Section, ...]:
    """The curves of the search in `RADII`, where there is one. Where it is of other networks or
    data, not finished or damaged, the page says so: no run fails because of it."""
    place = directory / RADII
    if not (place / FILE).is_file():
        return ()
    if run is None:
        return (missing_section(RADII, "robustness was not run, so there is nothing beside it."),)
    try:
        with open_radius(place) as data:
            if not same_pair(run.config, data.config):
                told = "it is of other networks, runtimes or data than this page."
                return (missing_section(RADII, told),)
            indices = frozenset(record.index for record in run.records)
            return (curves_section(data, RADII, indices),)
    except StoreError as error:
        return (missing_section(RADII, f"{error}."),)


def study_html(
    head: StudyHead,
    cells: Sequence[CellResult],
    rows: Sequence[TableRow],
    document: Mapping[str, Any],
) -> str:
    """The page of a study of runs."""
    return html(study_page(head, cells, rows, document))


def stages_html(document: Mapping[str, Any], groups: Sequence[GroupRows], digest: str) -> str:
    """The page of a study of stages."""
    return html(stages_page(document, groups, digest))
