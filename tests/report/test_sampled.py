"""Figures of samples of images: their variance is the one that drawing other images shows."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.domain.arrays import Doubles, Ints
from relrob.report.study.sampled import (
    Sampled,
    averaged,
    combined,
    covariances,
    lifted,
    mean_of,
    ratio,
)

RNG = np.random.default_rng(2)
PLACES = np.arange(400)


def sample(each: Doubles, places: Ints = PLACES, dataset: str = "mnist") -> Sampled:
    found = mean_of(dataset, places, each)
    assert found is not None
    return found


def variance(figure: Sampled) -> float:
    return float(covariances([figure])[0, 0])


def test_a_rate_has_the_variance_of_the_binomial() -> None:
    each = (RNG.random(400) < 0.3).astype(float)
    share = each.mean()
    assert variance(sample(each)) == pytest.approx(share * (1 - share) / 400)


def test_images_that_do_not_count_have_no_pull() -> None:
    each = np.array([1.0, np.nan, 0.0, np.nan])
    found = sample(each, np.array([7, 1, 3, 2]))
    assert found.value == 0.5
    assert found.pulls["mnist"].places.tolist() == [7, 3]
    assert mean_of("mnist", PLACES[:2], np.array([np.nan, np.nan])) is None


def test_a_difference_on_the_same_images_has_the_variance_of_pairs() -> None:
    one = RNG.random(400)
    other = one + 0.01 * RNG.random(400)
    paired = combined([(1.0, sample(other)), (-1.0, sample(one))])
    assert paired.value == pytest.approx((other - one).mean())
    assert variance(paired) == pytest.approx((other - one).var() / 400)
    # Of other images, or of another data set, both variances count.
    apart = (one.var() + other.var()) / 400
    for stranger in (sample(other, PLACES + 1000), sample(other, dataset="cifar10")):
        unpaired = combined([(1.0, stranger), (-1.0, sample(one))])
        assert variance(unpaired) == pytest.approx(apart)


def test_places_need_no_order() -> None:
    one, other = RNG.random(400), RNG.random(400)
    order = RNG.permutation(400)
    mixed = combined([(1.0, sample(one[order], PLACES[order])), (-1.0, sample(other))])
    straight = combined([(1.0, sample(one)), (-1.0, sample(other))])
    assert variance(mixed) == pytest.approx(variance(straight))


def test_a_ratio_has_the_variance_that_a_bootstrap_shows() -> None:
    below = 2 + RNG.random(400)
    above = below * (0.5 + 0.2 * RNG.random(400))
    found = ratio(sample(above), sample(below))
    assert found.value == pytest.approx(above.mean() / below.mean())
    draws = RNG.integers(0, 400, (4000, 400))
    shares = above[draws].mean(axis=1) / below[draws].mean(axis=1)
    assert variance(found) == pytest.approx(shares.var(), rel=0.15)


def test_covariances_are_those_of_shared_images_alone() -> None:
    one = RNG.random(400)
    half = sample(one[200:], PLACES[200:])
    table = covariances([sample(one), half, lifted(3.0)])
    assert table[2].tolist() == [0.0, 0.0, 0.0]
    shared = ((one[200:] - one.mean()) * (one[200:] - one[200:].mean())).sum() / (400 * 200)
    assert table[0, 1] == pytest.approx(shared)


def test_a_mean_of_figures_adds_their_pulls() -> None:
    one, other = RNG.random(400), RNG.random(400)
    found = averaged([sample(one), sample(other)])
    assert found.value == pytest.approx((one.mean() + other.mean()) / 2)
    assert variance(found) == pytest.approx(((one + other) / 2).var() / 400)
