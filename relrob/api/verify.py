"""The library's front door: what the command line calls, with the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relrob.domain.events import Event, Listener, silent
from relrob.report.run.write import write_run
from relrob.store.run_directory import Store
from relrob.store.summarise import summarise
from relrob.study.export import export as write_questions
from relrob.study.plan import Plan, make_plan, run_directory
from relrob.study.request import request_of
from relrob.study.run import check_scheduler, keep_networks, run, worker_count
from relrob.system.files import sweep


def verify(
    reference: str | Path | None = None,
    quantised: str | Path | None = None,
    *,
    radius: float | str,
    step: float | str | None = None,
    out: str | Path | None = None,
    workers: int | str = 1,
    scheduler: str | None = None,
    export: str | Path | None = None,
    listener: Listener = silent,
    **options: Any,
) -> dict[str, Any]:
    """Sort images into R_Q^FP, R^FP, R_Q, R^0, R^mixed and unknown; returns summary.json as a
    dictionary, and "directory".

    `options` are those of `relrob verify` with underscores: dataset, split, images (text, or
    indices), quantise, runtime, reference_runtime, layout, region, features, axes, grid, seed,
    evaluations, rollouts, strict_radius, include_misclassified, effective, solver, time_limit,
    counts, certificates, memory. `export`: NAME.smt2, to write each image's questions as
    NAME-INDEX-reference.smt2 and NAME-INDEX-quantised.smt2 first. `out`: run directory (default:
    relrob-runs/DIGEST); the same call resumes it, other `images` extend it. `workers` above 1
    starts processes, which needs the caller's module to be guarded by `if __name__ == "__main__"`.
    `scheduler`: the address of a Dask scheduler whose workers decide the images, in place of
    `workers` (relrob[distributed]).

    Raises RelrobError, with one line that says what was given, what is accepted and what to try.
    """
    request = request_of(radius, step, reference, quantised, options)
    count = worker_count(str(workers))
    check_scheduler(scheduler)
    directory = None if out is None else Path(out)
    plan = make_plan(request, listener, directory)
    if export is not None:
        write_questions(plan, Path(export), listener)
    return verify_plan(plan, directory, count, listener, scheduler)


def verify_plan(
    plan: Plan,
    out: Path | None,
    workers: int,
    listener: Listener = silent,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Run a plan, or what is left of it, and write its directory; returns the summary, plus
    "directory"."""
    directory = run_directory(out, plan.digest)
    with Store.open(directory, plan.config) as store:
        sweep(directory)
        keep_networks(plan, directory)
        run(plan, store, workers, listener, scheduler)
        seconds = store.seconds()
        summary = summarise(
            store.records(plan.indices), plan.header, sum(seconds[index] for index in plan.indices)
        )
        listener(Event("note", f"writing {directory}"))
        write_run(directory, summary, plan.indices)
    return {**summary.json(), "directory": str(directory)}
