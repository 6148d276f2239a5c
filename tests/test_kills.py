"""A few of the kills and interruptions that `python -m tests.kills` tries by the hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli_case import Case
from tests.kills import MOMENTS, interrupts, kills


def killed(case: Case, folder: Path, count: int) -> None:
    """In a directory and with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELROB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        told = kills(case, folder, count, seed=7)
    assert sum(told[moment] for moment in MOMENTS) >= count
    assert told["birth"] > 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_runs_that_were_killed_resume_to_the_same_files(case: Case, tmp_path: Path) -> None:
    killed(case, tmp_path, 4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_many_runs_that_were_killed_resume_to_the_same_files(case: Case, tmp_path: Path) -> None:
    killed(case, tmp_path, 100)


@pytest.mark.slow
def test_ctrl_c_at_random_moments_is_one_line(case: Case, tmp_path: Path) -> None:
    told = interrupts(case, tmp_path, 60)
    assert set(told) <= {"130", "ended before", "before Python itself was up"}
    assert told["130"] > 20
