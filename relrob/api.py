"""The library's front door: what the command line calls, with the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relrob.domain.events import Event, Listener, silent
from relrob.files import sweep
from relrob.registry import load
from relrob.report.write import write_run
from relrob.study.plan import Plan, make_plan
from relrob.study.request import Request
from relrob.study.run import keep_networks, run, worker_count
from relrob.study.store import Store
from relrob.study.summary import summarise

__all__ = ["quantise", "train", "verify", "verify_plan"]


def verify(
    reference: str | Path | None = None,
    quantised: str | Path | None = None,
    *,
    radius: float | str,
    step: float | str,
    out: str | Path | None = None,
    workers: int | str = 1,
    listener: Listener = silent,
    **options: Any,
) -> dict[str, Any]:
    """Sort images into R_Q^FP, R^FP, R_Q, R^0, R^mixed and unknown; returns the summary of interface.md as a dictionary.

    `options` are those of `relrob verify` with underscores: dataset, split, images, quantise, runtime, layout, features, axes,
    grid, seed, effective, solver, time_limit, counts, certificates.
    `out`: run directory (default: relrob-runs/DIGEST); the same call resumes it.
    `workers` above 1 starts processes, which needs the caller's module to be guarded by `if __name__ == "__main__"`.

    Raises RelrobError, with one line that says what was given, what is accepted and what to try.
    """
    request = Request(
        radius=str(radius),
        step=str(step),
        reference=None if reference is None else str(reference),
        quantised=None if quantised is None else str(quantised),
        **options,
    )
    count = worker_count(str(workers))
    return verify_plan(make_plan(request, listener), None if out is None else Path(out), count, listener)


def verify_plan(plan: Plan, out: Path | None, workers: int, listener: Listener = silent) -> dict[str, Any]:
    """Run a plan, or what is left of it, and write its directory; returns the summary, plus "directory"."""
    directory = out if out is not None else Path("relrob-runs") / plan.digest[:16]
    with Store.open(directory, plan.config) as store:
        sweep(directory)
        keep_networks(plan, directory)
        run(plan, store, workers, listener)
        summary = summarise(store.records(), plan.header, sum(store.seconds().values()))
        listener(Event("note", f"writing {directory}"))
        write_run(directory, summary)
    return {**summary, "directory": str(directory)}


def train(*args: Any, **options: Any) -> None:
    """Train a reference network; see `relrob.training.train`. Imports TensorFlow."""
    load("relrob.training:train")(*args, **options)


def quantise(*args: Any, **options: Any) -> bytes:
    """Quantise a network; see `relrob.compress.build.quantised_bytes`. Imports TensorFlow for LiteRT schemes."""
    data: bytes = load("relrob.compress.build:quantised_bytes")(*args, **options)
    return data
