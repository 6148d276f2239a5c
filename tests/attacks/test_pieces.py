"""Calls of a runtime: every candidate is run, with little padding."""

from __future__ import annotations

import pytest

from relrob.attacks.pieces import pieces

SIZES = [1, 4, 16, 64, 256, 1024]


def test_the_calls_hold_every_image_and_little_else() -> None:
    for count in range(1, 1025):
        split = pieces(count, 1024)
        assert sum(split) >= count > sum(split[:-1])
        above = next(size for size in SIZES if size >= count)
        assert sum(split) + 6 * len(split) <= above + 6


@pytest.mark.parametrize("most", [1, 3, 64, 1024])
def test_no_call_is_larger_than_the_largest_batch(most: int) -> None:
    for count in (0, 1, most, most + 1, 5 * most + 2):
        split = pieces(count, most)
        assert all(1 <= size <= most for size in split)
        assert sum(split) >= count
        assert (split == []) == (count == 0)
