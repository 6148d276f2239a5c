"""Which images are attacked: filters, draws and targets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from relrob.attacks.selection import Filter, drawn, first, targets_of
from relrob.errors import UsageError

SOURCE = np.array([True, True, False, False])
TARGET = np.array([True, False, True, False])


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("none", [True, True, True, True]),
        ("source_correct", [True, True, False, False]),
        ("both-correct", [True, False, False, False]),
    ],
)
def test_a_filter_keeps_those_that_networks_label_rightly(word: str, kept: list[bool]) -> None:
    assert Filter.of(word).kept(SOURCE, TARGET).tolist() == kept


def test_an_unknown_filter_is_told_the_words() -> None:
    with pytest.raises(UsageError, match="none, source_correct, both_correct"):
        Filter.of("target_correct")


def test_a_draw_has_no_image_twice_and_keeps_the_order() -> None:
    candidates = np.arange(100, 300) * 7
    found = drawn(candidates, 50, 3)
    assert len(set(found.tolist())) == 50
    assert found.tolist() == sorted(found.tolist()) and set(found) <= set(candidates)
    assert found.tolist() == drawn(candidates, 50, 3).tolist()
    assert found.tolist() != drawn(candidates, 50, 4).tolist()


def test_each_candidate_is_drawn_as_often_as_another() -> None:
    """2,000 draws of 3 of 6: each of them in about half (a deviation of 22 images is one sigma)."""
    counts = Counter(int(each) for seed in range(2000) for each in drawn(np.arange(6), 3, seed))
    assert all(abs(count - 1000) < 5 * 22.4 for count in counts.values())


def test_too_large_a_draw_is_refused() -> None:
    with pytest.raises(UsageError, match="5 images of 4 that may be attacked; accepted: up to 4"):
        drawn(np.arange(4), 5, 0)
    wrong: Any
    for wrong in (0, 2.5, True, "2"):
        with pytest.raises(UsageError, match=f"sample of {wrong}; accepted: a whole number"):
            drawn(np.arange(4), wrong, 0)


def test_the_first_are_those_of_least_index() -> None:
    rng = np.random.default_rng(1)
    kept, indices = rng.random(50) < 0.6, rng.permutation(200)[:50]
    for most in (1, 7, 30, 100):
        wanted = sorted(indices[kept].tolist())[:most]
        assert sorted(indices[first(kept, indices, most)].tolist()) == wanted
    assert first(kept, indices, None).tolist() == kept.tolist()


def test_targets() -> None:
    labels, least = np.array([0, 1, 2, 2]), np.array([1, 0, 0, 1])
    assert targets_of("next", labels, 3, least, 0).tolist() == [1, 2, 0, 0]
    assert targets_of("least", labels, 3, least, 0).tolist() == least.tolist()
    assert targets_of("2", labels, 3, least, 0).tolist() == [2, 2, 2, 2]
    many = np.arange(3000) % 3
    random = targets_of("random", many, 3, many, 5)
    assert not (random == many).any() and set(random.tolist()) == {0, 1, 2}
    assert random.tolist() == targets_of("random", many, 3, many, 5).tolist()
    assert random.tolist() != targets_of("random", many, 3, many, 6).tolist()


def test_a_target_by_name() -> None:
    """A name that is a number is a name; the words stand for themselves."""
    labels, names = np.array([0, 1, 2]), ("cat", "0", "next")
    for text, wanted in (("cat", [0] * 3), ("0", [1] * 3), ("2", [2] * 3), ("next", [1, 2, 0])):
        assert targets_of(text, labels, 3, labels, 0, names).tolist() == wanted
    with pytest.raises(UsageError, match="least, or a class name: cat, 0, next"):
        targets_of("dog", labels, 3, labels, 0, names)


@pytest.mark.parametrize("text", ["3", "-1", "one", "", "1.0", "9" * 30])
def test_targets_that_are_no_label_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a label 0\.\.2, next, random or least"):
        targets_of(text, np.array([0]), 3, np.array([0]), 0)
