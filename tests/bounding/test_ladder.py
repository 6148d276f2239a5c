"""Parts of ladders and bounds on them, against brute force and against the runtimes themselves."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.certain import CertainLabels, proves
from relrob.bounding.ladder import LadderBounds
from relrob.domain.arrays import Bools, Floats
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.region import Ladder
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import EnclosedLayer, Enclosure, float32_enclosure
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part, part_of, whole
from tests.make_networks import write_tflite
from tests.support import NumpyEvaluator, random_dense

SHAPE = (6, 6, 1)


def rungs_of(seed: int, radius: str = "3", step: str = "1/2", features: int = 9) -> RungSet:
    image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
    return rung_set(Ladder(Fraction(radius), Fraction(step), features, 4), image)


def some_part(rungs: RungSet, seed: int) -> Part:
    """A part a few random splits below the whole ladder."""
    rng = np.random.default_rng(seed)
    part = whole(rungs)
    for _ in range(int(rng.integers(0, 5))):
        if part.free:
            part = part.split(int(rng.choice(part.free)))[int(rng.integers(2))]
    return part


def rows(masks: Bools) -> set[tuple[bool, ...]]:
    return {tuple(mask.tolist()) for mask in masks}


@settings(max_examples=80)
@given(st.integers(0, 10**6))
def test_a_split_is_a_partition_and_counts_are_exact(seed: int) -> None:
    rungs = rungs_of(seed)
    everything = rungs.knapsack.masks(0, rungs.count)
    assert rows(whole(rungs).masks(0, 10**6)) == rows(everything)
    part = some_part(rungs, seed)
    mine = rows(part.masks(0, 10**6))
    assert len(mine) == part.count
    expected = {
        row
        for row in rows(everything)
        if all(row[g] for g in part.moved)
        and all(g in part.moved or g in part.free or not row[g] for g in range(9))
    }
    assert mine == expected
    costs = [int(rungs.cost(np.array(row)) * rungs.denominator) for row in mine]
    assert part.spent == min(costs)
    assert part.dearest() == (max(costs), costs.count(max(costs)))
    if part.free:
        first, second = part.split(part.free[0])
        assert rows(first.masks(0, 10**6)) | rows(second.masks(0, 10**6)) == mine
        assert first.count + second.count == part.count
    assert rows(np.concatenate([*part.blocks(7)])) == mine


def test_sums_that_do_not_fit_in_memory_are_not_added_up() -> None:
    image = np.random.default_rng(0).random((20, 20), dtype=np.float32)
    rungs = rung_set(Ladder(Fraction(300), Fraction(1), 20, 5), image)
    assert rungs.count == 2**20
    assert whole(rungs).dearest() is None


def check_containment(
    enclosure: Enclosure, outputs: Callable[[Floats], Floats], rungs: RungSet, seed: int, label: int
) -> float:
    """Margins of every point of a random part lie within the bounds; returns how much of the
    bounds' width they fill."""
    part = some_part(rungs, seed)
    found = LadderBounds(enclosure, rungs, label).margins(part)
    values = outputs(rungs.images(part.masks(0, 10**6))).astype(np.float64)
    margins = values[:, [label]] - np.delete(values, label, axis=1)
    assert (margins >= found.low).all()
    assert (margins <= found.high).all()
    assert (values >= found.least).all()
    assert (values <= found.most).all()
    assert (found.slopes[[g for g in range(rungs.features) if g not in part.free]] == 0).all()
    width = (found.high - found.low).max()
    return (
        float((margins.max(axis=0) - margins.min(axis=0)).max() / width)
        if np.isfinite(width)
        else 0.0
    )


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(36, 4), (36, 9, 4), (36, 16, 12, 5), (36, 10, 9, 8, 3), (36, 7, 2)]),
    st.sampled_from([("3", "1/4"), ("1", "1/16"), ("9", "1"), ("1/100", "1/2")]),
)
def test_float_bounds_contain_every_point(
    seed: int, sizes: tuple[int, ...], region: tuple[str, str]
) -> None:
    dense = random_dense(seed, sizes)
    for label in range(sizes[-1]):
        check_containment(
            float32_enclosure(dense),
            NumpyEvaluator(dense).outputs,
            rungs_of(seed, *region),
            seed,
            label,
        )


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> list[Network]:
    folder = tmp_path_factory.mktemp("quantised")
    found = []
    for scheme in ("dynamic", "int8"):
        for seed, sizes in ((3, (36, 40, 32, 4)), (8, (36, 60, 5))):
            path = folder / f"{scheme}-{seed}.tflite"
            write_tflite(random_dense(seed, sizes), path, SHAPE, scheme)
            for runtime in ("xnnpack", "builtin", "reference"):
                found.append(
                    load_network(path, image_shape=SHAPE, classes=sizes[-1], runtime=runtime)
                )
    return found


def test_quantised_bounds_contain_every_point(quantised: list[Network]) -> None:
    for network in quantised:
        enclosure = enclosure_of(network)
        assert enclosure is not None
        run = open_network(network).outputs
        for seed in range(12):
            region = [("3", "1/4"), ("1", "1/16"), ("9", "1")][seed % 3]
            check_containment(enclosure, run, rungs_of(seed, *region), seed, seed % network.classes)


def test_bounds_are_tight_at_a_single_point() -> None:
    dense = random_dense(2, (36, 20, 14, 4))
    rungs = rungs_of(2)
    point = part_of(rungs, (0, 3), (), 0)
    found = LadderBounds(float32_enclosure(dense), rungs, 1).margins(point)
    assert (found.high - found.low).max() < 1e-3
    assert (found.high >= found.low).all()


def test_splitting_closes_the_bounds() -> None:
    dense = random_dense(6, (36, 20, 14, 4))
    rungs = rungs_of(6, "4", "1")
    bounds = LadderBounds(float32_enclosure(dense), rungs, 0)
    parts, widths = [whole(rungs)], []
    for _ in range(7):
        widths.append(max(float((m.high - m.low).max()) for m in map(bounds.margins, parts)))
        parts = [
            half for part in parts for half in (part.split(part.free[0]) if part.free else (part,))
        ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([("3", "1/4"), ("1", "1/16"), ("9", "1")]))
def test_settled_parts_have_one_label(seed: int, region: tuple[str, str]) -> None:
    dense = random_dense(seed, (36, 12, 10, 3))
    rungs = rungs_of(seed, *region)
    part = some_part(rungs, seed)
    values = NumpyEvaluator(dense).outputs(rungs.images(part.masks(0, 10**6)))
    said = values.argmax(axis=1)
    for label in range(3):
        settled = CertainLabels(float32_enclosure(dense), rungs, label).settle(part)
        margins = values[:, label] - np.delete(values, label, axis=1).max(axis=1)
        if settled.label is not None:
            assert (said == settled.label).all()
            assert (
                (margins >= settled.margin).all()
                if settled.label == label
                else (margins <= settled.margin).all()
            )


def test_settling_happens_both_ways() -> None:
    """Right everywhere and wrong everywhere are both recognised."""
    found = set()
    for seed in range(20):
        dense, rungs = random_dense(seed, (36, 12, 10, 3)), rungs_of(seed, "1", "1/16")
        for label in range(3):
            settled = CertainLabels(float32_enclosure(dense), rungs, label).settle(whole(rungs))
            found.add(None if settled.label is None else settled.label == label)
    assert {True, False} <= found


def test_ties_are_never_settled() -> None:
    dense = random_dense(3, (36, 8, 3))
    last = dense.layers[-1]
    weights, bias = last.weights.copy(), last.bias.copy()
    weights[:, 1], bias[1] = weights[:, 0], bias[0]
    twin = Dense((*dense.layers[:-1], Layer(weights, bias, relu=False)))
    rungs = rungs_of(0)
    for label in (0, 1):
        assert (
            CertainLabels(float32_enclosure(twin), rungs, label).settle(whole(rungs)).label != label
        )


def saturating(cap: float, floor: float) -> Enclosure:
    """One layer of two outputs, x0 and 0.5 + x0, whose stored outputs end at `floor` and `cap`."""
    weights = np.zeros((36, 2))
    weights[:, 0] = weights[:, 1] = 0.25
    return Enclosure(
        (EnclosedLayer(weights, np.array([0.0, 0.5]), False, 4, cap=cap, floor=floor),)
    )


def test_outputs_that_saturate_are_not_settled() -> None:
    rungs = rungs_of(1)
    free = CertainLabels(saturating(float("inf"), -float("inf")), rungs, 1).settle(whole(rungs))
    assert free.label == 1
    assert CertainLabels(saturating(0.1, -9.0), rungs, 1).settle(whole(rungs)).label is None, (
        "both stand at the cap"
    )
    assert CertainLabels(saturating(999.0, 500.0), rungs, 1).settle(whole(rungs)).label is None, (
        "both stand at the floor"
    )
    assert CertainLabels(saturating(999.0, -9.0), rungs, 1).settle(whole(rungs)).label == 1


def test_margins_are_those_of_outputs_before_they_are_cut() -> None:
    """A label at the cap or a class at the floor leads by less than the bound; by no less than what
    `Enclosure.shown` says."""
    less = settled = 0
    for seed in range(60):
        rng, rungs, label = np.random.default_rng(seed), rungs_of(seed), seed % 3
        weights, bias = rng.normal(size=(36, 3)), rng.normal(size=3) * 3
        bias[label] += 6
        layer = EnclosedLayer(
            weights, bias, False, 4, cap=float(rng.uniform(2, 12)), floor=float(rng.uniform(-12, 0))
        )
        enclosure, images = Enclosure((layer,)), rungs.images(rungs.knapsack.masks(0, rungs.count))
        margins = LadderBounds(enclosure, rungs, label).margins(whole(rungs))
        if not proves(enclosure, label, margins):
            continue
        settled += 1
        outputs = images.astype(np.float64) @ weights + bias
        leads = [
            each[:, label] - np.delete(each, label, axis=1).max(axis=1)
            for each in (outputs, np.clip(outputs, layer.floor, layer.cap))
        ]
        shown, top = (
            enclosure.shown(float(margins.low.min())),
            float(np.delete(margins.most, label).max()),
        )
        left = min(layer.cap - max(top, layer.floor), float(margins.least[label]) - layer.floor)
        assert leads[0].min() >= shown
        assert leads[1].min() >= min(shown, left) > 0
        less += bool(leads[1].min() < shown)
    assert settled > 15
    assert less > 5


def test_a_cap_inside_the_network_is_part_of_the_bound() -> None:
    """Hidden outputs saturate: the real network without the cap would be far off."""
    rng = np.random.default_rng(5)
    first = EnclosedLayer(np.abs(rng.normal(size=(36, 6))) / 12, np.zeros(6), True, 40, cap=1.5)
    last = EnclosedLayer(rng.normal(size=(6, 3)), rng.normal(size=3), False, 10)
    enclosure = Enclosure((first, last))

    def run(images: Floats) -> Floats:
        hidden = np.minimum(np.maximum(images.astype(np.float64) @ first.weights, 0), 1.5)
        return (hidden @ last.weights + last.bias).astype(np.float32)

    filled = [
        check_containment(enclosure, run, rungs_of(seed, "9", "1"), seed, seed % 3)
        for seed in range(30)
    ]
    assert max(filled) > 0.05


def test_overflow_bounds_nothing() -> None:
    huge = Dense(
        (
            Layer(np.full((36, 4), 3e38, np.float32), np.zeros(4, np.float32), True),
            Layer(np.full((4, 2), 3e38, np.float32), np.zeros(2, np.float32), False),
        )
    )
    rungs = rungs_of(1)
    found = LadderBounds(float32_enclosure(huge), rungs, 0).margins(whole(rungs))
    assert np.isneginf(found.low).all()
    assert np.isposinf(found.high).all()
    assert CertainLabels(float32_enclosure(huge), rungs, 0).settle(whole(rungs)).label is None


def test_only_dense_networks_have_an_enclosure(tmp_path: Path) -> None:
    network = Network("m", "0" * 64, "onnx", "onnxruntime", 36, 3, SHAPE)
    assert enclosure_of(network) is None
