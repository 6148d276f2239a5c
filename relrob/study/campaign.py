"""Run a study: cell after cell, each with a store of its own under cells/DIGEST, which study.json
lists.

A cell's directory is named by the digest of all that decides its records; the selection of images
does not belong to it. So a study that is run again, or a changed one in the same place, continues
and repeats nothing. It can be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from relrob.domain.events import Event, Listener, silent
from relrob.domain.record import Set
from relrob.errors import RegionError, StoreError, UsageError
from relrob.store.run_directory import Store
from relrob.store.study_directory import INDEX, StudyHead, read_index, write_index
from relrob.study.plan import check_request, make_plan
from relrob.study.request import Request
from relrob.study.run import run
from relrob.study.spec import Cell, Spec, grids_of
from relrob.study.stages import Stages
from relrob.system.files import sha256_path

RERUNS: Final = ("never", "unknown", "always")


def run_study(
    spec: Spec,
    directory: Path,
    workers: int,
    rerun: str = "never",
    listener: Listener = silent,
    scheduler: str | None = None,
) -> None:
    """Decide the images of every cell that its store does not hold yet.

    Cells of grids that were not asked for stay as they are. `rerun`: images to decide again,
    "never", "unknown" (the undecided ones) or "always". `scheduler`: the address of a Dask
    scheduler, whose workers work in place of `workers`. Raises RelrobError.
    """
    if rerun not in RERUNS:
        raise UsageError(f"rerun {rerun!r}", ", ".join(RERUNS))
    before = _cells_there(spec, directory, listener)
    head = StudyHead(spec.name, spec.title, spec.published, spec.sha256)
    entries: list[dict[str, Any]] = []
    requests = [cell.request() for cell in spec.cells]
    stages = Stages(requests)
    _check_cells(spec, requests, stages)
    for number, cell in enumerate(spec.cells):
        listener(Event("note", f"cell {number + 1} of {len(spec.cells)}: {described(cell)}"))
        plan = make_plan(requests[number], listener, directory / "cells" / "new", stages)
        stages.finished(number)
        place = _place(directory, plan.digest, before)
        entries.append(
            {
                "grid": cell.grid,
                "options": cell.options,
                "run": plan.digest,
                "directory": place.as_posix(),
                "header": plan.header,
            }
        )
        told = {entry["run"] for entry in entries}
        with Store.open(directory / place, plan.config) as store:
            write_index(
                head,
                directory,
                [*entries, *(entry for entry in before if entry["run"] not in told)],
            )
            if rerun != "never":
                store.forget(
                    [
                        r.index
                        for r in store.records(plan.indices)
                        if rerun == "always" or r.set is Set.UNKNOWN
                    ]
                )
            run(plan, store, workers, listener, scheduler)
    every = grids_of(spec.every)
    kept = [entry for entry in before if entry["grid"] in set(every) - set(spec.grids)]
    write_index(
        head, directory, sorted([*entries, *kept], key=lambda entry: every.index(entry["grid"]))
    )


def _place(directory: Path, digest: str, before: Sequence[dict[str, Any]]) -> Path:
    """The directory of the run of that digest. An older relrob named it by the images too."""
    for entry in before:
        if entry["run"] == digest:
            return Path(entry["directory"])
        if "indices" not in entry["header"]["dataset"]:
            with suppress(StoreError), Store.read(directory / entry["directory"]) as store:
                if store.digest == digest:
                    return Path(entry["directory"])
    return Path("cells") / digest[:16]


def described(cell: Cell) -> str:
    """The cell in words: its grid, radius, step and runtime."""
    shown = [
        f"{key} {cell.options[key]}" for key in ("radius", "step", "runtime") if key in cell.options
    ]
    return ", ".join([cell.grid, *shown])


def _check_cells(spec: Spec, requests: Sequence[Request], stages: Stages) -> None:
    """Raise, before any work, the RelrobError that a later cell would raise."""
    for cell, request in zip(spec.cells, requests, strict=True):
        try:
            check_request(request, stages)
        except (UsageError, RegionError) as error:
            raise UsageError(f"study {spec.name}, {cell.grid}: {error}") from error


def _cells_there(spec: Spec, directory: Path, listener: Listener) -> list[dict[str, Any]]:
    """The entries of the cells that the directory has already.

    Raises StoreError, before the work, for a directory of another study, or of this one with other
    networks.
    """
    Store.check(directory / "cells" / "new")
    if not (directory / INDEX).exists():
        return []
    there = read_index(directory)
    if there["study"] != spec.name:
        raise StoreError(
            f"{directory} holds the study {there['study']}",
            f"an empty directory, or one of {spec.name}",
            "--out",
        )
    cells: list[dict[str, Any]] = there["cells"]
    _refuse_other_networks(spec, directory, cells)
    gone = dict.fromkeys(
        entry["grid"] for entry in cells if entry["grid"] not in grids_of(spec.every)
    )
    if gone:
        listener(
            Event(
                "note",
                f"{directory / INDEX} no longer lists {', '.join(gone)}: not in this {spec.name}",
            )
        )
    return cells


def _refuse_other_networks(spec: Spec, directory: Path, cells: Sequence[dict[str, Any]]) -> None:
    """Raise StoreError where the directory has a grid of another reference.

    The references of grids that are not asked for need not be named again.
    """
    for grid in grids_of(spec.every):
        names = {cell.options.get("reference") for cell in spec.every if cell.grid == grid}
        if names == {None} and grid not in spec.grids:
            continue
        known = {
            sha256_path(Path(name)) for name in names if name is not None and Path(name).exists()
        }
        for entry in cells:
            given = entry["options"].get("reference")
            same = (
                given in names if given is None else entry["header"]["reference"]["sha256"] in known
            )
            if entry["grid"] == grid and not same:
                told = ", ".join("the default one" if name is None else str(name) for name in names)
                raise StoreError(
                    f"{directory} has {grid} of the reference "
                    f"{given or 'that is the default'}, not of {told}",
                    "one reference a grid in a directory",
                    "another --out, or --reference as before",
                )
