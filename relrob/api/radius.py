"""Critical radii in Python, with the words of `relrob radius`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from relrob.api.results import RadiusResults
from relrob.api.verify import doubted
from relrob.domain.events import Event, Listener, silent
from relrob.errors import UsageError
from relrob.registry import load
from relrob.report.radius.write import write_radius
from relrob.store.radius_directory import RadiusStore
from relrob.store.radius_summary import RadiusSummary
from relrob.study.plan import run_directory
from relrob.study.pool import leave_unguarded
from relrob.study.radius import check_kind, largest, radius_plan, run_radius
from relrob.study.request import request_of
from relrob.study.run import crew, keep_networks
from relrob.study.stages import Stages
from relrob.system.files import sweep

REGION: Final = "linf"
TIME_LIMIT: Final = 4.0
# Options of `relrob.verify` of which a search for radii makes no use.
_UNUSED: Final = ("radius", "counts", "effective", "certificates")


def radius(
    reference: str | Path | None = None,
    quantised: str | Path | None = None,
    *,
    region: str = REGION,
    max_radius: float | str | None = None,
    precision: float | str | None = None,
    step: float | str | None = None,
    time_limit: float = TIME_LIMIT,
    out: str | Path | None = None,
    workers: int | str | None = None,
    listener: Listener = silent,
    **options: Any,
) -> RadiusResults:
    """Between which radii does the first misclassified image lie, of both networks, image by image?

    Each radius is an interval: above `proved`, the radius of a region on all of which the network
    was proved right, and at most `broken`, the distance of a witness that was replayed.

    - `region`: "linf", "l1", "l2" (balls) or "ladder", which needs a `step`.
    - `max_radius`: of the largest region that is asked about; by default the one that holds all
      images, or all sets of features. `precision`: radii of balls are multiples of it; by default
      1/2550 for linf, 1/100 for l2, 1/10 for l1.
    - `time_limit`: seconds for each image and network, all radii together. What is open then stays
      an interval.
    - `options`: those of `relrob radius` with underscores: dataset, split, classes, labels, range,
      images_layout, images, quantise, runtime, reference_runtime, layout, input_scale, mean, std,
      channels, output, features, axes, grid, seed, solver, attacks (tried in the proved region,
      where a success is an alarm, and to find nearer witnesses), memory.
    - `out`: the directory, relrob-runs/DIGEST by default. The same call resumes the search in it;
      other `images` extend it. `workers`: processes, 1 by default; above 1 the caller's module must
      be guarded by `if __name__ == "__main__"`.

    Raises RelrobError, whose one line names the mistake; AlarmError (exit code 4) where a run
    contradicts a proof.
    """
    leave_unguarded()
    check_kind(region)
    _refuse_unused(options)
    asked = {**options, "region": region, "time_limit": time_limit}
    request = request_of(1 if max_radius is None else max_radius, step, reference, quantised, asked)
    count = crew(workers, None)
    stages = Stages([request])
    request = request if max_radius is not None else largest(request, stages, listener)
    typed = None if precision is None else str(precision)
    made = radius_plan(request, typed, listener, None if out is None else Path(out), stages)
    plan = doubted(made.plan, stages, request, listener)
    header = {**made.header, **{key: plan.header[key] for key in plan.header if key == "warnings"}}
    directory = run_directory(None if out is None else Path(out), made.digest)
    with RadiusStore.open(directory, made.config) as store:
        sweep(directory)
        keep_networks(plan, directory)
        run_radius(made, store, count, listener)
        wanted, seconds, kept = plan.indices, store.seconds(), store.records()
        spent = sum(seconds[index] for index in wanted)
        summary = RadiusSummary(header, tuple(kept[index] for index in wanted), spent)
        witnesses = [each for each in store.witness_files() if each[0] in set(wanted)]
        listener(Event("note", f"writing {directory}"))
        write_radius(directory, summary, seconds, witnesses)
    load("relrob.report.html.write:write_radius_page")(directory)
    return RadiusResults(summary, directory)


def _refuse_unused(options: Mapping[str, Any]) -> None:
    """Refuse options of which no use would be made. Raises UsageError."""
    for name in _UNUSED:
        if options.get(name) is not None:
            remedy = "max_radius" if name == "radius" else f"leave out {name}"
            raise UsageError(
                f"option {name!r}, of which a search for radii makes no use", "", remedy
            )
