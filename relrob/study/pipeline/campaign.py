"""Run a study of stages: what is not finished yet, inputs first, in worker processes.

A study can be killed at any moment. A finished stage is never made again, whatever study asks for
it in the same directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from relrob.domain.events import Event, Listener, silent
from relrob.domain.stage import Stage
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.registry import load_extra
from relrob.store.stage_directory import finished
from relrob.store.stage_document import is_digest, sealed, unsealed
from relrob.study.pipeline.spec import Pipeline
from relrob.study.pipeline.work import worker
from relrob.study.pool import Unanswered, map_unordered
from relrob.system.files import disk_errors, held, sweep, write_atomic

INDEX: Final = "pipeline.json"
_FORMAT: Final = 2


def run_pipeline(
    pipeline: Pipeline,
    directory: Path,
    workers: int,
    only: Sequence[str] = (),
    listener: Listener = silent,
    scheduler: str | None = None,
) -> None:
    """Finish the stages of the groups `only`, all when empty, and those that they read.

    `scheduler`: the address of a Dask scheduler, whose workers work in place of `workers`. Raises
    RelrobError, the first that a stage raised; what is finished stays.
    """
    for name in only:
        if name not in pipeline.groups:
            raise UsageError(f"group {name!r}", ", ".join(pipeline.groups))
    asked = wanted(pipeline, only)
    with held(directory):
        write_index(pipeline, directory)
        sweep(directory)
        _finish(pipeline, asked, directory, workers, listener, scheduler)


def _finish(
    pipeline: Pipeline,
    asked: Sequence[Stage],
    directory: Path,
    workers: int,
    listener: Listener,
    scheduler: str | None,
) -> None:
    """Make the stages that are not finished, wave by wave. A stage whose inputs were made again
    with another result is made again too, so each is looked at after its inputs."""
    began, open_ = time.monotonic(), list(asked)
    unmade = {s.digest for s in asked if finished(directory, s.digest) is None}
    done = len(asked) - len(unmade)
    listener(Event("note", f"{done} of {len(asked)} stages are done already"))
    while open_:
        waiting = {stage.digest for stage in open_}
        ready = [s for s in open_ if not waiting & set(s.links.values())]
        open_ = [stage for stage in open_ if waiting & set(stage.links.values())]
        todo = [stage for stage in ready if finished(directory, stage.digest) is None]
        jobs = tuple((stage, pipeline.kinds[stage.kind].target) for stage in todo)
        left = len(todo) + sum(stage.digest in unmade for stage in open_)
        for answer in _answers(directory, jobs, workers, scheduler) if jobs else ():
            if isinstance(answer, Unanswered):
                raise RelrobError(
                    f"two workers died over {todo[answer.item].described}",
                    hint="more memory, or fewer --workers",
                )
            number, seconds = answer
            left -= 1
            text = f"{todo[number].described}: {seconds:,.1f} s"
            listener(Event("stages", text, len(asked) - left, len(asked)))
    listener(Event("note", f"all {len(asked)} stages done in {time.monotonic() - began:,.0f} s"))


def _answers(
    directory: Path, jobs: tuple[tuple[Stage, str], ...], workers: int, scheduler: str | None
) -> Iterator[Any]:
    """(number, seconds) of each stage that is finished, in any order; `Unanswered` for one that
    killed its workers."""
    if scheduler is None:
        return map_unordered(worker, (str(directory), jobs), range(len(jobs)), workers)
    target = "relrob.study.pipeline.cluster:map_on_cluster"
    found: Iterator[Any] = load_extra(target, "distributed")(directory, jobs, scheduler)
    return found


def wanted(pipeline: Pipeline, only: Sequence[str] = ()) -> list[Stage]:
    """The stages of these groups and those that they read, each digest once, inputs first."""
    found: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        for each in stage.inputs.values():
            add(each)
        found.setdefault(stage.digest, stage)

    for stage in pipeline.stages:
        if not only or stage.group in only:
            add(stage)
    return list(found.values())


def write_index(pipeline: Pipeline, directory: Path) -> None:
    """Write pipeline.json: the study's head, and for each stage its group, axes and digest. Raises
    StoreError for a directory of another study."""
    path = directory / INDEX
    if path.exists():
        there = read_index(directory)["study"]
        if there != pipeline.name:
            raise StoreError(
                f"{directory} holds the study {there}",
                f"an empty directory, or one of {pipeline.name}",
                "--out",
            )
    content = {
        "format": _FORMAT,
        "study": pipeline.name,
        "title": pipeline.title,
        "report": pipeline.report,
        "profile": pipeline.profile,
        "sha256": pipeline.sha256,
        "stages": [
            {"kind": s.kind, "group": s.group, "axes": s.axes, "stage": s.digest}
            for s in pipeline.stages
        ],
    }
    write_atomic(path, sealed(content))


def read_index(directory: Path) -> dict[str, Any]:
    """pipeline.json. Raises StoreError."""
    path = directory / INDEX
    if not path.is_file():
        raise StoreError(f"{directory} holds no study of stages", f"one with a {INDEX}")
    with disk_errors(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        found = unsealed(text)
        whole = found["format"] == _FORMAT and all(
            isinstance(found[key], str) for key in ("study", "title", "report", "profile")
        )
        whole = whole and all(_is_entry(each) for each in found["stages"])
    except (ValueError, KeyError, TypeError):
        found, whole = {}, False
    if not whole:
        raise StoreError(
            f"{path} is damaged, or of another version",
            "one that relrob wrote",
            f"delete {path}, and run the study again: its stages stay",
        )
    return found


def _is_entry(each: Any) -> bool:
    """Is it what `write_index` writes of a stage?"""
    return (
        {*each} == {"kind", "group", "axes", "stage"}
        and isinstance(each["kind"], str)
        and isinstance(each["group"], str)
        and isinstance(each["axes"], dict)
        and is_digest(each["stage"])
    )
