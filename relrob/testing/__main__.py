"""The command `python -m relrob.testing --cases 1000`: random cases through every solver.

It reports contradictions. Of N cases every other one is a ladder, whose number is half of the
case's; the others are balls and lattices. With `--files N` (or `--show NUMBER`, `--log FILE`) the
cases are edited files instead: `relrob.testing.files_main`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from relrob.domain.verdict import Status
from relrob.testing.asked import Asked, asked
from relrob.testing.files import quantised_files
from relrob.testing.files_main import main as files_main
from relrob.testing.rounds import Outcome, Setting, ball_round, ladder_round

EVERY: Final = 1_000
# The shape of the files of whose balls every float32 image is run.
SMALL: Final = (2, 2, 1)


@dataclass
class Sum:
    """The sum over all cases: cases by region and kind, and verdicts by solver and region."""

    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    answers: dict[tuple[str, str], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    wrong: int = 0

    def add(self, region: str, outcome: Outcome) -> None:
        """One case more."""
        self.kinds[region][outcome.kind] += 1
        self.wrong += len(outcome.told)
        for name, answers in outcome.answers.items():
            self.answers[name, region].update(answers)

    def answered(self, name: str) -> int:
        """The number of questions, one a network, that a class of solvers answered, with any
        settings."""
        return sum(
            answers.total()
            for (solver, _), answers in self.answers.items()
            if solver.split(",")[0] == name
        )

    def lines(self) -> list[str]:
        """As printed."""
        found = [
            f"{region}, {kinds.total()} cases (x: wrong somewhere, -: right; reference, "
            "quantised): " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
            for region, kinds in self.kinds.items()
        ]
        for (name, region), answers in self.answers.items():
            shown = ", ".join(f"{status} {answers[status]}" for status in Status)
            found.append(f"{name}, {region}: {answers.total()} questions, {shown}")
        return found


def regions(solvers: Asked) -> tuple[str, ...]:
    """Those for which there is a solver."""
    return tuple(
        name for name, some in (("ladders", solvers.ladders), ("balls", solvers.balls)) if some
    )


def run(setting: Setting, first: int, cases: int) -> Sum:
    """Cases `first` and those that follow, ladders and balls by turns."""
    total, begin, kinds = Sum(), time.monotonic(), regions(setting.asked)
    for number in range(first, first + cases):
        region, own = kinds[number % len(kinds)], number // len(kinds)
        if region == "ladders":
            outcome = ladder_round(setting, own, setting.asked.ladders)
        else:
            outcome = ball_round(setting, own, setting.asked.balls)
        total.add(region, outcome)
        for each in outcome.told:
            sys.stdout.write(f"case {number} ({region} {own}, {outcome.kind}): {each}\n")
        if outcome.told or (number + 1 - first) % EVERY == 0:
            sys.stdout.write(
                f"{number + 1 - first} cases, {time.monotonic() - begin:.0f} s, {total.wrong} "
                "contradictions\n"
            )
            sys.stdout.flush()
    return total


def main(arguments: list[str]) -> int:
    """Exit code 1 when there is a contradiction."""
    if any(each.partition("=")[0] in ("--files", "--show", "--log") for each in arguments):
        return files_main(arguments)
    parser = argparse.ArgumentParser(prog="python -m relrob.testing", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--solvers", default="all", help="all, or names separated by commas")
    parser.add_argument(
        "--rotate",
        action="store_true",
        help="a case is for the first solver and one of the others, in turn",
    )
    parser.add_argument(
        "--no-files", action="store_true", help="float networks only: does not import TensorFlow"
    )
    parser.add_argument(
        "--real", action="store_true", help="float networks over the reals, not in float32"
    )
    given = parser.parse_args(arguments)
    threadpool_limits(1)
    solvers = asked(() if given.solvers == "all" else given.solvers.split(","))
    with tempfile.TemporaryDirectory(prefix="relrob-testing-") as name:
        folder = Path(name)
        large, small = (
            [] if given.no_files else quantised_files(folder, given.seed, shape=shape)
            for shape in ((6, 6, 1), SMALL)
        )
        begin = time.monotonic()
        setting = Setting(given.seed, solvers, folder, large, small, given.rotate, given.real)
        total = run(setting, given.first, given.cases)
        seconds = time.monotonic() - begin
    sys.stdout.write("".join(f"{line}\n" for line in total.lines()))
    silent = [each for each in solvers.classes if not total.answered(each)]
    shown = (
        f"{len(solvers.classes) - len(silent)} of {len(solvers.classes)} solver classes answered"
    )
    sys.stdout.write(f"{shown} ({', '.join(solvers.classes)})")
    sys.stdout.write(f"; not asked: {', '.join(silent)}\n" if silent else "\n")
    sys.stdout.write(
        f"seed {given.seed}: {given.cases} cases, {seconds:.0f} s, {total.wrong} contradictions\n"
    )
    return 1 if total.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
