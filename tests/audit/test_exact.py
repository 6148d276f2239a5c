"""McNemar's exact test against SciPy's binomial test."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from relrob.audit.exact import mcnemar


@pytest.mark.parametrize("total", [1, 2, 3, 7, 20, 61])
def test_every_split_of_a_few_images(total: int) -> None:
    for lost in range(total + 1):
        expected = binomtest(lost, total, 0.5).pvalue
        assert mcnemar(lost, total - lost) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("lost", "gained"), [(400, 520), (900, 1100), (2500, 2501), (40, 900)])
def test_many_images(lost: int, gained: int) -> None:
    expected = binomtest(lost, lost + gained, 0.5).pvalue
    assert mcnemar(lost, gained) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


def test_far_beyond_floats() -> None:
    assert mcnemar(0, 5000) == 0.0
    assert mcnemar(0, 1000) == pytest.approx(2.0**-999)


def test_no_change_is_no_evidence() -> None:
    assert mcnemar(0, 0) == 1.0
    with pytest.raises(ValueError, match="no counts"):
        mcnemar(-1, 3)
