"""The noise of logits, planted and measured."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.audit.kinship import Kinship, as_probabilities, divergence, kinship, log_margins
from relrob.domain.arrays import Doubles, Floats


def logits(count: int = 3000, seed: int = 0) -> Doubles:
    """Logits of ten classes whose differences spread by about 1 within a class."""
    rng = np.random.default_rng(seed)
    found: Doubles = rng.normal(0, 0.7, (count, 10))
    found[np.arange(count), rng.integers(0, 10, count)] += 3.0
    return found


def soft(values: Doubles) -> Doubles:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    found: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return found


def single(values: Doubles) -> Floats:
    return values.astype(np.float32)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("slope", [0.8, 1.0, 1.1])
def test_planted_noise_and_slope_are_found(noise: float, slope: float) -> None:
    one = logits()
    spread = np.median([np.std(one[one.argmax(1) == c], axis=0)[(c + 1) % 10] for c in range(10)])
    other = slope * one + np.random.default_rng(7).normal(0, noise * spread, one.shape)
    found = kinship(single(one), single(other))
    assert found is not None
    # A difference of two logits has the noise and the spread of two.
    assert found.noise == pytest.approx(noise, rel=0.25)
    assert found.slope == pytest.approx(slope, abs=4 * found.slope_error + 0.01)


@pytest.mark.parametrize("grid", [256, 32768])
def test_probabilities_give_the_noise_of_their_logits(grid: int) -> None:
    one = logits()
    other = one + np.random.default_rng(7).normal(0, 0.05, one.shape)
    plain = kinship(single(one), single(other))
    smooth = kinship(single(soft(one)), single(soft(other)))
    steps = kinship(single(soft(one)), single(np.rint(soft(other) * grid) / grid))
    assert plain is not None and smooth is not None and steps is not None
    assert smooth.noise == pytest.approx(plain.noise, rel=0.02)
    assert steps.noise == pytest.approx(plain.noise, abs=0.03)
    assert steps.slope == pytest.approx(1, abs=0.02)


def test_a_number_added_to_all_logits_of_an_image_counts_not() -> None:
    one = logits()
    moved = one + np.random.default_rng(2).normal(0, 5, (len(one), 1))
    found = kinship(single(one), single(moved))
    assert found is not None and found.noise < 1e-4 and abs(found.slope - 1) < 1e-4


def test_too_few_images_say_nothing() -> None:
    one = logits(4)
    assert kinship(single(one), single(one)) is None
    # Sure of every image: no class comes near.
    sure = 50 * np.eye(10)[np.arange(400) % 10]
    assert kinship(single(sure), single(sure)) is None


def test_what_is_no_number_is_left_out() -> None:
    one = logits()
    other = one.copy()
    other[:100] = np.nan
    found = kinship(single(one), single(other))
    assert found is not None and found.noise < 1e-6


@pytest.mark.parametrize(
    ("noise", "slope", "error", "name"),
    [
        (0.034, 1.00, 0.001, ""),  # 8 bits, measured
        (0.127, 0.985, 0.006, ""),  # the noisiest faithful one
        (0.1, 0.95, 0.001, "stale-weights"),
        (0.1, 0.95, 0.01, ""),
        (0.04, 0.90, 0.001, ""),
        (0.19, 1.0, 0.001, "stale-weights"),
        (0.281, 0.868, 0.01, "another-network"),
        (0.1, 0.01, 0.01, "another-network"),
    ],
)
def test_the_verdict(noise: float, slope: float, error: float, name: str) -> None:
    assert Kinship(noise, slope, error, 1000).verdict == name


def test_margins_of_logits_and_of_probabilities_are_the_same() -> None:
    one = logits(50)
    top = np.sort(one, axis=1)
    assert np.allclose(log_margins(single(one)), top[:, -1] - top[:, -2], atol=1e-5)
    assert np.allclose(log_margins(single(soft(one))), top[:, -1] - top[:, -2], atol=1e-4)


def test_divergence_is_that_of_the_formula() -> None:
    one, other = soft(logits(20)), soft(logits(20, seed=1))
    floor = np.maximum(one, 2.0**-9), np.maximum(other, 2.0**-9)
    expected = np.mean(np.sum(other * np.log(floor[1] / floor[0]), axis=1))
    assert divergence(single(one), other) == pytest.approx(expected, rel=1e-5)
    assert divergence(single(other), other) == pytest.approx(0, abs=1e-6)
    truth = np.arange(20) % 10
    surprise = -np.log(floor[0][np.arange(20), truth]).mean()
    assert divergence(single(one), np.eye(10)[truth]) == pytest.approx(surprise, rel=1e-5)
    assert divergence(single(one * np.nan), other) == float("inf")


def test_logits_become_probabilities() -> None:
    one = logits(30)
    assert np.allclose(as_probabilities(single(one)), soft(one), atol=1e-6)
    assert np.allclose(as_probabilities(single(soft(one))), soft(one), atol=1e-6)
