"""report.html of a finished audit, search for radii or study, from its directory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from relrob.report.html.audit_data import read_audit
from relrob.report.html.audit_page import audit_page
from relrob.report.html.page import html
from relrob.report.html.radius_page import radius_page
from relrob.report.html.run_data import open_run
from relrob.report.html.run_file import NAME, radii
from relrob.report.html.study_page import stages_page, study_page
from relrob.report.study.stage_text import GroupRows
from relrob.report.study.table_rows import TableRow
from relrob.store.radius_reading import open_radius
from relrob.store.study_directory import CellResult, StudyHead
from relrob.system.files import write_atomic

RUN: Final = "run"  # the run directory inside that of an audit


def audit_html(directory: Path) -> str:
    """The page of an audit's directory. Raises StoreError."""
    audit = read_audit(directory)
    if audit.document["robustness"].get("skipped"):
        return html(audit_page(audit, None, *radii(directory, None)))
    with open_run(directory / RUN) as run:
        return html(audit_page(audit, run, *radii(directory, run)))


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
