"""report.html of a finished run, from its directory alone. It imports the pages of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relrob.registry import load
from relrob.report.html.page import html
from relrob.report.html.parts import Section
from relrob.report.html.run_data import RunData, open_run
from relrob.report.html.run_page import run_page
from relrob.system.files import write_atomic

NAME: Final = "report.html"
RADII: Final = "radii"  # a search for critical radii inside the directory of a run or an audit


def run_html(directory: Path) -> str:
    """The page of a run directory. Raises StoreError."""
    with open_run(directory) as run:
        return html(run_page(run, *radii(directory, run)))


def write_run_page(directory: Path) -> None:
    """Write report.html into a run directory. Raises StoreError."""
    write_atomic(directory / NAME, run_html(directory))


def radii(directory: Path, run: RunData | None) -> tuple[Section, ...]:
    """The curves of the search in `RADII`, where there is one (`relrob.report.html.radii`)."""
    if not (directory / RADII).is_dir():
        return ()
    found: tuple[Section, ...] = load("relrob.report.html.radii:sections")(directory, RADII, run)
    return found
