"""Run a plan: images still to do -> workers -> one transaction each -> done. Interrupt it at any
moment."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from relrob import registry
from relrob.domain.events import Event, Listener, silent
from relrob.domain.record import ImageResult, Record, Set
from relrob.domain.verdict import Reason, Status
from relrob.errors import UsageError
from relrob.store.run_directory import Store
from relrob.study.options import refuse_idle
from relrob.study.pool import Unanswered, map_unordered
from relrob.study.request import Request
from relrob.study.work import Plan, data_of, make_classifier, make_in_worker
from relrob.system.files import sha256_path, write_atomic
from relrob.system.processors import processors

_EXTRA = "distributed"  # relrob[distributed]


def worker_count(text: str) -> int:
    """ "auto" = the cores that this process may use. Raises UsageError.

    >>> worker_count("3")
    3
    """
    if text == "auto":
        return processors()
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise UsageError(f"workers {text!r}", "auto, or a whole number above 0")
    return count


def check_scheduler(address: str | None) -> None:
    """Refuse a Dask scheduler that cannot be used, before the work; None is none. Raises
    UsageError."""
    if address is not None:
        registry.load_extra("relrob.study.cluster:check", _EXTRA)(address)


def crew(workers: int | str | None, scheduler: str | None) -> int:
    """The number of worker processes here, 1 for None. Raises UsageError, also for a scheduler that
    cannot be used, and for `workers` beside one."""
    if workers is not None:
        refuse_idle({"workers": workers}, {"region": Request.region, "scheduler": scheduler})
    count = worker_count(str(1 if workers is None else workers))
    check_scheduler(scheduler)
    return count


def run(
    plan: Plan,
    store: Store,
    workers: int = 1,
    listener: Listener = silent,
    scheduler: str | None = None,
) -> None:
    """Decide every image of the plan that the store does not hold yet; each is on disk before the
    next event is sent.

    `scheduler`: the address of a Dask scheduler, whose workers do the work; `workers` is of no
    account then. Raises RelrobError."""
    done = store.done()
    todo = [index for index in plan.indices if index not in done]
    total, finished = len(plan.indices), len(plan.indices) - len(todo)
    if finished:
        listener(Event("note", f"resuming: {finished} of {total} images are decided already"))
    listener(Event("images", "deciding images", finished, total))
    answers = _answers(plan, todo, min(workers, max(len(todo), 1)), scheduler)
    with closing(answers):
        for answer in answers:
            result = _unanswered(plan, answer) if isinstance(answer, Unanswered) else answer
            store.append(result)
            finished += 1
            listener(Event("images", _line(result.record), finished, total))


def _answers(
    plan: Plan, todo: list[int], workers: int, scheduler: str | None
) -> Generator[Any, None, None]:
    """Results as they come: from a cluster, in this process for one worker, else from a pool."""
    if not todo:
        return
    if scheduler is not None:
        yield from registry.load_extra("relrob.study.cluster:map_on_cluster", _EXTRA)(
            plan, todo, scheduler
        )
        return
    if workers > 1:
        yield from map_unordered(make_in_worker, plan, todo, workers)
        return
    with threadpool_limits(limits=1):
        function = make_classifier(plan)
    for index in todo:
        with threadpool_limits(limits=1):
            answer = function(index)
        yield answer


def _unanswered(plan: Plan, lost: Unanswered) -> ImageResult:
    """The record of an image that killed its workers: UNKNOWN, with the reason."""
    data = data_of(plan)
    unknown = Status.UNKNOWN.value
    record = Record(lost.item, int(data.labels[lost.item]), -1, -1, Set.UNKNOWN, unknown, unknown)
    sentence = f"reference: {Reason.CRASH.value}; quantised: {Reason.CRASH.value}"
    return ImageResult(replace(record, reason=sentence), (), 0.0)


def _line(record: Record) -> str:
    """What the progress display says of an image."""
    return f"image {record.index} ({record.label}): {record.set.value}"


def keep_networks(plan: Plan, directory: Path) -> None:
    """Copy networks that relrob made into the run directory, so that it holds the very file that
    was judged."""
    for name, network in (("reference", plan.reference), ("quantised", plan.quantised)):
        target = directory / plan.header[name]["path"]
        made = plan.header[name]["path"] == f"{name}{Path(network.path).suffix}"
        source = Path(network.path)
        if (
            made
            and source.is_file()
            and not (target.is_file() and sha256_path(target) == network.sha256)
        ):
            write_atomic(target, source.read_bytes())
