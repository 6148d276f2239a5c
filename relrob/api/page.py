"""report.html written again from a finished directory, as `relrob page` does."""

from __future__ import annotations

from pathlib import Path

from relrob.api.pipeline import holds_stages
from relrob.api.study import PAGE, study_html
from relrob.errors import StoreError
from relrob.registry import load
from relrob.store.radius_directory import FILE as RADII
from relrob.store.run_directory import FILE
from relrob.store.study_directory import INDEX
from relrob.system.files import write_atomic


def page(directory: str | Path, output: str | Path | None = None) -> Path:
    """Write the page of a run, an audit, a search for radii or a study from what its directory
    holds; returns the path.

    `output`: report.html in the directory by default. The same directory gives the same bytes.
    Raises StoreError.
    """
    place = Path(directory)
    path = place / PAGE if output is None else Path(output)
    write_atomic(path, _html(place))
    return path


def _html(directory: Path) -> str:
    """By the file that tells the kind of directory."""
    if holds_stages(directory) or (directory / INDEX).is_file():
        return study_html(directory)
    kinds = (
        ("audit.json", "write:audit_html"),
        (FILE, "run_file:run_html"),
        (RADII, "write:radius_html"),
    )
    for name, maker in kinds:
        if (directory / name).is_file():
            made: str = load(f"relrob.report.html.{maker}")(directory)
            return made
    raise StoreError(
        f"{directory} is no finished run, audit, search for radii or study",
        "a directory that relrob verify, audit, radius or study run wrote",
    )
