"""The size of the sample against the interval itself, and the time of an image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.audit.sample import images_for, sample, seconds_each, seconds_of
from relrob.errors import UsageError
from relrob.store.proportions import wilson


def widest(images: int) -> float:
    """Half of the widest Wilson interval of any count, in points."""
    ends = [wilson(count, images) for count in range(images + 1)]
    return max(100 * (high - low) / 2 for low, high in ends)


@pytest.mark.parametrize("points", [3.0, 5.0, 7.5, 10.0, 15.0, 20.0])
def test_the_sample_is_the_least_whose_interval_is_narrow_enough(points: float) -> None:
    images = images_for(points, 10**9)
    assert widest(images) <= points + 1e-9
    # Counts are whole numbers: with an odd number of images none is in the middle.
    assert max(widest(images - 1), widest(images - 2)) > points * 0.999


def test_a_sample_is_no_larger_than_the_data() -> None:
    assert images_for(10, 20) == 20
    for points in (0.0, 50.0, float("nan")):
        with pytest.raises(UsageError, match="interval"):
            images_for(points, 100)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 5))
def test_larger_samples_hold_smaller_ones(whole: int, count: int, seed: int) -> None:
    drawn = sample(count, whole, seed)
    assert len(set(drawn)) == len(drawn) == min(count, whole)
    assert list(drawn) == sorted(drawn) and all(0 <= index < whole for index in drawn)
    assert {*drawn} <= {*sample(count + 7, whole, seed)}


@given(st.floats(1, 10_000), st.integers(1, 64), st.integers(1, 5000))
def test_all_images_end_within_the_time(seconds: float, cores: int, images: int) -> None:
    each = seconds_each(seconds, cores, images)
    assert each == 0.1 or 2 * images * each / cores <= 0.8 * seconds + 1e-6


@pytest.mark.parametrize("text", ["", "m", "5 parsecs", "-5m", "0.5", "nan", "1e9h", "5mm"])
def test_a_time_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"try: --time 5m"):
        seconds_of(text)


def test_times() -> None:
    assert [seconds_of(text) for text in ("90s", "1.5m", "2h", " 7 ")] == [90, 90, 7200, 7]
