"""The search for critical radii beside a run or an audit, as a section of their page."""

from __future__ import annotations

from pathlib import Path

from relrob.errors import StoreError
from relrob.report.html.parts import Section
from relrob.report.html.radius_page import curves_section, missing_section
from relrob.report.html.run_data import RunData
from relrob.store.radius_directory import FILE
from relrob.store.radius_reading import open_radius, same_pair


def sections(directory: Path, name: str, run: RunData | None) -> tuple[Section, ...]:
    """The curves of the search in the folder `name`, where there is one. Where it is of other
    networks or data, not finished or damaged, the page says so: no run fails because of it."""
    place = directory / name
    if not (place / FILE).is_file():
        return ()
    if run is None:
        return (missing_section(name, "robustness was not run, so there is nothing beside it."),)
    try:
        with open_radius(place) as data:
            if not same_pair(run.config, data.config):
                told = "it is of other networks, runtimes or data than this page."
                return (missing_section(name, told),)
            indices = frozenset(record.index for record in run.records)
            return (curves_section(data, name, indices),)
    except StoreError as error:
        return (missing_section(name, f"{error}."),)
