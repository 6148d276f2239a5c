"""A search for critical radii: request -> plan -> workers -> one transaction an image."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

from threadpoolctl import threadpool_limits

from relrob.domain.events import Event, Listener
from relrob.domain.radius import Interval, RadiusRecord
from relrob.domain.region import NESTED, Ball, Ladder
from relrob.domain.verdict import Reason
from relrob.errors import UsageError
from relrob.regions.exact import parse_fraction
from relrob.regions.nested import farthest, nest_of, precision_of
from relrob.relative.radius import RadiusResult, RadiusSetting, measure
from relrob.report.radius.words import interval
from relrob.store.configuration import canonical
from relrob.store.radius_directory import RadiusStore
from relrob.study.attacks import armed_in
from relrob.study.plan import make_plan, run_directory
from relrob.study.pool import Unanswered, map_unordered
from relrob.study.region import features_of
from relrob.study.request import Request
from relrob.study.stages import Stages
from relrob.study.work import Plan, data_of, opened
from relrob.system.allocator import keep_memory
from relrob.system.files import sha256_bytes

_FORMAT: Final = 1  # goes up when the same configuration gives other records


@dataclass(frozen=True, eq=False)
class RadiusPlan:
    """A search, ready. `plan`: of a run in the largest region; `precision`: of a ball's radii, None
    for a ladder; `attacks`: their texts as typed, which take the radius of each region."""

    plan: Plan
    precision: Fraction | None
    attacks: str | None

    @property
    def region(self) -> Ball | Ladder:
        """The largest one."""
        return cast("Ball | Ladder", self.plan.region)  # `check_kind` refused the others

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the records."""
        own = {"format": _FORMAT, "precision": _text(self.precision)}
        drawn = {"attacks": self.attacks, "seed": self.plan.seed} if self.attacks else {}
        return {**self.plan.config, "radius": {**own, **drawn}}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical configuration: the name of the search."""
        return sha256_bytes(canonical(self.config).encode())

    @property
    def header(self) -> dict[str, Any]:
        """The leading keys of radius.json."""
        told = {key: value for key, value in self.plan.header.items() if key != "effective_rule"}
        if self.attacks:
            told["attacks"] = {**told["attacks"], "each": self.attacks.split(",")}
        region = {**told["region"], "precision": _text(self.precision)}
        limit = self.plan.budget.seconds
        return {**told, "run": self.digest, "region": region, "time_limit": limit}


def check_kind(kind: str) -> None:
    """Refuse regions that are not nested by their radius alone. Raises UsageError."""
    if kind not in NESTED:
        raise UsageError(f"region {kind!r}", ", ".join(NESTED), "--region linf")


def largest(request: Request, stages: Stages, listener: Listener) -> Request:
    """The request with the radius that holds all of its kind of region."""
    step = Fraction(1) if request.step is None else parse_fraction(request.step, "step")
    inputs = stages.images(request, listener).images[0].size
    features = features_of(request.features)
    radius = farthest(request.region, inputs, features, request.axes, step)
    return replace(request, radius=str(radius))


def radius_plan(
    request: Request,
    precision: str | None,
    listener: Listener,
    out: Path | None,
    stages: Stages,
) -> RadiusPlan:
    """Check everything, load or make the networks, measure their clean accuracy. Raises
    RelrobError. Writes nothing to `out`."""
    if precision is not None and request.region == "ladder":
        raise UsageError(
            "--precision has no effect with region ladder, all of whose costs are told apart",
            hint="leave out --precision",
        )
    asked = None if precision is None else parse_fraction(precision, "precision")
    plan = make_plan(request, listener, out, stages, check=_check, nested=True)
    made = RadiusPlan(plan, precision_of(cast("Any", plan.region), asked), request.attacks)
    images = stages.images(request, listener).images
    nest_of(made.region, made.precision, images[plan.indices[0]])
    RadiusStore.check(run_directory(out, made.digest), made.config)
    return made


def _check(directory: Path, config: Any = None) -> None:
    """The configuration of the run in the largest region is only a part of that of the search."""
    if config is None:
        RadiusStore.check(directory)


def make_measurer(made: RadiusPlan) -> Callable[[int], RadiusResult]:
    """What a worker does: the function measures the image of an index, on one thread."""
    plan, data = made.plan, data_of(made.plan)
    networks = (plan.reference, plan.quantised)
    arms = armed_in(made.attacks, networks, plan.region) if made.attacks else None
    setting = RadiusSetting(
        reference=opened(plan.reference, 1, "reference"),
        quantised=opened(plan.quantised, 1, "quantised"),
        region=made.region,
        precision=made.precision,
        solver=plan.solver,
        seconds=plan.budget.seconds,
        arms=arms,
        seed=plan.seed,
    )
    return lambda index: measure(setting, index, data.images[index], int(data.labels[index]))


def measure_in_worker(made: RadiusPlan) -> Callable[[int], RadiusResult]:
    """`make_measurer` in a process that does nothing else."""
    keep_memory()
    threadpool_limits(limits=1)
    return make_measurer(made)


def run_radius(made: RadiusPlan, store: RadiusStore, workers: int, listener: Listener) -> None:
    """Measure every image that the store does not hold yet; each is on disk before the next event
    is sent. Raises RelrobError."""
    indices, done = made.plan.indices, store.records()
    todo = [index for index in indices if index not in done]
    total, finished = len(indices), len(indices) - len(todo)
    if finished:
        listener(Event("note", f"resuming: {finished} of {total} images are done already"))
    listener(Event("images", "searching radii", finished, total))
    with closing(_answers(made, todo, min(workers, len(todo)))) as answers:
        for answer in answers:
            found = _unanswered(made, answer) if isinstance(answer, Unanswered) else answer
            store.append(found.record, found.witnesses, found.seconds)
            finished += 1
            listener(Event("images", _line(found.record), finished, total))


def _answers(made: RadiusPlan, todo: list[int], workers: int) -> Generator[Any, None, None]:
    """Results as they come, from this process for one worker, else from a pool."""
    if workers > 1:
        yield from map_unordered(measure_in_worker, made, todo, workers)
        return
    function: Callable[[int], RadiusResult] | None = None
    for index in todo:
        with threadpool_limits(limits=1):
            function = function or make_measurer(made)
            answer = function(index)
        yield answer


def _unanswered(made: RadiusPlan, lost: Unanswered) -> RadiusResult:
    """The record of an image that killed its workers: nothing is known of it."""
    label = int(data_of(made.plan).labels[lost.item])
    nothing = Interval(None, None, False, reason=Reason.CRASH.value)
    return RadiusResult(RadiusRecord(lost.item, label, -1, -1, nothing, nothing), (), 0.0)


def _line(record: RadiusRecord) -> str:
    """What the progress display says of an image."""
    told = ", ".join(
        f"{name} {interval(each)}"
        for name, each in (("reference", record.reference), ("quantised", record.quantised))
    )
    return f"image {record.index} ({record.label}): {told}"


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)
