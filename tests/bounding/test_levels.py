"""The levels of a first layer that quantises pixels: in bounds and in the checker, against every
level that a kernel may choose."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.ladder import LadderBounds, steady_maximum
from relrob.certificates.checking.deployed import LOOSE, Facts
from relrob.certificates.checking.levels import Region, at_levels
from relrob.domain.region import Ladder
from relrob.networks import enclosure
from relrob.networks.enclosure import EnclosedLayer, Enclosure
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part, whole
from tests.support import random_dense

SHARES = [0.5 / 127, 0.5 / 255, 0.0]


def layer_of(share: float, moved: float, input_cap: float, inputs: int = 1) -> EnclosedLayer:
    loose = enclosure.LOOSE
    return EnclosedLayer(
        np.ones((inputs, 1)), np.zeros(1), True, inputs + 6, share * loose, moved * loose, input_cap
    )


def facts_of(layer: EnclosedLayer) -> Facts:
    """The same layer as the checker reads it."""
    input_cap = None if np.isinf(layer.input_cap) else Fraction(layer.input_cap)
    return Facts(
        layer.weights,
        [Fraction(0)],
        True,
        9,
        Fraction(layer.share),
        Fraction(layer.moved),
        input_cap,
    )


def choices(value: float, half: float, input_cap: float) -> list[Fraction]:
    """What kernels may take a value for: whole levels at most half a step, and a little, away; cut
    at `input_cap`."""
    exact, step = (
        min(Fraction(value), Fraction(input_cap)) if np.isfinite(input_cap) else Fraction(value),
        2 * Fraction(half),
    )
    near = round(exact / step)
    allowed = [
        n * step
        for n in range(near - 2, near + 3)
        if abs(n * step - exact) <= step / 2 * (1 + Fraction(1, 2**13))
    ]
    return [
        min(level, Fraction(input_cap)) if np.isfinite(input_cap) else level for level in allowed
    ]


@settings(max_examples=300, derandomize=True)
@given(
    st.integers(0, 255) | st.floats(0, 255).map(lambda v: float(np.float32(v))),
    st.sampled_from(SHARES),
    st.sampled_from([1.0, 254 / 255, 3 / 255]),
    st.sampled_from([np.inf, 255 / 256, 0.5]),
    st.integers(-3, 3),
)
def test_the_level_taken_is_near_every_level_that_a_kernel_may_take(
    pixel: float, share: float, largest: float, input_cap: float, ulps: int
) -> None:
    moved = 0.0 if share else 1 / 512
    half = share * largest + moved
    values = [
        min(pixel / 255, 1) * largest,
        half * (2 * int(pixel) + 1) + ulps * 2.0**-30,
    ]  # the other: near a half
    for value in (v for v in values if 0 <= v <= largest):
        layer = layer_of(share, moved, input_cap)
        taken, off = layer.levels(np.array([value]), largest)
        region = Region([Fraction(value), Fraction(largest)], [], [], [], Fraction(0), whole=True)
        checked, doubt = at_levels(region, facts_of(layer))
        assert doubt is not None
        for level in choices(value, half, input_cap):
            assert abs(level - Fraction(float(taken[0]))) <= Fraction(float(off[0])) + Fraction(
                1, 2**50
            )
            assert abs(level - checked.pixels[0]) <= doubt[0]


def test_a_pixel_far_from_a_half_loses_next_to_nothing() -> None:
    layer = layer_of(0.5 / 255, 0.0, np.inf, 3)
    taken, off = layer.levels(np.array([0.0, 0.5, 100.3 / 255]), 1.0)
    assert taken.tolist() == pytest.approx([0.0, 0.5, 100 / 255])
    assert off[0] == 0
    assert off[1] > 0.5 / 255  # 127.5 levels: either
    assert 0 < off[2] < 2**-11 / 255


def test_a_layer_that_does_not_quantise_takes_pixels_as_they_are() -> None:
    taken, off = layer_of(0.0, 0.0, np.inf).levels(np.array([0.3]), 1.0)
    assert (taken[0], off[0]) == (0.3, 0.0)


def ladder_of(seed: int) -> RungSet:
    """A 5 x 5 image of few different large values, so that points of the ladder differ in their
    maxima."""
    rng = np.random.default_rng(seed)
    image = rng.choice(np.array([0, 3, 128, 253, 254, 255][: 2 + seed % 5], np.uint8), size=(5, 5))
    step = ["1", "1/2", "1/16"][seed % 3]
    return rung_set(Ladder(Fraction(int(rng.integers(1, 6))), Fraction(step), 7, 2), image)


def some_parts(rungs: RungSet, seed: int) -> list[Part]:
    rng, parts = np.random.default_rng(seed), [whole(rungs)]
    while parts[-1].free:
        parts.append(parts[-1].split(int(rng.choice(parts[-1].free)))[int(rng.integers(2))])
    return parts


def region_of(part: Part) -> Region:
    """The part for the checker."""
    rungs, unit = part.rungs, Fraction(1, part.rungs.denominator)
    image = rungs.base.copy()
    image[rungs.axes[list(part.moved)]] = rungs.moved[list(part.moved)]
    pixels = [Fraction(float(value)) for value in image]
    axes = [rungs.axes[g].tolist() for g in part.free]
    change = [
        [
            Fraction(float(value)) - pixels[axis]
            for axis, value in zip(rungs.axes[g], rungs.moved[g], strict=True)
        ]
        for g in part.free
    ]
    return Region(
        pixels,
        axes,
        change,
        [rungs.costs[g] * unit for g in part.free],
        part.room * unit,
        whole=True,
    )


@pytest.mark.parametrize("seed", range(60))
def test_a_steady_maximum_is_that_of_every_point(seed: int) -> None:
    for part in some_parts(ladder_of(seed), seed):
        maxima = set(part.rungs.images(part.masks(0, part.count)).max(axis=1).tolist())
        largest, open_features = steady_maximum(part)
        assert (largest is None) == bool(open_features)
        assert set(open_features) <= set(part.free)
        assert largest is None or maxima == {largest}
        facts = facts_of(layer_of(0.5 / 127, 0.0, np.inf, 25))
        assert (at_levels(region_of(part), facts)[1] is None) == (largest is None)


def test_the_maximum_is_steady_at_last() -> None:
    """Splitting on the features that change it, all parts get a maximum."""
    for seed in range(20):
        stack, steady = [whole(ladder_of(seed))], 0
        while stack:
            part = stack.pop()
            largest, open_features = steady_maximum(part)
            steady += largest is not None
            stack += [] if largest is not None else part.split(open_features[0])
        assert steady


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("share", SHARES)
def test_bounds_hold_whatever_levels_a_kernel_chooses(seed: int, share: float) -> None:
    """Pre-activations of the first layer at random points, of levels chosen at random among all
    that a kernel may choose."""
    rng, rungs = np.random.default_rng(seed), ladder_of(seed)
    dense = random_dense(seed, (25, 6, 3))
    loose, moved = enclosure.LOOSE, 0.0 if share else 1 / 200
    layers = tuple(
        EnclosedLayer(
            each.weights.astype(np.float64),
            each.bias.astype(np.float64),
            each.relu,
            32,
            share * loose,
            (moved if not number else 0.0) * loose,
        )
        for number, each in enumerate(dense.layers)
    )
    bounds = LadderBounds(Enclosure(layers), rungs, 0)
    for part in some_parts(rungs, seed):
        known = bounds.neurons(part)[0]
        images = rungs.images(part.masks(0, part.count))
        for image in images[rng.integers(0, len(images), 5)]:
            half = share * float(image.max()) + moved
            taken = [
                float(rng.choice(np.array([float(c) for c in choices(float(v), half, np.inf)])))
                for v in image
            ]
            values = np.array(taken) @ layers[0].weights + layers[0].bias
            assert (known.low <= values).all() and (values <= known.high).all()


def test_a_region_of_moves_in_part_keeps_its_pixels() -> None:
    region = replace(region_of(whole(ladder_of(3))), whole=False)
    assert at_levels(region, facts_of(layer_of(0.0, 1 / 512, np.inf, 25))) == (region, None)
    assert Fraction(enclosure.LOOSE) == LOOSE
