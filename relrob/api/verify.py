"""The main job in Python, with the words of `relrob verify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relrob.api.results import VerifyResult
from relrob.domain.events import Event, Listener, silent
from relrob.registry import load
from relrob.report.run.write import write_run
from relrob.store.run_directory import Store
from relrob.store.summarise import summarise
from relrob.study.command import verify_command
from relrob.study.plan import make_plan, run_directory
from relrob.study.pool import leave_unguarded
from relrob.study.request import Request, request_of
from relrob.study.run import crew, keep_networks, run
from relrob.study.stages import Stages
from relrob.study.work import Plan
from relrob.system.files import sweep

if TYPE_CHECKING:
    from relrob.audit.weight_report import WeightReport

_EVIDENCE: Final = "relrob.api.evidence"


def verify(
    reference: str | Path | None = None,
    quantised: str | Path | None = None,
    *,
    radius: float | str | None = None,
    step: float | str | None = None,
    out: str | Path | None = None,
    workers: int | str | None = None,
    scheduler: str | None = None,
    export: str | Path | None = None,
    listener: Listener = silent,
    **options: Any,
) -> VerifyResult:
    """Sort images into R_Q^FP, R^FP, R_Q, R^0, R^mixed and unknown.

    Returns summary.json as a mapping, with the run directory as "directory", and the summary and
    the records as values (`relrob.api.results.VerifyResult`). `radius` and `step`
    are in pixel units (1 = black to white); a region such as "linf-8" has its own. An option that
    the run would not use is refused.

    - `options`: those of `relrob verify` with underscores: dataset, split, classes, labels, range,
      images_layout, images (text, or indices), quantise, runtime, reference_runtime, layout,
      input_scale, mean, std (numbers, or one a channel), channels, output, region, features, axes,
      grid, seed, evaluations, rollouts, strict_radius, include_misclassified, repick, effective,
      solver, time_limit, counts, certificates, attacks (text, or a list of attacks), memory.
    - `export`: NAME.smt2. The questions about each image are written first, as
      NAME-INDEX-reference.smt2 and NAME-INDEX-quantised.smt2.
    - `out`: the run directory, relrob-runs/DIGEST by default. The same call resumes the run in it;
      other `images` extend it.
    - `workers`: processes, 1 by default. Above 1 the caller's module must be guarded by
      `if __name__ == "__main__"`.
    - `scheduler`: the address of a Dask scheduler, whose workers decide the images in place of
      `workers` (relrob[distributed]).

    Raises RelrobError, whose one line names the mistake, the accepted values and a remedy.
    """
    leave_unguarded()
    request = request_of(radius, step, reference, quantised, options, {"export": export})
    count = crew(workers, scheduler)
    directory = None if out is None else Path(out)
    stages = Stages([request])
    plan = make_plan(request, listener, directory, stages)
    networks, data = (plan.reference, plan.quantised), stages.data(request, listener)
    weights: WeightReport | None = load(f"{_EVIDENCE}:compared")(
        run_directory(directory, plan.digest), *networks, data
    )
    plan = doubted(plan, stages, request, listener, weights)
    if export is not None:
        load("relrob.study.export:export")(plan, Path(export), listener)
    result = verify_plan(plan, directory, count, listener, scheduler, weights)
    typed = verify_command(request)
    load(f"{_EVIDENCE}:keep_evidence")(
        result.directory, networks, data, result.records, typed, weights
    )
    load("relrob.report.html.run_file:write_run_page")(result.directory)
    return result


def doubted(
    plan: Plan,
    stages: Stages,
    request: Request,
    listener: Listener,
    weights: WeightReport | None = None,
) -> Plan:
    """The plan with what speaks against the pair among its warnings. `weights`: their comparison,
    made now where it is None. Networks that relrob trained are not doubted."""
    if request.reference is None:
        return plan
    accuracies = (plan.header["reference"]["accuracy"], plan.header["quantised"]["accuracy"])
    data = stages.data(request, listener)
    found: list[str] = load("relrob.api.doubts:doubts")(
        plan.reference, plan.quantised, data, accuracies, weights
    )
    if not found:
        return plan
    warnings = [*plan.header.get("warnings", ()), *found]
    return replace(plan, header={**plan.header, "warnings": warnings})


def verify_plan(
    plan: Plan,
    out: Path | None,
    workers: int,
    listener: Listener = silent,
    scheduler: str | None = None,
    weights: WeightReport | None = None,
) -> VerifyResult:
    """Decide the images of a plan that its directory does not hold yet, and write the reports
    there, before all others the comparison of the `weights`."""
    directory = run_directory(out, plan.digest)
    with Store.open(directory, plan.config) as store:
        sweep(directory)
        keep_networks(plan, directory)
        if weights is not None:
            load(f"{_EVIDENCE}:keep_weights")(directory, weights)
        run(plan, store, workers, listener, scheduler)
        seconds = store.seconds()
        records, attacks = store.records(plan.indices), store.attacks()
        spent = sum(seconds[index] for index in plan.indices)
        summary = summarise(records, plan.header, spent, attacks)
        listener(Event("note", f"writing {directory}"))
        write_run(directory, summary, plan.indices)
    found = {index: attacks[index] for index in plan.indices if index in attacks}
    return VerifyResult(summary, tuple(records), directory, found)
