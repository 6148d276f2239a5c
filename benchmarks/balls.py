"""Solvers on balls that bounds leave open: branching, MILP, SMT and the chain, image by image,
interleaved, in one run.

python benchmarks/balls.py NETWORK [--runtime NAME] [--norm linf|l1] [--radius 1/50 1/30] [--images
20] [--limit 20]

A network of 784 inputs with bounds; the first MNIST test images that it labels correctly; one
thread. For each solver: how many images are robust, not robust, undecided, and the seconds of those
that bounds leave open. Two solvers that contradict each other, or a witness that a replay refutes,
end the run with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from fractions import Fraction
from typing import Final

# Before any library counts the cores.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])

from threadpoolctl import threadpool_limits  # noqa: E402

from relrob.deciding.decide import decide  # noqa: E402
from relrob.domain.region import Ball, Norm  # noqa: E402
from relrob.domain.verdict import Status, Verdict  # noqa: E402
from relrob.networks.evaluator import labels  # noqa: E402
from relrob.networks.load import load_network  # noqa: E402
from relrob.networks.open import Opened, open_network  # noqa: E402
from relrob.queries.properties import Label  # noqa: E402
from relrob.queries.query import Budget, Query  # noqa: E402
from relrob.regions.ball import BallSet, ball_set  # noqa: E402
from relrob_datasets import load  # noqa: E402

SOLVERS: Final = ("bounds", "branch", "milp", "smt", "auto")


def asked(problem: Query[BallSet], name: str) -> tuple[Verdict, float]:
    """A verdict, and its seconds."""
    begin = time.perf_counter()
    verdict = decide(problem, name).verdicts[0]
    return verdict, time.perf_counter() - begin


def row(opened: Opened, norm: Norm, radius: str, count: int, limit: float) -> int:
    """One radius; returns the number of contradictions."""
    data, wrong, seen, opens = load("mnist", "test"), 0, 0, list[int]()
    found = {name: Counter[Status]() for name in SOLVERS}
    seconds = {name: list[float]() for name in SOLVERS}
    steps: Counter[str] = Counter()
    for index in range(len(data.images)):
        ball, label = (
            ball_set(Ball(norm, Fraction(radius)), data.images[index]),
            int(data.labels[index]),
        )
        if int(labels(opened.replayer.outputs(ball.base[None, :]))[0]) != label:
            continue
        seen += 1
        problem = Query(ball, Label(label), (opened,), Budget(limit))
        told = {name: asked(problem, name) for name in SOLVERS}
        for name, (verdict, _) in told.items():
            found[name][verdict.status] += 1
            wrong += verdict.disagreements
        steps[told["auto"][0].solver] += 1
        wrong += {Status.ROBUST, Status.NOT_ROBUST} <= {
            verdict.status for verdict, _ in told.values()
        }
        if told["bounds"][0].status is Status.UNKNOWN:
            opens.append(index)
            for name, (_, spent) in told.items():
                seconds[name].append(spent)
        if seen == count:
            break
    sys.stdout.write(
        f"{norm} {radius}: {seen} images, bounds leave {len(opens)} open; auto by {dict(steps)}\n"
    )
    for name in SOLVERS:
        counts = ", ".join(f"{status.value} {found[name][status]}" for status in Status)
        middle = (
            f"{statistics.median(seconds[name]):.2f} s in the median of the open ones"
            if opens
            else ""
        )
        sys.stdout.write(f"  {name:7} {counts:45} {middle}\n")
    sys.stdout.flush()
    return wrong


def main() -> int:
    """Exit code 1 for a contradiction."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network")
    parser.add_argument("--runtime")
    parser.add_argument("--norm", choices=("linf", "l1"), default="linf")
    parser.add_argument("--radius", nargs="+", default=["1/50", "1/30"])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--limit", type=float, default=20.0)
    given = parser.parse_args()
    threadpool_limits(1)
    network = load_network(
        given.network, image_shape=(28, 28, 1), classes=10, runtime=given.runtime
    )
    opened = Opened(network, open_network(network), open_network(network, batch=1))
    wrong = sum(
        row(opened, Norm(given.norm), radius, given.images, given.limit) for radius in given.radius
    )
    sys.stdout.write(f"{wrong} contradictions\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
