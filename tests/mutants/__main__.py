"""All planted bugs, by hand (hours): `python -m tests.mutants --record FILE`, which resumes.

Those whose name holds a word: `python -m tests.mutants radius`; those of a file: `--file
PATH-PART`. Exit code 1 when one survives, 2 when tests fail without any of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.mutants import MUTANTS, Mutant, copied, fails, killed


def chosen(words: list[str], files: list[str]) -> list[Mutant]:
    """Those whose name holds every word, in files whose path holds one of `files`, or in any
    file."""
    return [
        mutant
        for mutant in MUTANTS
        if all(word in mutant.name for word in words)
        and (not files or any(part in mutant.file for part in files))
    ]


class Record:
    """What was found, line by line, in a file where one is given: an interrupted run resumes from
    it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        there = path is not None and path.is_file()
        self._lines = (
            path.read_text(encoding="utf-8").splitlines() if path is not None and there else []
        )

    def tell(self, line: str) -> None:
        self._lines.append(line)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def killed(self, mutant: Mutant) -> bool:
        return f"killed   {mutant.name}" in self._lines

    def seconds(self, tests: tuple[str, ...]) -> float | None:
        """The time that these tests took when they passed without any bug; None when they were not
        run."""
        passed = [line.split(" ", 2) for line in self._lines if line.startswith("pass ")]
        return next(
            (float(seconds) for _, seconds, names in passed if names == " ".join(tests)), None
        )


def main(words: list[str], files: list[str], path: Path | None) -> int:
    """Run those chosen, each after its tests passed without any bug, for up to five times as long
    as they took; tests that fail without any are named, and their bugs left out."""
    record, survivors, failing = Record(path), 0, set[str]()
    with copied() as folder:
        for mutant in chosen(words, files):
            if record.killed(mutant):
                continue
            seconds, tests = record.seconds(mutant.tests), " ".join(mutant.tests)
            if tests in failing:
                continue
            if seconds is None:
                start = time.monotonic()
                if fails(mutant.tests, folder, 3600):
                    sys.stderr.write(f"{tests}: fail without any planted bug; mend that first\n")
                    failing.add(tests)
                    continue
                seconds = time.monotonic() - start
                record.tell(f"pass {seconds:.1f} {tests}")
            dead = killed(mutant, folder, 300 + 5 * seconds)
            survivors += not dead
            record.tell(f"{'killed  ' if dead else 'SURVIVED'} {mutant.name}")
    return 2 if failing else 1 if survivors else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="plant bugs; the tests must notice"
    )
    parser.add_argument("words", nargs="*", help="all of them are in the name")
    parser.add_argument(
        "--file", action="append", default=[], help="part of the path; may be repeated"
    )
    parser.add_argument("--record", type=Path, help="what was killed: read to resume, and added to")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    raise SystemExit(main(given.words, given.file, given.record))
