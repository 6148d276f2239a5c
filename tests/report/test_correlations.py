"""Permutation tests of rank correlations, against scipy and against all permutations."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import permutation_test, spearmanr

from relrob.domain.arrays import Doubles
from relrob.report.study.correlations import mantel, spearman
from relrob.report.study.judgement import Judgement

RNG = np.random.default_rng(8)


def scipys(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, float]:
    """Spearman's correlation and its p-value."""
    found: Any = spearmanr(one, other)
    return float(found.statistic), float(found.pvalue)


def test_few_networks_have_the_exact_p_value_of_scipy() -> None:
    one, other = RNG.random(6), RNG.random(6)
    found = spearman(one.tolist(), other.tolist())
    exact = permutation_test(
        (one,),
        lambda x: scipys(x, other)[0],
        permutation_type="pairings",
        n_resamples=10_000,
    )
    assert found.value == pytest.approx(exact.statistic)
    assert found.p == pytest.approx(exact.pvalue)


def test_many_networks_have_about_the_p_value_of_the_t_distribution() -> None:
    one = np.arange(10.0)
    other = one + RNG.normal(0, 4, 10)
    found, (value, p) = spearman(one.tolist(), other.tolist()), scipys(one, other)
    assert found.value == pytest.approx(value)
    assert found.p == pytest.approx(p, abs=0.02)
    assert found == spearman(one.tolist(), other.tolist())


def test_three_networks_decide_nothing_and_ten_in_order_do() -> None:
    assert spearman([1, 2, 3], [3, 2, 1]).judged(-1) is Judgement.OPEN
    falling = spearman(list(range(10)), list(range(10, 0, -1)))
    assert falling.value == pytest.approx(-1)
    assert falling.judged(-1) is Judgement.REPRODUCED
    assert falling.judged(+1) is Judgement.NOT
    assert "10 networks" in falling.text


def test_a_constant_has_no_correlation() -> None:
    found = spearman([1, 1, 1, 1], [1, 2, 3, 4])
    assert (found.value, found.p) == (0.0, 1.0)


def matrix(count: int) -> Doubles:
    values = RNG.random((count, count))
    np.fill_diagonal(values, 0)
    return values


def test_mantels_p_is_the_share_of_permutations_of_networks() -> None:
    first, second = matrix(5), matrix(5)
    off = ~np.eye(5, dtype=bool)
    here = scipys(first[off], second[off])[0]
    every = [
        scipys(first[np.ix_(order, order)][off], second[off])[0] for order in permutations(range(5))
    ]
    found = mantel(first, second)
    assert found.value == pytest.approx(here)
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(here) - 1e-9))


def test_one_outlier_among_the_networks_is_no_evidence_of_twelve_pairs() -> None:
    """Spearman's test of the pairs as if they were independent would say p < 0.001."""
    gaps = np.zeros((4, 4))
    gaps[3, :3] = gaps[:3, 3] = 1
    uers = 1 - gaps + 0.01 * matrix(4)
    off = ~np.eye(4, dtype=bool)
    assert scipys(gaps[off], uers[off])[1] < 0.001
    assert mantel(gaps, uers).judged(-1) is Judgement.OPEN


def test_cells_that_are_not_there_are_left_out() -> None:
    first, second = matrix(5), matrix(5)
    np.fill_diagonal(second, np.nan)
    whole = mantel(first, second)
    second[0, 1] = np.nan
    found = mantel(first, second)
    assert found.value != whole.value
    assert 0 < found.p <= 1
