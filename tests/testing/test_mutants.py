"""A few planted bugs are noticed by the tests; all can be planted.

All of them by hand: `python -m tests.mutants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants import CORE, MUTANTS, Mutant, copied, fails, killed, spoilt
from tests.mutants.planting import ROOT

QUICK = {
    "ties go to the last maximum": "tests/judging/test_folded.py::test_labels_are_first_maxima",
    "threshold halved": "tests/judging/test_thresholds.py::test_thin_is_up_to_the_threshold",
    "< for <= at the radius": (
        "tests/regions/test_ladder.py::test_a_cost_equal_to_the_radius_belongs_to_the_region"
    ),
    "transfer over the wrong network": (
        "tests/solvers/test_enumerate_ladder.py::test_counts_and_ties_in_cost_across_blocks"
    ),
    "replay skipped": (
        "tests/deciding/test_decide.py::test_a_false_witness_is_reported_and_never_a_verdict"
    ),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with copied() as made:
        yield made


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_can_still_be_planted(mutant: Mutant) -> None:
    """The place is there once, the file with the bug is still Python, and its tests exist."""
    compile(spoilt(mutant), mutant.file, "exec")
    assert mutant.old != mutant.new
    assert all((ROOT / test.partition("::")[0]).is_file() for test in mutant.tests)


def test_names_are_different() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) > 60
    assert {*QUICK} <= {mutant.name for mutant in MUTANTS}


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_noticed(name: str, folder: Path) -> None:
    mutant = next(each for each in MUTANTS if each.name == name)
    assert killed(replace(mutant, tests=(QUICK[name],)), folder)


def test_without_a_bug_the_same_tests_pass(folder: Path) -> None:
    assert not fails(tuple(QUICK.values()), folder)
    assert all((folder / name).is_file() for name in CORE)
