"""The scaling of a run from one worker to two, on Dask and on relrob's own processes, and the
overhead of an image.

    python benchmarks/cluster.py REFERENCE [--images 0:60] [--rounds 2]

Runs are interleaved: in each round every kind of workers decides the same images into a new store.
The efficiency is the seconds with one worker over twice the seconds with two; starting the workers
is left out. The overhead is measured on images whose ladder has one feature, so nearly no work,
beside the seconds that the workers themselves spent on them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from relrob.cli.main import tune_blas

tune_blas()

from distributed import LocalCluster  # noqa: E402

from relrob.store.run_directory import Store  # noqa: E402
from relrob.study.plan import make_plan  # noqa: E402
from relrob.study.request import Request  # noqa: E402
from relrob.study.run import run  # noqa: E402
from relrob.study.work import Plan  # noqa: E402

# Images before the clock starts: workers open their networks on the first ones.
WARM = 4


@contextmanager
def workers(kind: str, count: int) -> Iterator[str | None]:
    """A scheduler's address for "dask", None for "processes"."""
    if kind == "processes":
        yield None
    else:
        local: Any = LocalCluster
        with local(
            n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster:
            yield cluster.scheduler_address


def decided(plan: Plan, kind: str, count: int) -> tuple[float, float, str]:
    """Seconds from the image after `WARM` to the last, seconds that all images took in their
    workers, digest of what was found."""
    stamps: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        workers(kind, count) as address,
        Store.open(Path(folder) / "run", plan.config) as store,
    ):
        run(plan, store, count, lambda event: stamps.append(time.perf_counter()), address)
        return stamps[-1] - stamps[WARM], sum(store.seconds().values()), store.content_sha256()


def main() -> None:
    """A line a kind and round, then the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reference")
    parser.add_argument("--images", default="0:60")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    full = Request(radius="20", step="1/4", reference=asked.reference, images=asked.images)
    for name, request in (
        ("work", full),
        ("overhead", replace(full, features="1", images="0:400")),
    ):
        plan = make_plan(request)
        found: dict[tuple[str, int], list[float]] = {}
        digests = set()
        for _ in range(asked.rounds):
            for kind in ("processes", "dask"):
                for count in (1, 2):
                    wall, spent, digest = decided(plan, kind, count)
                    digests.add(digest)
                    found.setdefault((kind, count), []).append(wall)
                    each, work = (1000 * part / len(plan.indices) for part in (wall, spent))
                    print(
                        f"{name} {kind} {count}: {wall:.2f} s; an image {each:.1f} ms,"
                        f" {work:.1f} ms of it in its worker"
                    )
        assert len(digests) == 1
        for kind in ("processes", "dask"):
            one, two = (statistics.median(found[kind, count]) for count in (1, 2))
            print(
                f"{name} {kind}: {one:.2f} s with one worker, {two:.2f} s with two,"
                f" efficiency {one / two / 2:.2f}"
            )


if __name__ == "__main__":
    main()
