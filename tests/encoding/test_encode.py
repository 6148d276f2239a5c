"""Encodings: every behaviour that a runtime may have satisfies every constraint; bounds of
relaxations hold for all multipliers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.domain.arrays import Bools, Doubles
from relrob.encoding.encode import Encoding, encode
from relrob.encoding.milp import program
from relrob.networks.enclosure import EnclosedLayer, Enclosure, float32_enclosure
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part, whole
from tests import hostile
from tests.instances import REGIONS, rungs_of
from tests.support import random_dense

SIZES = ((36, 3), (36, 10, 3), (36, 12, 9, 4), (36, 8, 7, 6, 3))


def enclosure(seed: int) -> Enclosure:
    """Random layers, some with caps that bite, run-time quantisation, outputs that saturate, a
    gap."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, layer in enumerate(random_dense(seed, SIZES[seed % 4]).layers):
        cap = (
            float(rng.choice([np.inf, 0.5, 1.0]))
            if layer.relu
            else float(rng.choice([np.inf, 0.4]))
        )
        floor = -np.inf if layer.relu else float(rng.choice([-np.inf, -0.4]))
        share, moved, rounding = (float(rng.choice([0, 0, 1e-2])) for _ in range(3))
        moved = moved if number == 0 else 0.0
        weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
        layers.append(
            EnclosedLayer(weights, bias, layer.relu, 40, share, moved, np.inf, rounding, cap, floor)
        )
    return Enclosure(tuple(layers), float(rng.choice([0.0, 0.05])))


def behaviour(
    given: Enclosure, rungs: RungSet, mask: Bools, rng: np.random.Generator
) -> tuple[list[Doubles], Doubles]:
    """(pre-activations layer by layer, saturated outputs) of one computation that the enclosure
    allows; mostly extreme errors: each input moved, a pixel to a level, and then each sum off."""
    values, found = rungs.images(mask[None, :])[0].astype(np.float64), []
    for number, layer in enumerate(given.layers):
        deviation = layer.deviation(values)
        values, moved = (
            (values, deviation.moved) if number else layer.levels(values, float(values.max()))
        )
        values = values + 0.999 * rng.choice([-1.0, 1.0, 0.0], len(values)) * moved
        real = values @ layer.weights + layer.bias
        found.append(real + 0.999 * rng.choice([-1.0, 1.0, 0.0], len(real)) * deviation.rest)
        values = (
            np.clip(found[-1], 0, layer.cap)
            if layer.relu
            else np.clip(found[-1], layer.floor, layer.cap)
        )
    return found, values


def unstable(given: Enclosure, bounds: LadderBounds, part: Part) -> Iterator[tuple[int, int]]:
    """(layer, neuron) of the encoding's neurons, found again from the bounds."""
    for depth, known in enumerate(bounds.neurons(part)[:-1]):
        for n in range(len(known.low)):
            if known.high[n] > 0 and (known.low[n] < 0 or known.high[n] > given.layers[depth].cap):
                yield depth, n


def unknowns(encoding: Encoding, mask: Bools, outputs: list[float]) -> list[Fraction]:
    return [Fraction(int(mask[g])) for g in encoding.part.free] + [
        Fraction(value) for value in outputs
    ]


def dot(coefficients: Doubles, values: list[Fraction]) -> Fraction:
    return sum(
        (Fraction(float(c)) * v for c, v in zip(coefficients, values, strict=True) if c),
        Fraction(0),
    )


@pytest.mark.parametrize("seed", range(48))
def test_every_behaviour_satisfies_every_constraint(seed: int) -> None:
    rng, rungs, given = (
        np.random.default_rng(seed),
        rungs_of(seed, REGIONS[seed % len(REGIONS)]),
        enclosure(seed),
    )
    part = whole(rungs)
    part = part if seed % 2 or not part.free else part.split(part.free[0])[seed // 2 % 2]
    masks = part.masks(0, part.count)
    label = int(behaviour(given, rungs, masks[0], rng)[1].argmax())
    bounds = LadderBounds(given, rungs, label)
    encoding = encode(bounds, survey(bounds, part))
    rows = program(encoding)
    places = list(unstable(given, bounds, part))
    assert not encoding.refutations or len(places) == len(encoding.neurons)
    for mask in masks[rng.permutation(len(masks))[:12]]:
        before, said = behaviour(given, rungs, mask, rng)
        p = [float(before[depth][n]) for depth, n in places][: len(encoding.neurons)]
        caps = [given.layers[depth].cap for depth, _ in places]
        a = [min(max(value, 0.0), cap) for value, cap in zip(p, caps, strict=False)]
        v = unknowns(encoding, mask, a)
        x = np.zeros(len(rows.least))
        x[: rows.features] = mask[list(part.free)]
        for number, (neuron, value, output) in enumerate(zip(encoding.neurons, p, a, strict=True)):
            assert (
                Fraction(neuron.lower)
                <= Fraction(value) - dot(neuron.coefficients, v)
                <= Fraction(neuron.upper)
            )
            assert neuron.low <= value <= neuron.high
            assert 0 <= output <= neuron.top
            slope, offset = neuron.line()
            assert Fraction(output) <= Fraction(slope) * Fraction(value) + Fraction(offset)
            assert output in (0.0, value) or (
                neuron.capped and neuron.cap_low <= output <= neuron.cap_high
            )
            x[rows.features + 4 * number :][:4] = (
                value,
                output,
                value > 0,
                neuron.capped and value > neuron.cap_low,
            )
        allowed = 1e-9 * (np.abs(rows.matrix) @ np.abs(x) + 1)
        assert (rows.matrix @ x <= rows.upper + allowed).all()
        assert (rows.matrix @ x >= rows.lower - allowed).all()
        assert (rows.least <= x).all()
        assert (x <= rows.most).all()
        wrong = np.delete(said, label).max() >= said[label] - given.gap
        held = [
            dot(refutation.coefficients, v) <= Fraction(refutation.limit)
            for refutation in encoding.refutations
        ]
        assert any(held) or not wrong
        for refutation in encoding.refutations:
            objective = rows.objective(refutation)
            for size in (0.0, 0.1, 10.0):
                bound = rows.safe_bound(
                    rng.normal(0, size, len(rows.lower)), objective, rows.least, rows.most
                )
                assert bound <= objective @ x + 1e-9


def test_overflow_leaves_one_claim_that_holds_everywhere() -> None:
    """Nothing is proved of a network whose float32 sums may overflow, and nothing that is not
    finite reaches a solver."""
    met = 0
    for seed in range(300):
        from_image = hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, from_image), from_image)
        given = float32_enclosure(hostile.network(seed))
        bounds = LadderBounds(given, rungs, 0)
        with np.errstate(all="ignore"):
            found = survey(bounds, whole(rungs))
            encoding = encode(bounds, found)
        for neuron in encoding.neurons:
            assert np.isfinite(
                [*neuron.coefficients, neuron.lower, neuron.upper, *neuron.line(), neuron.top]
            ).all()
        if not np.isfinite(found.known[-1].high).all():
            met += 1
            assert [refutation.limit for refutation in encoding.refutations] == [0.0]
            assert not encoding.refutations[0].coefficients.any()
    assert met > 10


def test_a_bound_is_the_optimum_where_the_multipliers_are_optimal() -> None:
    """And a multiplier that would need an infinite end, or is not a number, is not used."""
    rungs, given = rungs_of(4, ("3", "1")), enclosure(5)
    bounds = LadderBounds(given, rungs, 0)
    rows = program(encode(bounds, survey(bounds, whole(rungs))))
    ones = np.ones(len(rows.least))
    zero = np.zeros(len(rows.lower))
    assert rows.safe_bound(zero, ones, rows.least, rows.most) == pytest.approx(
        rows.least.sum(), rel=1e-6
    )
    assert rows.safe_bound(zero + np.nan, ones, rows.least, rows.most) == -np.inf
    one_sided = np.where(np.isinf(rows.lower), 1.0, 0.0)
    assert one_sided.any()
    assert rows.safe_bound(one_sided, ones, rows.least, rows.most) == rows.safe_bound(
        zero, ones, rows.least, rows.most
    )
