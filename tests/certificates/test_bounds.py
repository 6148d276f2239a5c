"""The checker's region is exact, and its own bounds hold on every point."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import ctx

from relrob.certificates.checking.deployed import LOOSE, Deployed, Facts, read_deployed
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.checking.entries import InvalidError, nearest
from relrob.certificates.checking.ladder import Rebuilt, Subsets
from relrob.certificates.checking.levels import at_levels
from relrob.domain.region import Ladder
from relrob.networks.enclose import enclosure_of
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened
from relrob.regions.exact import nearest_float32
from relrob.regions.knapsack import Knapsack
from relrob.regions.ladder import rung_set
from tests import hostile
from tests.certificate_cases import (
    KINDS,
    REGIONS,
    document,
    image_of,
    networks_in,
    rungs_of,
)
from tests.support import random_dense, shared_data


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    return networks_in(tmp_path_factory.mktemp("networks"))


def test_the_ladder_built_again_is_the_same() -> None:
    for seed in range(60):
        image = hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, image), image)
        again = Rebuilt(document(image, rungs))
        assert again.axes == rungs.axes.tolist()
        assert [float(value) for value in again.base] == rungs.base.tolist()
        assert [[float(value) for value in row] for row in again.moved] == rungs.moved.tolist()
        assert again.costs == [Fraction(cost, rungs.denominator) for cost in rungs.costs]
        listed = [
            [g in taken for g in range(rungs.features)]
            for taken in Subsets(again.costs, again.radius)
        ]
        assert listed == Knapsack(rungs.costs, rungs.budget).masks(0, 10**6).tolist()


def test_more_subsets_than_are_wanted_are_not_listed() -> None:
    ones, fine = [Fraction(1)] * 40, [Fraction(1, 3**45 + g) for g in range(12)]
    assert 1000 < Subsets(ones, Fraction(40), 1000).count < 2048
    assert Subsets(ones, Fraction(2), 10**6).count == 1 + 40 + 780
    # Beyond 63 bits.
    assert Subsets(fine, sum(fine, Fraction(0))).count == 4096
    assert Subsets(fine, sum(fine, Fraction(0)) - Fraction(1, 10**30)).count == 4095


def test_nearest_float32() -> None:
    rng = np.random.default_rng(0)
    values = [
        Fraction(int(a), int(b))
        for a, b in zip(rng.integers(0, 2**40, 300), [2**40] * 300, strict=True)
    ]
    values += (
        [Fraction(a, 2**150) for a in (0, 1, 2, 3, 5)]
        + [Fraction(k, 255) for k in range(256)]
        + [Fraction(1, 3)]
    )
    for value in values:
        assert float(nearest(value)) == float(nearest_float32(value.numerator, value.denominator))


def some_slopes(
    facts: tuple[Facts, ...], rng: np.random.Generator
) -> list[dict[int, tuple[float, float]]]:
    """Any slopes for every neuron: they may loosen a bound, never break it."""
    return [
        {n: (float(a), float(b)) for n, (a, b) in enumerate(rng.random((len(layer.bias), 2)))}
        for layer in facts[:-1]
    ]


def least(margins: Any) -> Fraction:
    """An exact number of the ball arithmetic as a fraction."""
    with ctx.workprec(2000):
        high, power = margins.man_exp()
        return Fraction(int(high)) * Fraction(2) ** int(power)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_contain_what_the_runtime_gives(networks: dict[str, Opened], kind: str) -> None:
    rng, each = np.random.default_rng(3), networks[kind]
    deployed = read_deployed(each.network)
    tight = 0
    for seed in range(27):
        image = image_of(seed)
        rungs = rungs_of(image, REGIONS[seed % 3])
        ladder = Rebuilt(document(image, rungs))
        path = [int(g + 1) * int(rng.choice([-1, 1])) for g in rng.permutation(8)[: seed % 9]]
        if sum(ladder.costs[g - 1] for g in path if g > 0) > ladder.radius:
            path = []
        moved = [g - 1 for g in path if g > 0]
        masks = rungs.knapsack.masks(0, rungs.count)
        inside = masks[:, moved].all(axis=1) & ~masks[:, [-g - 1 for g in path if g < 0]].any(
            axis=1
        )
        outputs = each.evaluator.outputs(rungs.images(masks[inside])).astype(np.float64)
        label = int(rng.integers(4))
        found = (outputs[:, [label]] - np.delete(outputs, label, axis=1)).min()
        for slopes in (some_slopes(deployed.layers, rng), some_slopes(deployed.layers, rng)):
            try:
                bound = least(Derivation(deployed, label).margin(ladder.part(path)[0], slopes))
            except InvalidError as error:
                assert "saturate" in str(error)
                continue
            assert bound <= Fraction(float(found))
            tight += bound > Fraction(float(found)) - 2
    assert tight > 3


def stray(layers: tuple[Facts, ...], images: Any, rng: np.random.Generator, whole: bool) -> Any:
    """Outputs (n, classes) of a runtime that errs as much as it may: inputs moved by a step, each
    output off by its rounding; pixels go to a nearest level if they are `whole`."""
    values = images.astype(np.float64)
    for number, layer in enumerate(layers):
        step = float(layer.share) * values.max(axis=1, keepdims=True) + float(layer.shift)
        sides = rng.choice([-1.0, 1.0], (1, values.shape[1]))
        if whole and number == 0 and (layer.share or layer.shift):
            size = 2 * step / float(LOOSE)
            values = np.rint(values / size + sides * 2.0**-14) * size
        else:
            values = np.where(values > 0, values + sides * step, 0)
        values = values @ layer.weights + [float(value) for value in layer.bias]
        values += rng.choice([-1.0, 1.0], (1, values.shape[1])) * float(layer.rounding)
        values = np.maximum(values, 0) if layer.relu else values
        values = values if layer.cap is None else np.minimum(values, float(layer.cap))
    return values


def test_bounds_contain_a_runtime_that_errs_as_much_as_it_may() -> None:
    """Errors as large as the values themselves, so that none of them can be left out anywhere."""
    rng, near = np.random.default_rng(6), [0, 0]
    for seed in range(40):
        dense, image = (
            random_dense(seed, [(36, 6, 3), (36, 5, 4, 3), (36, 3)][seed % 3]),
            image_of(seed),
        )
        layers = []
        for number, layer in enumerate(dense.layers):
            size, cap = (
                Fraction(int(rng.integers(3)), 8),
                Fraction(2) if seed % 4 == 0 and layer.relu else None,
            )
            share, shift, rounding = size / 4, size / 8 * (number == 0), size * (seed % 2)
            bias = [Fraction(float(value)) for value in layer.bias]
            exact = layer.weights.astype(np.float64)
            layers.append(
                Facts(
                    exact, bias, layer.relu, 8, share=share, shift=shift, rounding=rounding, cap=cap
                )
            )
        rungs = rungs_of(image, REGIONS[seed % 3])
        ladder, derivation = (
            Rebuilt(document(image, rungs)),
            Derivation(Deployed(tuple(layers), "logits"), 0),
        )
        point = rungs.knapsack.masks(seed % rungs.count, seed % rungs.count + 1)
        alone = [int(g + 1) if point[0, g] else -int(g + 1) for g in range(8)]
        both: list[tuple[list[int], Any]] = [
            ([], rungs.knapsack.masks(0, rungs.count)),
            (alone, point),
        ]
        for (path, masks), whole in product(both, (True, False)):
            slopes = [
                {n: (1.0, 0.0) if n % 2 else (0.5, 0.5) for n in range(len(layer.bias))}
                for layer in layers[:-1]
            ]
            region = replace(ladder.part(path)[0], whole=whole)
            bound = float(least(derivation.margin(region, slopes)))
            levels = at_levels(region, layers[0])[1] is not None
            outputs = np.concatenate(
                [stray(tuple(layers), rungs.images(masks), rng, levels) for _ in range(200)]
            )
            found = float((outputs[:, [0]] - outputs[:, 1:]).min())
            assert bound <= found
            near[levels] += bool(path) and found - bound < 0.1 * abs(found)
    assert min(near) > 4, near


def column(*values: float) -> Any:
    """One row of weights."""
    return np.array([values], dtype=np.float64)


def test_a_bound_worked_out_by_hand() -> None:
    """One pixel from 0 to 1, moved by 1/4 on the way in, through relu(x - 1/2): at most 3/4, and
    outputs 1 and that."""
    hidden = Facts(column(1), [Fraction(-1, 2)], True, 3, shift=Fraction(1, 4))
    derivation = Derivation(
        Deployed((hidden, Facts(column(0, 1), [Fraction(1), Fraction(0)], False, 3)), "logits"), 0
    )
    image = np.zeros((1, 1, 1), np.uint8)
    ladder = Rebuilt(document(image, rung_set(Ladder(Fraction(1), Fraction(1), 1, 1), image)))
    region = replace(ladder.part([])[0], whole=False)
    for above, margin in (
        (0.5, 0.25),
        (1.0, -0.5),
    ):  # the chord is exact; the line of slope 1 lies 3/4 above the chord's end
        found = float(least(derivation.margin(region, [{0: (above, 0.0)}])))
        assert margin - 1e-5 < found <= margin
    with pytest.raises(InvalidError, match="neither on nor off"):
        derivation.margin(region, [{}])
    ends_at_0 = Derivation(
        Deployed((replace(hidden, cap=Fraction(0)), *derivation.deployed.layers[1:]), "logits"), 0
    )  # the neuron passes on 0, whatever it reads
    assert 1 - 1e-5 < float(least(ends_at_0.margin(region, [{}]))) <= 1
    with pytest.raises(InvalidError, match="beyond the radius"):
        Rebuilt(document(image, rung_set(Ladder(Fraction(1, 2), Fraction(1), 1, 1), image))).part(
            [1]
        )


@pytest.mark.parametrize(
    ("first", "second", "sure"),
    [(1, -1, True), (5, 4, False), (-3, -4, False), (1, -9, True), (5, 1, True), (-3, 1, False)],
)
def test_outputs_at_one_end_of_their_range_tie(first: int, second: int, sure: bool) -> None:
    """Biases alone, in a range from -2 to 2: a difference beyond an end of it is lost."""
    bias = [Fraction(first), Fraction(second)]
    facts = Facts(column(0, 0), bias, False, 3, cap=Fraction(2), floor=Fraction(-2))
    image = np.zeros((1, 1, 1), np.uint8)
    region = Rebuilt(document(image, rung_set(Ladder(Fraction(1), Fraction(1), 1, 1), image))).part(
        []
    )[0]
    try:
        assert (
            float(least(Derivation(Deployed((facts,), "logits"), 0).margin(region, []))) > 0
        ) is sure
    except InvalidError as error:
        assert "saturate" in str(error)
        assert not sure


def test_bounds_contain_exact_margins_of_hostile_networks(tmp_path: Path) -> None:
    """Ties, huge, tiny and cancelling weights: the bound is below every real margin, or the checker
    refuses."""
    rng, proved = np.random.default_rng(4), 0
    for seed in range(60):
        dense, image = hostile.network(seed), hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, image), image)
        (tmp_path / "n.onnx").write_bytes(to_onnx(dense))
        network = load_network(
            tmp_path / "n.onnx", image_shape=(1, dense.inputs, 1), classes=dense.classes
        )
        deployed, ladder = read_deployed(network), Rebuilt(document(image, rungs))
        images = rungs.images(rungs.knapsack.masks(0, rungs.count))
        for label in range(dense.classes):
            try:
                bound = least(
                    Derivation(deployed, label).margin(
                        ladder.part([])[0], some_slopes(deployed.layers, rng)
                    )
                )
            except InvalidError as error:
                assert "overflow" in str(error)
                continue
            assert bound <= min(hostile.exact_margins(dense, images, label))
            proved += bound > 0
    assert proved > 5


@pytest.mark.parametrize("kind", [*KINDS, "cifar"])
def test_two_readings_of_a_file_agree(networks: dict[str, Opened], kind: str) -> None:
    """The checker's reader and the one behind the bounds, written apart, give the same exact
    weights and error terms."""
    if kind == "cifar":
        path = shared_data("duncan2020/converted_model_cifar.tflite")
        network = load_network(
            path, image_shape=(32, 32, 3), classes=10, runtime="builtin", layout="chw"
        )
    else:
        network = networks[kind].network
    mine, other = read_deployed(network), enclosure_of(network)
    assert other is not None
    assert len(mine.layers) == len(other.layers)
    for one, two in zip(mine.layers, other.layers, strict=True):
        assert np.array_equal(one.weights, two.weights)
        assert [float(value) for value in one.bias] == pytest.approx(
            two.bias.tolist(), rel=1e-12, abs=0
        )
        assert (one.relu, one.terms) == (two.relu, two.terms)
        for name in ("share", "rounding"):
            assert float(getattr(one, name)) == pytest.approx(getattr(two, name), rel=1e-12)
        assert float(one.shift) == pytest.approx(two.moved, rel=1e-12)
        ends = [np.inf if end is None else float(end) for end in (one.input_cap, one.cap)]
        assert ends == pytest.approx([two.input_cap, two.cap], rel=1e-12)
        assert (-np.inf if one.floor is None else float(one.floor)) == pytest.approx(
            two.floor, rel=1e-12
        )
    assert float(Derivation(mine, 0).gap) == pytest.approx(other.gap)
