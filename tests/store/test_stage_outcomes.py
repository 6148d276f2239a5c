"""What became of each image: back from the file as it was, and as the values of a row's columns."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.errors import StoreError
from relrob.store.stage_outcomes import Outcomes, decode

MADE = Outcomes(
    "mnist",
    np.array([3, 5, 8, 9]),
    right=np.array([True, False, False, False]),
    hit=np.array([False, True, False, False]),
    before=np.array([True, True, False, True]),
    success=np.array([False, True, True, True]),
    lost=np.array([False, False, False, True]),
    l0=np.array([9, 1, 2, 3], np.float32),
    l2=np.array([9, 0.5, 1.5, 4], np.float32),
    linf=np.array([1, 0.25, 0.5, 1], np.float32),
)


@pytest.mark.parametrize(
    ("metric", "mean"),
    [
        ("adversarial_accuracy", 1 / 4),
        ("evasion_rate", 3 / 4),
        ("targeted_rate", 1 / 4),
        ("transfer_rate", 2 / 3),
        ("l0", 2.0),
        ("l2", 2.0),
        ("linf", 1.75 / 3),
        ("unrecognisable", 1 / 3),
        ("l2_recognisable", 1.0),
    ],
)
def test_the_mean_of_each_column(metric: str, mean: float) -> None:
    each = MADE.each(metric)
    assert each is not None
    assert np.nanmean(each) == pytest.approx(mean)


def test_a_column_that_is_no_mean_over_images_has_none() -> None:
    assert MADE.each("queries") is None


def test_the_file_gives_the_same_back() -> None:
    back = decode(MADE.encode(), "here")
    for name, value in vars(MADE).items():
        assert np.array_equal(getattr(back, name), value), name
    assert back.encode() == MADE.encode()


def test_damage_is_one_line() -> None:
    data = MADE.encode()
    for broken in (b"", data[:100], data.replace(b"places", b"spaces")):
        with pytest.raises(StoreError, match=r"here is damaged.*run the stage again"):
            decode(broken, "here")


def test_other_lengths_are_refused() -> None:
    with pytest.raises(StoreError, match="one entry an image"):
        Outcomes(**{**vars(MADE), "l2": np.zeros(3, np.float32)})
