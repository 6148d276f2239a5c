"""Random images and radii for tests of balls."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob.domain.region import Norm

SHAPE = (6, 6, 1)


SEEDS = st.integers(0, 10**9)


NORMS = st.sampled_from(list(Norm))


def image_of(seed: int, shape: tuple[int, ...] = SHAPE, floats: bool = False) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if floats:
        return np.where(
            rng.random(shape) < 0.3, rng.integers(0, 2, shape), rng.random(shape)
        ).astype(np.float32)
    return np.where(
        rng.random(shape) < 0.3, 255 * rng.integers(0, 2, shape), rng.integers(0, 256, shape)
    ).astype(np.uint8)


def radius_of(norm: Norm, seed: int) -> Fraction:
    rng = np.random.default_rng(seed)
    if norm is Norm.L0:
        return Fraction(int(rng.integers(1, 5)))
    choices = [
        Fraction(4, 255),
        Fraction(1, 10),
        Fraction(float(rng.random())),
        Fraction(3, 2),
        Fraction(1, 1000),
        Fraction(9),
    ]
    return choices[int(rng.integers(len(choices)))]
