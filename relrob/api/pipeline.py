"""Studies of stages in Python: run, show, and carry to another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from relrob.api.stage_files import StageFiles
from relrob.domain.events import Event, Listener, silent
from relrob.errors import UsageError
from relrob.registry import load
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.stage_rows import Rows
from relrob.report.study.stage_text import GroupRows, ImageOutcomes, stages_json, stages_text
from relrob.store.stage_archive import pack, unpack
from relrob.store.stage_directory import checked_file, finished, missing
from relrob.store.stage_document import Finished
from relrob.store.stage_outcomes import FILE, Outcomes, decode
from relrob.study.pipeline.campaign import INDEX, read_index, run_pipeline
from relrob.study.pipeline.spec import is_pipeline, read_pipeline
from relrob.study.spec import find_text, parsed
from relrob.system.files import held, write_atomic

# The claims of published studies, by the name in a study's `report`.
CLAIMS: Final = {
    "zhao2018": "relrob.report.study.claims_zhao:claims",
    "matachana2020": "relrob.report.study.claims_matachana:claims",
    "shrestha2024": "relrob.report.study.claims_shrestha:claims",
}


def is_staged(name: str) -> bool:
    """Is this a study of stages, and not of grids of runs? Raises UsageError where there is none
    of that name."""
    return is_pipeline(parsed(*find_text(name)))


def holds_stages(directory: Path) -> bool:
    """Does the directory hold a study of stages?"""
    return (directory / INDEX).is_file()


def run_stages(
    name: str,
    out: Path | None = None,
    *,
    profile: str = "",
    workers: int = 1,
    only: Sequence[str] = (),
    scheduler: str | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Run a study of stages, or the rest of an interrupted one; returns the document of
    `show_stages` and "directory".

    `profile`: of the study's file, its first when "". `only`: groups to finish, with all that they
    read; all groups when empty. Raises RelrobError.
    """
    pipeline = read_pipeline(*find_text(name), profile)
    label = f"study-{pipeline.name}" + (f"-{pipeline.profile}" if pipeline.profile else "")
    directory = out if out is not None else Path("relrob-runs") / label
    listener(Event("note", f"profile {pipeline.profile or 'none'}, {len(pipeline.stages)} stages"))
    run_pipeline(pipeline, directory, workers, only, listener, scheduler)
    write_atomic(directory / "report.html", stages_html(directory))
    return {**show_stages(directory), "directory": str(directory)}


def show_stages(directory: Path) -> dict[str, Any]:
    """The results of the stages that are finished, group by group, and the judged claims of the
    study that they repeat. Raises StoreError."""
    index = read_index(directory)
    groups = groups_of(directory, index)
    document = stages_json(index["title"], groups, claims_of(index, groups))
    return {"study": index["study"], "profile": index["profile"], **document}


def stages_html(directory: Path) -> str:
    """The page of a study of stages, as far as it was run. Raises StoreError."""
    index = read_index(directory)
    made: str = load("relrob.report.html.write:stages_html")(
        show_stages(directory), groups_of(directory, index), str(index.get("sha256", ""))
    )
    return made


def show_stages_text(directory: Path, form: str) -> str:
    """The same as markdown, csv, latex or json. Raises UsageError, StoreError."""
    index = read_index(directory)
    groups = groups_of(directory, index)
    return stages_text(index["title"], groups, form, claims_of(index, groups))


def stage_figures(directory: Path) -> dict[str, bytes]:
    """File name to content of the published study's figures from the stages that are finished.
    Raises StoreError."""
    index = read_index(directory)
    rows = Rows.of(groups_of(directory, index))
    drawn: dict[str, bytes] = load("relrob.report.study.stage_figures:figures")(
        index["report"], rows, StageFiles(directory, index)
    )
    return drawn


def stage_lines(directory: Path) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """(columns, lines) of all rows: the group, then every column of every group, None where a row
    lacks it. Raises StoreError."""
    groups = groups_of(directory, read_index(directory))
    columns = list(dict.fromkeys(column for each in groups for column in each.columns))
    lines = [(each.group, *map(row.get, columns)) for each in groups for row in each.rows]
    return ("group", *columns), tuple(lines)


def export_stages(
    directory: Path, output: Path, only: Sequence[str] = (), without: Sequence[str] = ()
) -> int:
    """Write the finished stages as one .zip for `import_stages`; returns their number. The same
    stages give the same bytes.

    `only`: groups, all when empty. `without`: names of files that are left out; a stage that lacks
    one keeps its rows, and is made again where another reads the file. Raises UsageError,
    StoreError.
    """
    if output.suffix != ".zip":
        raise UsageError(f"output {output}", "a file name that ends in .zip")
    if not only:
        return pack(directory, output, None, without)
    entries = read_index(directory)["stages"]
    groups = dict.fromkeys(entry["group"] for entry in entries)
    for name in only:
        if name not in groups:
            raise UsageError(f"group {name!r}", ", ".join(groups))
    return pack(directory, output, {e["stage"] for e in entries if e["group"] in only}, without)


def import_stages(source: Path, directory: Path) -> tuple[int, int]:
    """Add the stages of a .zip that `export_stages` wrote: (added, there already). All digests are
    checked. Raises StoreError, also while another process runs the study."""
    with held(directory):
        return unpack(source, directory)


def claims_of(index: dict[str, Any], groups: Sequence[GroupRows]) -> list[PaperClaim]:
    """The judged claims of the published study, none where the study repeats none. A claim that
    says what it says of no rows at all was not run."""
    target = CLAIMS.get(index["report"])
    if target is None:
        return []
    judge: Callable[[Rows], list[PaperClaim]] = load(target)
    rows = Rows.of(groups).closed()
    unrun = {claim.says: claim for claim in judge(Rows(dict.fromkeys(rows.groups, ())))}
    return [
        replace(claim, judgement=Judgement.NOT_RUN) if unrun.get(claim.says) == claim else claim
        for claim in judge(rows)
    ]


def stage_outcomes(directory: Path, stage: Finished) -> Outcomes | None:
    """What became of the images of a finished stage that attacked some. Raises StoreError."""
    if FILE not in stage.files or FILE in missing(directory, stage):
        return None
    path = checked_file(directory, stage, FILE)
    return decode(path.read_bytes(), str(path))


def groups_of(
    directory: Path,
    index: dict[str, Any],
    outcomes: Callable[[Path, Finished], ImageOutcomes | None] = stage_outcomes,
) -> list[GroupRows]:
    """The groups of a study with the rows of their finished stages. `index`: its pipeline.json;
    `outcomes`: reads those of a stage. Raises StoreError."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in index["stages"]:
        found.setdefault(entry["group"], []).append(entry)
    return [_rows(directory, group, entries, outcomes) for group, entries in found.items()]


def _rows(
    directory: Path,
    group: str,
    entries: list[dict[str, Any]],
    read: Callable[[Path, Finished], ImageOutcomes | None],
) -> GroupRows:
    rows: list[dict[str, Any]] = []
    outcomes: list[ImageOutcomes | None] = []
    done = 0
    for entry in entries:
        stage = finished(directory, entry["stage"])
        if stage is not None:
            done += 1
            rows += [{**entry["axes"], **row} for row in stage.rows]
            outcomes += [read(directory, stage)] * len(stage.rows)
    return GroupRows(group, entries[0]["kind"], len(entries), done, tuple(rows), tuple(outcomes))
