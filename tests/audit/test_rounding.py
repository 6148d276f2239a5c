"""The largest values of groups of weights, whatever the groups are."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.audit.rounding import largest_of
from relrob.networks.weighted import Stored

ROWS, COLUMNS = np.indices((4, 6))


@pytest.mark.parametrize(
    "groups", [0 * ROWS, ROWS, COLUMNS, ROWS % 2, COLUMNS // 3 + 2 * ROWS, (ROWS + COLUMNS) % 4]
)
def test_the_largest_of_each_group_by_hand(groups: np.ndarray) -> None:
    count = int(groups.max()) + 2
    codes = np.zeros(groups.shape, np.int64)
    stored = Stored(codes, np.ones(count), np.zeros(count, np.int64), groups, -128, 127, "int8")
    values = np.random.default_rng(3).standard_normal(groups.shape)
    found = largest_of(stored, values)
    for group in range(count):
        inside = [abs(v) for v, g in zip(values.ravel(), groups.ravel(), strict=True) if g == group]
        assert found[group] == max(inside, default=0.0)
    assert largest_of(stored, codes).tolist() == [0.0] * count
    wide = largest_of(stored, np.where(groups == 0, -7, 3))
    assert wide.tolist() == [7.0, *[3.0] * (count - 2), 0.0]
