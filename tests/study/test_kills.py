"""A few of the kills and interruptions that `python -m tests.kills` tries by the hundred."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT


def tried(what: str, count: int) -> dict[str, int]:
    """How often each thing came of it: in a process of its own, since it forks, which this one's
    threads may not outlive."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "solvers", "datasets"))
    command = [sys.executable, "-m", "tests.kills", what, str(count), "7"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (line.strip().partition(" ") for line in done.stdout.splitlines())
    return {sort: int(times) for times, _, sort in lines}


def test_runs_that_were_killed_resume_to_the_same_files() -> None:
    told = tried("kill", 4)
    assert told["birth"] and told["birth"] + told.get("any", 0) + told.get("files", 0) >= 4


@pytest.mark.slow
def test_many_runs_that_were_killed_resume_to_the_same_files() -> None:
    told = tried("kill", 100)
    assert min(told["birth"], told["any"], told["files"]) > 10
    assert told["birth"] + told["any"] + told["files"] >= 100


@pytest.mark.slow
def test_ctrl_c_at_random_moments_is_one_line() -> None:
    told = tried("interrupt", 60)
    assert set(told) <= {"130", "ended before", "before Python itself was up"}
    assert told["130"] > 20
