"""Which networks may carry a claim."""

from __future__ import annotations

import pytest

from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import KEPT, Bar, cifar_bar, together, trained, whole
from relrob.report.study.stage_rows import Rows

CLAIM = PaperClaim("1. so it is", Judgement.REPRODUCED, "numbers")


def rows(**accuracies: dict[int, float]) -> Rows:
    return Rows(
        {
            name: [{"seed": seed, "accuracy": value} for seed, value in each.items()]
            for name, each in accuracies.items()
        }
    )


def test_a_dense_network_must_reach_its_bar() -> None:
    for accuracy, says in ((0.71, Judgement.REPRODUCED), (0.69, Judgement.OPEN)):
        found = trained(CLAIM, rows(dense={0: 0.9, 1: accuracy}), [Bar("dense", 0.7)])
        assert found.judgement is says
    assert found.why == "under-trained (dense: clean accuracy 0.690, below 0.700); numbers"


def test_a_compressed_network_is_measured_by_the_dense_one_of_its_seed() -> None:
    """0.1 is chance: of a dense 0.9 it must keep 0.1 + 0.8 * 0.8."""
    bars = [Bar("small", dense="dense")]
    dense = {0: 0.9, 1: 0.5}
    assert KEPT == 0.8
    for small, says in (
        ({0: 0.75, 1: 0.43}, Judgement.REPRODUCED),
        ({0: 0.73, 1: 0.43}, Judgement.OPEN),
        ({0: 0.75, 1: 0.41}, Judgement.OPEN),
    ):
        assert trained(CLAIM, rows(dense=dense, small=small), bars).judgement is says


def test_axes_pick_the_networks_that_a_claim_rests_on() -> None:
    some = [{"seed": 0, "compress": "q:4:1", "accuracy": 0.2}]
    some += [{"seed": 0, "compress": "q:8:2", "accuracy": 0.9}]
    made = Rows({"net": some})
    assert trained(CLAIM, made, [Bar("net", 0.5, axes={"compress": "q:8:2"})]) == CLAIM
    assert trained(CLAIM, made, [Bar("net", 0.5)]).judgement is Judgement.OPEN


def test_groups_without_rows_stop_no_claim() -> None:
    assert trained(CLAIM, Rows({}), [Bar("dense", 0.7), Bar("small", dense="dense")]) == CLAIM


@pytest.mark.parametrize(("published", "bar"), [(0.8593, 0.669), (0.9402, 0.730), (0.9125, 0.709)])
def test_the_bars_of_cifar(published: float, bar: float) -> None:
    assert cifar_bar(published) == pytest.approx(bar, abs=0.001)


def test_one_case_that_is_not_there_leaves_a_claim_open() -> None:
    assert whole("x", [("a", None, Judgement.OPEN)]).why == "no rows"
    assert together([Judgement.REPRODUCED], 2) is Judgement.OPEN
    assert together([Judgement.REPRODUCED, Judgement.NOT], 2) is Judgement.NOT
    assert together([], 0) is Judgement.OPEN
