"""Orders of classes against every order, tables against loops, and what chance gives."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from relrob.audit.classes import Permutation, confusion, constant, permutation, renamed, skill
from relrob.audit.faults_by_runs import constant_output
from relrob.audit.pair_report import PairReport, Side
from relrob.domain.arrays import Ints


def noisy(order: tuple[int, ...], count: int, errors: float, seed: int = 0) -> tuple[Ints, Ints]:
    """Labels, and those of a network whose class i is class `order[i]`, some of them wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(order), count)
    other = np.argsort(order)[labels]
    wrong = rng.random(count) < errors
    other[wrong] = rng.integers(0, len(order), int(wrong.sum()))
    return labels, other


@pytest.mark.parametrize("seed", range(8))
def test_the_order_is_the_best_of_all(seed: int) -> None:
    order = tuple(int(at) for at in np.random.default_rng(seed).permutation(5))
    first, second = noisy(order, 200, 0.1, seed)
    found = permutation(first, second, 5)
    agreed = {each: int((np.array(each)[second] == first).sum()) for each in permutations(range(5))}
    best = max(agreed, key=lambda each: agreed[each])
    if best == (0, 1, 2, 3, 4):
        assert found is None
        return
    assert found is not None and found.order == best == order
    assert (renamed(second, found) == first).sum() == agreed[best]
    assert found.before == (first == second).mean()
    assert found.moved == tuple(sorted((row, at) for at, row in enumerate(order) if row != at))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("classes", "count"), [(10, 12), (10, 40), (3, 9), (2, 30), (10, 1000)])
def test_labels_by_chance_have_no_order(seed: int, classes: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, classes, (2, count))
    assert permutation(first, second, classes) is None
    assert permutation(first, np.full(count, 1), classes) is None


def test_a_few_errors_are_no_order() -> None:
    first, second = noisy((0, 1, 2, 3), 400, 0.3)
    assert permutation(first, second, 4) is None
    # Two classes that a network confuses are not swapped.
    mixed = first.copy()
    mixed[first == 2] = np.random.default_rng(1).integers(2, 4, int((first == 2).sum()))
    assert permutation(first, mixed, 4) is None


def test_one_label_for_most_images_is_no_order() -> None:
    """On noise one network says 5 nearly always, and the other 11."""
    rng = np.random.default_rng(0)
    first, second = np.full(300, 5), np.full(300, 11)
    for labels in (first, second):
        labels[rng.choice(300, 54, replace=False)] = rng.integers(0, 12, 54)
    assert permutation(first, second, 12) is None
    assert (first == np.where(second == 11, 5, second)).mean() > 0.6


def test_two_classes_that_moved_are_not_always_swapped() -> None:
    found = Permutation(((5, 11), (11, 9)), 0.1, 0.9, ())
    assert found.text == "classes are permuted (5 -> 11, 11 -> 9)"


def test_classes_without_images_stay() -> None:
    first, second = noisy((1, 0, 2), 100, 0.0)
    found = permutation(first, second, 6)
    assert found is not None and found.order == (1, 0, 2, 3, 4, 5)
    assert found.text == "classes 0 and 1 are swapped"


def test_confusion_is_a_count() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(-1, 4, (2, 300))
    table = confusion(first, second, 4)
    for one in range(4):
        for other in range(4):
            assert table[one, other] == sum(
                a == one and b == other for a, b in zip(first, second, strict=True)
            )


def test_one_label_for_all() -> None:
    spread = np.arange(100) % 10
    same = np.full(100, 4)
    assert constant(same, spread) == (4, 1.0)
    same[:2] = 5
    assert constant(same, spread) == (4, 0.98)
    same[:3] = 5
    assert constant(same, spread) is None
    # Images of one class have one label.
    assert constant(np.full(100, 4), np.full(100, 4)) is None
    assert constant(np.array([4]), np.array([5])) is None


def test_skill_is_what_chance_does_not_give() -> None:
    truth = np.array([0] * 6 + [1] * 4)
    assert skill(truth, truth) == 1.0
    assert skill(np.zeros(10, np.int64), truth) == 0.0
    assert skill(np.array([0] * 6 + [1] * 2 + [0] * 2), truth) == pytest.approx(0.5)
    assert skill(np.zeros(3, np.int64), np.zeros(3, np.int64)) == 1.0


def sides(reference: list[int], quantised: list[int]) -> PairReport:
    """A pair of which each network gives so many of 100 images each of five labels; 20 images are
    of each class."""
    none, both = np.zeros(100, bool), []
    for role, counts in (("reference", reference), ("quantised", quantised)):
        given = np.repeat(np.arange(5), counts)
        both.append(Side(f"{role}.onnx", role, "qdq", "onnxruntime", given, none))
    return PairReport(both[0], both[1], np.arange(100) % 5, 5, np.ones(100))


@pytest.mark.parametrize(
    ("reference", "quantised", "name", "sentence"),
    [
        ([95, 5, 0, 0, 0], [99, 1, 0, 0, 0], "undertrained-reference", "the reference gives 95.0"),
        ([99, 1, 0, 0, 0], [99, 1, 0, 0, 0], "undertrained-reference", "the reference gives 99.0"),
        # What the quantised network lost is its own fault.
        ([20] * 5, [99, 1, 0, 0, 0], "constant-output", "the quantised network gives 99.0"),
        ([80, 5, 5, 5, 5], [99, 1, 0, 0, 0], "constant-output", "the quantised network gives"),
        ([0, 95, 5, 0, 0], [99, 1, 0, 0, 0], "constant-output", "the quantised network gives"),
        ([99, 1, 0, 0, 0], [20] * 5, "constant-output", "the reference gives 99.0"),
    ],
)
def test_one_label_for_all_is_told_of_the_network_that_has_it_first(
    reference: list[int], quantised: list[int], name: str, sentence: str
) -> None:
    (found,) = constant_output(sides(reference, quantised))
    assert found.id == name
    assert found.sentence.startswith(sentence)


def test_a_skilled_reference_of_one_frequent_class_is_trained() -> None:
    truth = np.repeat(np.arange(2), (88, 12))
    none = np.zeros(100, bool)
    one, other = (
        Side(f"{at}.onnx", str(at), "qdq", "onnxruntime", labels, none)
        for at, labels in enumerate((np.repeat(np.arange(2), (92, 8)), np.zeros(100, np.int64)))
    )
    (found,) = constant_output(PairReport(one, other, truth, 2, np.ones(100)))
    assert found.id == "constant-output"
