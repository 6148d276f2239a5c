"""`auto` against enumeration over the whole grid of steps and radii, paired, both networks, exact
counts and verdicts.

    python benchmarks/grid.py REFERENCE [QUANTISED] [--runtime xnnpack] [--images 0:20] [--pairs 2]

Every image of every cell (step 1/64 ... 1, r = 10 and 20, F = 20) is decided by `auto`; on the
first `--pairs` images of each cell `enumerate` decides it too, right after, and both must agree in
verdicts, counts and transfer. One process, one thread.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from fractions import Fraction

from relrob.cli.main import tune_blas

tune_blas()

from threadpoolctl import threadpool_limits  # noqa: E402

from relrob.deciding.choose import solver_named  # noqa: E402
from relrob.deciding.decide import Decision, decide  # noqa: E402
from relrob.domain.region import Ladder  # noqa: E402
from relrob.domain.verdict import Status  # noqa: E402
from relrob.queries.properties import Label  # noqa: E402
from relrob.queries.query import Budget, Query  # noqa: E402
from relrob.queries.solver import Solver  # noqa: E402
from relrob.regions.ladder import RungSet, rung_set  # noqa: E402
from relrob.study.plan import make_plan  # noqa: E402
from relrob.study.request import Request  # noqa: E402
from relrob.study.work import opened  # noqa: E402
from relrob_datasets import load  # noqa: E402
from relrob_solvers.enumerate_ladder import Enumerate  # noqa: E402

STEPS = [Fraction(1, 2**k) for k in range(6, -1, -1)]
RADII = [10, 20]


def timed(problem: Query[RungSet], solver: Solver[RungSet]) -> tuple[Decision, float]:
    """The decision and its seconds."""
    begin = time.perf_counter()
    return decide(problem, solver), time.perf_counter() - begin


def main() -> None:
    """One line a cell, then the sums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reference")
    parser.add_argument("quantised", nargs="?")
    parser.add_argument("--runtime")
    parser.add_argument("--images", default="0:20")
    parser.add_argument("--pairs", type=int, default=2)
    asked = parser.parse_args()
    threadpool_limits(1)
    plan = make_plan(
        Request(
            radius="20",
            step="1/4",
            reference=asked.reference,
            quantised=asked.quantised,
            runtime=asked.runtime,
            images=asked.images,
        )
    )
    data = load("mnist", "test")
    networks = (opened(plan.reference, 1), opened(plan.quantised, 1))
    chosen = [
        i
        for i in plan.indices
        if int(networks[0].replayer.outputs(data.pixels([i])).argmax()) == data.labels[i]
    ]
    sums = {(name, counts): 0.0 for name in ("auto", "enumerate") for counts in (True, False)}
    unknown = 0
    for radius in RADII:
        for step in STEPS:
            spent: dict[tuple[str, bool], list[float]] = {key: [] for key in sums}
            for place, index in enumerate(chosen):
                rungs = rung_set(Ladder(Fraction(radius), step), data.images[index])
                for counts in (True, False):
                    problem = Query(
                        rungs, Label(int(data.labels[index])), networks, Budget(600), counts
                    )
                    ours, seconds = timed(problem, solver_named("auto"))
                    spent["auto", counts].append(seconds)
                    unknown += sum(verdict.status is Status.UNKNOWN for verdict in ours.verdicts)
                    if place < asked.pairs:
                        theirs, seconds = timed(problem, Enumerate())
                        spent["enumerate", counts].append(seconds)
                        assert [v.status for v in ours.verdicts] == [
                            v.status for v in theirs.verdicts
                        ], (
                            radius,
                            step,
                            index,
                        )
                        assert [f.effective for f in ours.each] == [
                            f.effective for f in theirs.each
                        ], (
                            radius,
                            step,
                            index,
                        )
                        assert ours.transfer == theirs.transfer, (radius, step, index)
            means = {key: statistics.fmean(values) for key, values in spent.items() if values}
            for key, mean in means.items():
                sums[key] += mean
            shown = ", ".join(
                f"{name} {'counts' if counts else 'verdict'} {mean:.4f}"
                for (name, counts), mean in means.items()
            )
            print(f"r={radius} step={step}: {shown} s an image", flush=True)
    for counts in (True, False):
        ratio = sums["enumerate", counts] / sums["auto", counts]
        print(f"{'counts' if counts else 'verdicts'}, whole grid: enumerate / auto = {ratio:.1f}")
    print(f"{len(chosen)} images, unknown verdicts: {unknown}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
