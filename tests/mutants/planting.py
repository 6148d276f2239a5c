"""A planted bug, and the copy of the source tree that it is planted in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A failure is enough: no time for a smaller example, and the same examples each time.
QUICK = """
from hypothesis import Phase, settings
settings.register_profile(
    "mutants",
    settings.get_profile("busy"),
    phases=[Phase.generate],
    derandomize=True,
    database=None,
)
settings.load_profile("mutants")
"""
CORE = (
    "tests/solvers/test_soundness.py",
    "tests/judging/test_certainty.py",
    "tests/judging/test_thresholds.py",
    "tests/judging/test_folded.py",
    "tests/regions/test_ladder.py",
    "tests/solvers/test_enumerate_ladder.py",
    "tests/deciding/test_decide.py",
)


@dataclass(frozen=True)
class Mutant:
    """`old`, which occurs once in `file`, becomes `new`; `tests` that must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = CORE


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the packages and tests that may be spoilt, and of what the tests read."""
    with tempfile.TemporaryDirectory(prefix="relrob-mutants-") as name:
        folder, ignored = Path(name), shutil.ignore_patterns("__pycache__", "*.gz")
        for part in ("relrob", "solvers", "tests", "datasets", "docs", "reports", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for archive in (ROOT / "datasets").rglob("*.gz"):
            (folder / archive.relative_to(ROOT)).symlink_to(archive)
        for path in (*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"):
            shutil.copy(path, folder)
        with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(QUICK)
        yield folder


def spoilt(mutant: Mutant) -> str:
    """The text of the file with the bug in it.

    Raises:
        ValueError: the place is not there exactly once.
    """
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} occurs {text.count(mutant.old)} times in {mutant.file}"
        )
    return text.replace(mutant.old, mutant.new)


def fails(tests: tuple[str, ...], folder: Path, seconds: float = 300) -> bool:
    """Does one of these tests fail, or take longer, in the copy?

    Raises:
        RuntimeError: the tests cannot be run.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", *tests]
    # The folder beside the tree is not beside the copy.
    data = {"RELROB_SHARED_DATA": str(ROOT.parent / "shared" / "data")}
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env=data | os.environ,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (0, 1):
        raise RuntimeError(
            f"pytest ended with {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        )
    return run.returncode == 1


def killed(mutant: Mutant, folder: Path, seconds: float = 300) -> bool:
    """Do the tests fail with this bug, or take longer? Puts the file back."""
    target = folder / mutant.file
    target.write_text(spoilt(mutant), encoding="utf-8")
    try:
        return fails(mutant.tests, folder, seconds)
    finally:
        shutil.copy(ROOT / mutant.file, target)
