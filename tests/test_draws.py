"""Tests that draw from a generator of their module draw the same, in whatever order they run."""

from __future__ import annotations

import numpy as np
import pytest

RNG = np.random.default_rng(12)
FIRST = np.random.default_rng(12).random(3)


@pytest.mark.parametrize("_again", range(2))
def test_each_test_draws_from_the_start(_again: int) -> None:
    np.testing.assert_array_equal(RNG.random(3), FIRST)
