"""Hostile cases, made to break proofs: ties, cancellation, subnormal and huge weights.

Some meet the radius exactly.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.regions.exact import numerators
from relrob.regions.ladder import rung_set

SHAPE = (3, 4, 1)
FLAVOURS = ("normal", "integers", "powers", "faint", "huge", "twins", "cancelling", "dead")
_LEVELS = np.array([0, 1, 63, 64, 127, 128, 191, 254, 255], np.uint8)
_FLOATS = np.array(
    [0, -0.0, 2.0**-149, 2.0**-126, 1 / 3, 0.5, 0.5 + 2.0**-24, 0.25, 1 - 2.0**-24, 1], np.float32
)


def _layer(
    rng: np.random.Generator, flavour: str, n_in: int, n_out: int
) -> tuple[Doubles, Doubles]:
    """Weights and bias of one flavour, float64."""
    normal, bias = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out) * 0.3
    match flavour:
        case "integers":
            return rng.integers(-2, 3, (n_in, n_out)).astype(np.float64), rng.integers(
                -2, 3, n_out
            ) / 2
        case "powers":
            exponents = rng.choice([-149, -140, -126, -60, -1, 0, 1, 30, 60], (n_in, n_out))
            return np.sign(normal) * 2.0**exponents, bias * 2.0 ** rng.choice([-140, 0, 30])
        case "faint":
            return normal * 2.0**-14, bias * 2.0**-16
        case "huge":
            return normal * 2.0 ** rng.choice([40, 100, 125]), bias
        case "twins":
            normal[:, 1:] = normal[:, :1] * (
                1 + rng.choice([0, 2.0**-23, -(2.0**-22)], (n_in, n_out - 1))
            )
            return normal, np.full(n_out, bias[0])
        case "cancelling":
            offset = rng.choice([1e4, -1e4, 3e7], n_out)
            return normal + np.where(np.arange(n_in) % 2, 1e4, -1e4)[:, None], offset
        case "dead":
            return np.where(rng.random((n_in, n_out)) < 0.5, 0, normal), np.where(
                rng.random(n_out) < 0.5, -100, 0.0
            )
    return normal, bias


def network(seed: int, softmax: bool = False) -> Dense:
    """A small MLP of 12 inputs, two or three classes, each layer of a flavour of its own."""
    rng = np.random.default_rng(seed)
    sizes = [12, *rng.integers(2, 7, rng.integers(0, 4)), int(rng.integers(2, 4))]
    layers = []
    for number in range(len(sizes) - 1):
        flavour = str(rng.choice(FLAVOURS))
        weights, bias = _layer(rng, flavour, int(sizes[number]), int(sizes[number + 1]))
        weights = np.clip(weights, -3e38, 3e38)
        layers.append(
            Layer(weights.astype(np.float32), bias.astype(np.float32), relu=number < len(sizes) - 2)
        )
    return Dense(tuple(layers), softmax=softmax)


def image(seed: int) -> NDArray[Any]:
    """Pixels at the corners of the definitions: black, white, 1/2, 127 and 128 of 255, subnormal,
    one ulp off."""
    rng = np.random.default_rng(seed)
    pool: NDArray[Any] = _FLOATS if seed % 3 == 0 else _LEVELS
    return rng.choice(pool, SHAPE)


def ladder(seed: int, shown: NDArray[Any]) -> Ladder:
    """Four or five features whose radius is often met exactly by some of them, or missed by a
    hair."""
    rng = np.random.default_rng(seed)
    step = Fraction(str(rng.choice(["1", "1/2", "1/4", "1/3", "64/255", "1/1048576"])))
    features, axes = [(4, 3), (5, 2), (4, 2)][int(rng.integers(3))]
    costs = rung_set(Ladder(Fraction(100), step, features, axes), shown).costs
    one = numerators(shown, step, Fraction(100))[1]
    some = (
        sum(cost for cost, taken in zip(costs, rng.random(features) < 0.6, strict=True) if taken)
        or costs[0]
    )
    hair = int(rng.choice([0, 0, 1, -1])) * (some > 1)
    return Ladder(Fraction(some + hair, one), step, features, axes)
