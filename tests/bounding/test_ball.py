"""Bounds over balls and lattices: support functions by linear programs and brute force, margins
against the outputs of networks of every kind on images of the ball."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize_scalar

from relrob.bounding.ball import BallBounds, BallHull
from relrob.bounding.certain import proves
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure, float32_enclosure
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.regions.ball import BallSet, ball_set
from tests.ball_cases import fixed_opened, lively_network, sampled
from tests.make_networks import write_tflite
from tests.regions.ball_images import NORMS, SEEDS, SHAPE, image_of, radius_of
from tests.support import NumpyEvaluator, random_dense


def naive_maximum(hull: BallHull, gains: Doubles) -> float:
    """By a linear program (L1, L-infinity), by every choice of pixels (L0), or by the best of many
    multipliers (L2)."""
    ends = list(zip(-hull.down, hull.up, strict=True))
    size = len(gains)
    if hull.norm is Norm.L0:
        best = [max(g * low, g * high, 0.0) for g, (low, high) in zip(gains, ends, strict=True)]
        count = min(int(hull.radius), size)
        return float(
            max(sum(best[i] for i in chosen) for chosen in combinations(range(size), count))
        )
    if hull.norm is Norm.L2:

        def dual(power: float) -> float:
            m = 10.0**power
            moves = np.clip(gains / m, -hull.down, hull.up)
            return float(moves @ gains - m / 2 * (moves @ moves - hull.radius**2))

        spans = []
        for start in range(-8, 8, 4):
            found: Any = minimize_scalar(
                dual, bounds=(start, start + 4), method="bounded", options={"xatol": 1e-12}
            )
            spans.append(float(found.x))
        alone = float(np.maximum(gains * hull.up, -gains * hull.down).sum())
        return min(alone, *map(dual, spans))
    cost, spread = (
        np.concatenate([-gains, gains]),
        [(0, up) for up in hull.up] + [(0, down) for down in hull.down],
    )
    limits = {"A_ub": np.ones((1, 2 * size)), "b_ub": [hull.radius]} if hull.norm is Norm.L1 else {}
    return -float(linprog(cost, bounds=spread, **limits).fun)


@settings(max_examples=60)
@given(SEEDS, NORMS)
def test_the_maximum_over_a_ball_is_right(seed: int, norm: Norm) -> None:
    rng = np.random.default_rng(seed)
    ball = ball_set(Ball(norm, radius_of(norm, seed)), image_of(seed, (1, 6, 1), seed % 2 == 0))
    hull = BallHull(ball.down, ball.up, ball.norm, ball.radius)
    gains = rng.normal(size=(6, 4)) * 10.0 ** rng.integers(-3, 4, 4)
    gains[:, 1] = np.round(gains[:, 1])  # ties and zeros
    gains[:, 2] = 0.0
    gains[rng.integers(6), 3] = 0.0
    found = hull.support(gains)
    for column in range(4):
        best, size = (
            naive_maximum(hull, gains[:, column]),
            float(np.abs(gains[:, column]).sum()) + 1e-300,
        )
        assert found[column] >= best - 1e-9 * size
        assert found[column] <= best + (
            2e-6 * size * max(1.0, hull.radius) if norm is Norm.L2 else 1e-9 * size
        )
        moves = hull.maximiser(gains[:, column])
        assert float(moves @ gains[:, column]) <= found[column] + 1e-9 * size
        assert float(moves @ gains[:, column]) >= found[column] - (
            1e-5 if norm is Norm.L2 else 1e-9
        ) * size * max(1.0, hull.radius)
        assert (moves <= hull.up).all()
        assert (-moves <= hull.down).all()
        images = sampled(ball, seed, 10).astype(np.float64) - ball.base
        assert (images @ gains[:, column] <= found[column] + 2.0**-34 * size).all()


def check_bounds(
    enclosure: Enclosure, run: Callable[[Floats], Floats], ball: BallSet, seed: int, label: int
) -> float:
    """Margins of sampled images lie within the plain bounds and within those with optimised and
    with random slopes; returns the share of the plain bounds' width that they fill."""
    bounds, rng = BallBounds(enclosure, ball, label), np.random.default_rng(seed)
    images = sampled(ball, seed, 25)
    gradient = bounds.margins().slopes
    for sign in (1.0, -1.0):
        extreme = ball.point(
            bounds.at.hull.maximiser(sign * gradient * rng.choice([-1, 1], len(gradient)))
        )
        images = images if extreme is None else np.vstack([images, extreme])
    values = run(images).astype(np.float64)
    margins = values[:, [label]] - np.delete(values, label, axis=1)
    plain = bounds.margins()
    other = tuple(rng.random(len(neurons.lower_slope)) for neurons in plain.hidden)
    caps = np.isfinite(enclosure.layers[-1].cap)
    for found in (plain, bounds.margins(bounds.alphas(plain)), bounds.margins(other)):
        if caps:  # the stored outputs end where the bounded ones go on
            ends = enclosure.layers[-1].floor, enclosure.layers[-1].cap
            assert (values >= np.clip(found.least, *ends) - 1e-6).all()
            assert (values <= np.clip(found.most, *ends) + 1e-6).all()
            assert not proves(enclosure, label, found) or (margins > 0).all()
        else:
            assert (margins >= found.low).all()
            assert (margins <= found.high).all()
            assert (values >= found.least).all()
            assert (values <= found.most).all()
    width = float((plain.high - plain.low).max())
    return (
        float((margins.max(axis=0) - margins.min(axis=0)).max() / width)
        if 0 < width < np.inf
        else 0.0
    )


REGIONS: list[Ball | Lattice] = [
    *(Ball(Norm.LINF, Fraction(text)) for text in ("1/255", "1/20", "1/2")),
    *(Ball(Norm.L1, Fraction(text)) for text in ("1/10", "2", "30")),
    *(Ball(Norm.L2, Fraction(text)) for text in ("1/100", "1/3", "20")),
    *(Ball(Norm.L0, Fraction(text)) for text in ("1", "4", "100")),
    *(
        Lattice(Fraction(radius), Fraction(step))
        for radius, step in (("1/2", "1/8"), ("2", "64/255"))
    ),
]


@settings(max_examples=60)
@given(
    SEEDS,
    st.sampled_from([(36, 4), (36, 9, 4), (36, 16, 12, 5), (36, 10, 9, 8, 3)]),
    st.sampled_from(REGIONS),
)
def test_float_bounds_contain_sampled_images(
    seed: int, sizes: tuple[int, ...], region: Ball | Lattice
) -> None:
    dense = random_dense(seed % 1000, sizes)
    ball = ball_set(region, image_of(seed, floats=seed % 2 == 0))
    check_bounds(
        float32_enclosure(dense), NumpyEvaluator(dense).outputs, ball, seed, seed % sizes[-1]
    )


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> list[Network]:
    folder = tmp_path_factory.mktemp("quantised")
    found = []
    for scheme in ("dynamic", "int8"):
        for seed, sizes in ((3, (36, 30, 20, 4)), (8, (36, 40, 5))):
            path = folder / f"{scheme}-{seed}.tflite"
            write_tflite(random_dense(seed, sizes), path, SHAPE, scheme)
            for runtime in ("xnnpack", "builtin"):
                found.append(
                    load_network(path, image_shape=SHAPE, classes=sizes[-1], runtime=runtime)
                )
    return found


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_quantised_bounds_contain_sampled_images(
    quantised: list[Network], region: Ball | Lattice
) -> None:
    for number, network in enumerate(quantised):
        enclosure = enclosure_of(network)
        assert enclosure is not None
        run = open_network(network).outputs
        for seed in (number, number + 1):
            ball = ball_set(region, image_of(seed, floats=seed % 2 == 0))
            check_bounds(enclosure, run, ball, seed, seed % network.classes)


@settings(max_examples=80)
@given(SEEDS, st.sampled_from(["1/255", "1/16", "1/3"]))
def test_fixed_point_bounds_contain_sampled_images(
    tmp_path_factory: pytest.TempPathFactory, seed: int, radius: str
) -> None:
    network = lively_network(seed)
    opened = fixed_opened(network, tmp_path_factory.getbasetemp())
    enclosure = enclosure_of(opened.network)
    cut = (
        network.pixel_scale > network.high
        or any(layer.low for layer in network.layers[:-1])
        or network.layers[-1].high < 0
    )
    assert (enclosure is None) == cut
    if enclosure is None:
        return
    image = image_of(seed, (1, network.inputs, 1), seed % 2 == 0)
    norm = list(Norm)[seed % 4]
    ball = ball_set(Ball(norm, Fraction(1) if norm is Norm.L0 else Fraction(radius)), image)
    for label in range(network.classes):
        check_bounds(enclosure, network.outputs, ball, seed, label)


def test_bounds_are_worth_something_and_optimised_slopes_more() -> None:
    """Containment alone would hold for bounds that are infinite."""
    filled, gained = [], 0
    for number, region in enumerate(REGIONS):
        dense = random_dense(number, (36, 16, 12, 5))
        ball = ball_set(region, image_of(number))
        label = int(NumpyEvaluator(dense).outputs(ball.base[None, :]).argmax())
        filled.append(
            check_bounds(
                float32_enclosure(dense), NumpyEvaluator(dense).outputs, ball, number, label
            )
        )
        bounds = BallBounds(float32_enclosure(dense), ball, label)
        plain = bounds.margins()
        gained += float(bounds.margins(bounds.alphas(plain)).low.min()) > float(plain.low.min())
    assert min(filled) > 0.01
    assert max(filled) > 0.4
    assert gained > len(REGIONS) / 2
