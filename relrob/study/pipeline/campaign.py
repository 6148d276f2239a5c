"""Run a study of stages: what is not finished yet, inputs first, in worker processes.

A study can be killed at any moment. A finished stage is never made again, whatever study asks for
it in the same directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from relrob.domain.events import Event, Listener, silent
from relrob.domain.stage import Stage
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.registry import load_extra
from relrob.store.stage_directory import finished, missing
from relrob.store.stage_document import is_digest, sealed, unsealed
from relrob.study.pipeline.queue import Queue
from relrob.study.pipeline.spec import Pipeline
from relrob.study.pipeline.work import worker
from relrob.study.pool import Unanswered, map_unordered
from relrob.system.files import held, sweep, write_atomic
from relrob.system.json_file import read_text
from relrob.system.processors import processors

INDEX: Final = "pipeline.json"
_FORMAT: Final = 2
_DELETE: Final = "delete {}, and run the study again: its stages stay"


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
    """Make the stages that are not finished, each as soon as its own inputs are."""
    began = time.monotonic()
    queue = Queue(asked, partial(finished, directory), lambda done: not missing(directory, done))
    listener(Event("note", f"{queue.done} of {len(asked)} stages are done already"))
    jobs = tuple((stage, pipeline.kinds[stage.kind].target) for stage in asked)
    for answer in _answers(directory, jobs, queue, workers, scheduler, listener):
        if isinstance(answer, Unanswered):
            raise RelrobError(
                f"two workers died over {asked[answer.item].described}",
                hint="more memory, or fewer --workers",
            )
        number, seconds = answer
        queue.finish(number, seconds)
        text = f"{asked[number].described}: {seconds:,.1f} s"
        left = queue.left(workers) if queue.done < len(asked) else ""
        listener(Event("stages", f"{text}; {left}" if left else text, queue.done, len(asked)))
    listener(Event("note", f"all {len(asked)} stages done in {time.monotonic() - began:,.0f} s"))


def _answers(
    directory: Path,
    jobs: tuple[tuple[Stage, str], ...],
    queue: Queue,
    workers: int,
    scheduler: str | None,
    listener: Listener,
) -> Iterator[Any]:
    """(number, seconds) of each stage that is finished, in any order; `Unanswered` for one that
    killed its workers. Stages that are ready later are taken from the queue as well."""
    if scheduler is None:
        given = (str(directory), jobs, max(1, processors() // workers))
        return map_unordered(worker, given, queue.ready, workers, listener)
    target = "relrob.study.pipeline.cluster:map_on_cluster"
    found: Iterator[Any] = load_extra(target, "distributed")(
        directory, jobs, queue.ready, scheduler
    )
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
    text = read_text(path, "one that relrob wrote", _DELETE.format(path))
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
            _DELETE.format(path),
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
