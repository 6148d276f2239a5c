"""Rates and distances against SciPy and loops over single examples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from scipy.spatial import distance

from relrob.attacks.metrics import Metrics, averaged, metrics_of, norms_of
from relrob.attacks.recognition import correlations, in_top, recognition
from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Norm
from relrob.errors import ShapeError


def images(count: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((count, width), dtype=np.float32)


def numbers(*values: int) -> Ints:
    return np.array(values, np.int64)


def test_rates_are_counts_of_single_examples() -> None:
    labels, found, targets = numbers(0, 1, 2, 3, 4), numbers(0, 2, 2, -1, 1), numbers(1, 2, 3, 4, 0)
    clean, adversarial = images(5, 6), images(5, 6, 1)
    one = metrics_of(labels, found, adversarial, clean)
    wrong = [f != y for f, y in zip(found, labels, strict=True)]
    assert (one.samples, one.evaded, one.succeeded, one.hit) == (5, sum(wrong), 3, None)
    assert one.adversarial_accuracy == pytest.approx(2 / 5)
    assert one.evasion_rate == pytest.approx(3 / 5)
    assert math.isnan(one.targeted_rate) and one.json()["targeted_rate"] is None
    aimed = metrics_of(labels, found, adversarial, clean, targets)
    assert (aimed.evaded, aimed.hit, aimed.succeeded) == (3, 1, 1)
    assert aimed.targeted_rate == pytest.approx(1 / 5)
    # Distances are over the examples that met the goal: image 1 alone.
    assert aimed.norms[Norm.L2].mean == pytest.approx(
        distance.euclidean(adversarial[1].astype(float), clean[1].astype(float))
    )


@pytest.mark.parametrize(
    ("norm", "theirs"),
    [
        (Norm.L1, distance.cityblock),
        (Norm.L2, distance.euclidean),
        (Norm.LINF, distance.chebyshev),
    ],
)
def test_distances_are_scipys_over_successes_alone(
    norm: Norm, theirs: Callable[..., float]
) -> None:
    clean, adversarial = images(7, 12), images(7, 12, 3)
    success = np.array([True, False, True, True, False, False, True])
    pairs = zip(adversarial[success].astype(float), clean[success].astype(float), strict=True)
    values = [theirs(a, b) for a, b in pairs]
    found = norms_of(adversarial, clean, success)[norm]
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.median == pytest.approx(statistics.median(values))
    assert found.least == pytest.approx(min(values))
    assert found.largest == pytest.approx(max(values))


def test_l0_counts_pixels_that_moved_by_more_than_a_millionth() -> None:
    clean = np.full((1, 4), 0.5, np.float32)
    moved = clean + np.array([[0, 5e-7, 3e-6, -0.25]], np.float32)
    assert norms_of(moved, clean, np.array([True]))[Norm.L0].mean == 2


def test_no_success_has_no_distance_and_no_number_in_json() -> None:
    found = metrics_of(numbers(1, 2), numbers(1, 2), images(2, 3), images(2, 3, 1))
    assert math.isnan(found.norms[Norm.L2].mean)
    assert found.json()["norms"]["linf"] == dict.fromkeys(("mean", "median", "least", "largest"))
    assert found.json()["evasion_rate"] == 0
    none = metrics_of(numbers(), numbers(), images(0, 3), images(0, 3))
    assert math.isnan(none.adversarial_accuracy) and math.isnan(none.evasion_rate)
    assert none.json()["evasion_rate_interval"] is none.json()["adversarial_accuracy"] is None


def test_the_interval_is_wilsons() -> None:
    labels, found = np.zeros(40, np.int64), np.arange(40) % 3
    told = metrics_of(labels, found, images(40, 2), images(40, 2, 1)).json()
    theirs = stats.binomtest(26, 40).proportion_ci(method="wilson")
    assert told["success"] == 26
    assert told["evasion_rate_interval"] == [
        pytest.approx(theirs.low, abs=1e-6),
        pytest.approx(theirs.high, abs=1e-6),
    ]


def test_impossible_counts_and_unequal_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="6 and None of 5"):
        Metrics(5, 6, None, {})
    with pytest.raises(ShapeError):
        metrics_of(numbers(1), numbers(1, 2), images(2, 3), images(2, 3))
    with pytest.raises(ShapeError):
        metrics_of(numbers(1, 2), numbers(1, 2), images(2, 3), images(2, 3), numbers(1))


def test_runs_are_averaged_with_the_sample_deviation() -> None:
    runs = [0.25, 0.5, 0.3]
    mean, spread = averaged(runs)
    assert [mean, spread] == pytest.approx([np.mean(runs), np.std(runs, ddof=1)])
    assert averaged([0.25])[0] == 0.25 and math.isnan(averaged([0.25])[1])
    assert all(map(math.isnan, averaged([])))


@settings(max_examples=60)
@given(some.integers(0, 2**32 - 1), some.floats(0.01, 1))
def test_correlations_are_scipys(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.random((4, 9), dtype=np.float32)
    other = (clean + noise * rng.standard_normal((4, 9))).astype(np.float32)
    theirs = [
        1 - float(str(distance.correlation(a.astype(float), b.astype(float))))
        for a, b in zip(other, clean, strict=True)
    ]
    assert correlations(other, clean) == pytest.approx(theirs, abs=1e-9)


def test_images_of_one_colour_are_recognised_where_nothing_changed() -> None:
    black, white = np.zeros((1, 5), np.float32), np.ones((1, 5), np.float32)
    assert correlations(black, black)[0] == 1
    assert correlations(white, black)[0] == correlations(images(1, 5), black)[0] == 0


def test_in_the_top_are_labels_that_few_outputs_exceed() -> None:
    outputs = np.random.default_rng(4).standard_normal((30, 6)).astype(np.float32)
    labels = np.arange(30) % 6
    for count in (1, 2, 6):
        expected = [
            sum(other > row[label] for other in row) < count
            for row, label in zip(outputs.tolist(), labels, strict=True)
        ]
        assert in_top(outputs, labels, count).tolist() == expected
    tie = np.array([[1, 1, 1]], np.float32)
    assert [bool(in_top(tie, numbers(label), 2)[0]) for label in range(3)] == [True, True, False]
    assert not in_top(np.full((1, 3), np.nan, np.float32), numbers(0), 2)[0]


def test_unrecognisable_successes_are_counted_and_left_out() -> None:
    """Image 0 is noise and succeeds; 1 is near and succeeds; 2 is noise and fails."""
    clean = images(3, 50)
    noise = images(3, 50, 9)
    adversarial = np.stack([noise[0], clean[1] * np.float32(0.9), noise[2]])
    outputs = np.array([[2, 3, 0], [0, 1, 9], [5, 1, 0]], np.float32)
    labels, success = numbers(0, 0, 0), np.array([True, True, False])
    found = recognition(adversarial, clean, outputs, labels, success)
    assert (found.count, found.in_top_2) == (1, 1)
    near = distance.euclidean(adversarial[1].astype(float), clean[1].astype(float))
    spread = found.norms[Norm.L2]
    assert [spread.mean, spread.median, spread.least] == pytest.approx([near] * 3)
    assert found.json()["count"] == 1
