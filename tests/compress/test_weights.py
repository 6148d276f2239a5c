"""Weights at levels: against the formulas of the papers, written out here value by value."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from relrob.compress.weights import (
    apot_weights,
    dorefa_scale,
    dorefa_weights,
    eight_bits,
    fitted_alpha,
    normalised,
)
from relrob.domain.formats import power_levels

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 0.3, (7, 5))


def test_one_bit_of_dorefa_takes_zero_as_positive() -> None:
    mean = np.abs(WEIGHTS).mean()
    values = WEIGHTS.copy()
    values[0, 0] = 0.0
    found = dorefa_weights(values, 1)
    assert found[0, 0] > 0
    assert np.allclose(dorefa_weights(WEIGHTS, 1), np.copysign(mean, WEIGHTS))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_more_bits_of_dorefa_value_by_value(bits: int) -> None:
    most = max(math.tanh(abs(w)) for w in WEIGHTS.reshape(-1))
    steps = 2**bits - 1
    for w, found in zip(
        WEIGHTS.reshape(-1), dorefa_weights(WEIGHTS, bits).reshape(-1), strict=True
    ):
        share = math.tanh(w) / (2 * most) + 0.5
        assert found == pytest.approx(2 * round(share * steps) / steps - 1, abs=1e-12)
    assert np.abs(dorefa_weights(WEIGHTS, bits)).max() == 1
    assert not dorefa_weights(np.zeros(3), bits).any()


@pytest.mark.parametrize(("bits", "count"), [(2, 3), (3, 7), (4, 15)])
def test_apot_has_the_values_of_the_paper(bits: int, count: int) -> None:
    many = np.linspace(-3, 3, 10_001)
    found = apot_weights(many, bits, 2.0)
    assert len(np.unique(found)) == count
    levels = 2.0 * power_levels(bits - 1)
    signed = np.unique(np.concatenate([levels, -levels]))
    far = np.abs(found - np.clip(many, -2, 2))
    assert np.allclose(far, np.abs(signed[:, None] - np.clip(many, -2, 2)).min(axis=0))


def test_normalised_weights() -> None:
    found = normalised(WEIGHTS)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    assert math.sqrt((found**2).sum() / (found.size - 1)) == pytest.approx(1)


def test_eight_bits_take_the_largest_weight_not_the_largest_magnitude() -> None:
    found = eight_bits(np.array([-0.9, 0.3, 0.5]))
    assert found[2] == 0.5
    assert found == pytest.approx([round(-0.9 / 0.5 * 127) / 127 * 0.5, 76 / 254, 0.5])
    assert eight_bits(np.array([-1.0, -2.0])).tolist() == [-1, -2]


def test_fitted_scales_are_no_worse_than_any_other() -> None:
    def error(alpha: float) -> float:
        shares = np.minimum(np.abs(WEIGHTS) / alpha, 1)
        levels = power_levels(2)
        near = levels[np.abs(shares[..., None] - levels).argmin(axis=-1)]
        return float(np.square(alpha * near - np.abs(WEIGHTS)).sum())

    alpha = fitted_alpha(WEIGHTS, power_levels(2))
    most = np.abs(WEIGHTS).max()
    assert error(alpha) <= min(error(most * share) for share in np.linspace(0.05, 1, 40)) * 1.05
    assert fitted_alpha(np.zeros(3), power_levels(2)) == 1

    def far(scale: Any, bits: int) -> float:
        return float(np.square(scale * dorefa_weights(WEIGHTS, bits) - WEIGHTS).sum())

    for bits, other in product((1, 2, 4), (0.9, 1.1)):
        best = dorefa_scale(WEIGHTS, bits)
        assert far(best, bits) < far(best * other, bits)
