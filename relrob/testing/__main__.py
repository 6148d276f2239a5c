"""Run random cases through every solver and report contradictions: python -m relrob.testing --cases
1000 --seed 0.

With `--files N` (or `--show NUMBER`, `--log FILE`) the cases are edited files instead:
`relrob.testing.files_main`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from threadpoolctl import threadpool_limits

from relrob import registry
from relrob.deciding.choose import solver_named
from relrob.networks.open import Opened
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet
from relrob.testing.cases import over_reals, random_case
from relrob.testing.files import quantised_files
from relrob.testing.files_main import main as files_main
from relrob.testing.suite import bound_complaints, complaints, order_complaints, truth

EVERY = 1_000


def solvers(names: str) -> dict[str, Solver[RungSet]]:
    """The solvers named, "all" for those of the registry, auto, and branch with leaves of two
    points."""
    chosen = (
        ["auto", *(entry.method for entry in registry.solvers("ladder"))]
        if names == "all"
        else names.split(",")
    )
    made = {name: solver_named(name) for name in chosen}
    if names == "all":
        made["branch, leaves of 2"] = registry.load("relrob_solvers.branch_ladder:Branch")(leaf=2)
    return made


def in_turn(asked: dict[str, Solver[RungSet]], number: int) -> dict[str, Solver[RungSet]]:
    """The first solver, and one of the others, each in its turn for every kind of case."""
    first, *others = asked
    chosen = [first, *others[number // 6 % len(others) :][:1]] if others else [first]
    return {name: asked[name] for name in chosen}


def check(
    seed: int,
    number: int,
    files: list[Opened],
    asked: dict[str, Solver[RungSet]],
    real: bool = False,
) -> tuple[str, list[str]]:
    """The case's kind, and what is wrong with the answers to it. `real`: float networks over the
    reals."""
    case = random_case(seed, number, files)
    case = over_reals(case) if real else case
    known = truth(case.problem)
    told = []
    for name, solver in asked.items():
        counts = number // 36 % 2 == 0
        told += [f"{name}: {each}" for each in complaints(solver, case, known, counts)]
        if number % 10 == 0:
            told += [f"{name}: {each}" for each in order_complaints(solver, case)]
    for which, opened in enumerate(case.problem.networks if number % 7 == 0 else ()):
        told += [f"bounds of network {which}: {each}" for each in bound_complaints(opened, case)]
    fooled = "".join("x" if known.wrong(which).any() else "-" for which in range(len(known.said)))
    return f"{case.name} {fooled}", told


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
    asked, kinds, wrong = solvers(given.solvers), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="relrob-testing-") as folder:
        files = [] if given.no_files else quantised_files(Path(folder), given.seed)
        begin = time.monotonic()
        for number in range(given.first, given.first + given.cases):
            turn = in_turn(asked, number) if given.rotate else asked
            kind, told = check(given.seed, number, files, turn, given.real)
            kinds[kind] += 1
            wrong += len(told)
            for each in told:
                sys.stdout.write(f"case {number} ({kind}): {each}\n")
            if (number + 1 - given.first) % EVERY == 0:
                sys.stdout.write(
                    f"{number + 1 - given.first} cases, {time.monotonic() - begin:.0f} s\n"
                )
                sys.stdout.flush()
        seconds = time.monotonic() - begin
    shown = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    sys.stdout.write(f"kinds (x: fooled, -: robust; reference, quantised): {shown}\n")
    sys.stdout.write(
        f"seed {given.seed}: {given.cases} cases, {len(asked)} solvers ({', '.join(asked)}), "
    )
    sys.stdout.write(f"{seconds:.0f} s, {wrong} contradictions\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
