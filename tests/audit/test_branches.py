"""Networks whose branches a file lists in another order than the reference: the pair is faithful,
and weights that went elsewhere in the graph are told."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.audit.ancestry import parents
from relrob.audit.matching import matched
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.networks.load import load_network
from relrob.networks.weighted import Weighted
from tests import branched_onnx
from tests import planted_pairs as plant
from tests.audit.stacks import Graph, branched, compared, normalisations
from tests.make_networks import convert


def conv(layers: Any, name: str, side: int = 1, relu: bool = False) -> Any:
    """A convolution of eight outputs with a name."""
    activation = "relu" if relu else None
    return layers.Conv2D(8, side, padding="same", activation=activation, name=name)


def shortcut_behind_the_main_path(layers: Any, value: Any) -> Any:
    """A block of a ResNet of the second version."""
    value = conv(layers, "stem", 3)(value)
    main = layers.ReLU()(layers.BatchNormalization()(value))
    main = conv(layers, "reduce", relu=True)(main)
    main = conv(layers, "middle", 3, relu=True)(main)
    main = conv(layers, "expand")(main)
    value = layers.Add()([conv(layers, "shortcut")(value), main])
    return layers.Flatten()(layers.ReLU()(value))


def one_convolution_and_a_shortcut(layers: Any, value: Any) -> Any:
    """A branch behind a ReLU, and one that is not; the sum of both."""
    value = conv(layers, "stem", 3)(value)
    main = conv(layers, "main")(layers.ReLU()(layers.BatchNormalization()(value)))
    value = layers.Add()([conv(layers, "shortcut")(value), main])
    return layers.Flatten()(layers.ReLU()(value))


def inception(layers: Any, value: Any) -> Any:
    """Branches of one convolution, of two and of three; the longest is built first."""
    value = conv(layers, "stem", 3, relu=True)(value)
    longest = conv(layers, "long_1", relu=True)(value)
    longest = conv(layers, "long_2", 3, relu=True)(longest)
    longest = conv(layers, "long_3", 3, relu=True)(longest)
    long = conv(layers, "short_2", 3, relu=True)(conv(layers, "short_1", relu=True)(value))
    pooled = layers.MaxPooling2D(3, 1, padding="same")(value)
    short, beside = conv(layers, "one", relu=True)(value), conv(layers, "pooled", relu=True)(pooled)
    return layers.Flatten()(layers.Concatenate()([short, long, longest, beside]))


def towers(layers: Any, value: Any) -> Any:
    """Two towers of equal layers, the second of which is built first."""
    made = []
    for name in ("left", "right"):
        side = layers.MaxPooling2D(2)(value) if name == "left" else value
        side = conv(layers, f"{name}_1", 3, relu=True)(side)
        side = conv(layers, f"{name}_2", 3, relu=True)(side)
        side = conv(layers, f"{name}_3", 3, relu=True)(side)
        made.append(layers.Flatten()(side))
    return layers.Concatenate()(made[::-1])


def siamese(layers: Any, value: Any) -> Any:
    """Two towers of which the first layers are the same."""
    shared = [conv(layers, f"shared_{number}", 3, relu=True) for number in (1, 2)]
    value = conv(layers, "stem")(value)
    made = []
    for name in ("left", "right"):
        side = layers.MaxPooling2D(2)(value) if name == "left" else value
        side = conv(layers, name, 3, relu=True)(shared[1](shared[0](side)))
        made.append(layers.Flatten()(side))
    return layers.Concatenate()(made)


GRAPHS: dict[str, Graph] = {
    "a shortcut behind the main path": shortcut_behind_the_main_path,
    "one convolution and a shortcut": one_convolution_and_a_shortcut,
    "branches of an inception": inception,
    "two towers": towers,
    "towers that share layers": siamese,
}
SCHEMES = ("int8", "float16", "dynamic")


@cache
def made(name: str, scheme: str) -> tuple[Any, bytes]:
    """A model and its faithful quantisation."""
    model = branched(GRAPHS[name])
    return model, convert(model, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", GRAPHS)
def test_branches_in_another_order_are_no_fault(tmp_path: Path, name: str, scheme: str) -> None:
    report = compared(*made(name, scheme), tmp_path)
    assert report.read
    assert report.diagnoses == ()
    assert all(row["beyond_rounding"] == 0 for row in report.layers)


def swapped(name: str, layers: tuple[str, str], folder: Path, scheme: str) -> WeightReport:
    """A faithful file in which two layers change places."""
    pair = made(name, scheme)
    rows = compared(*pair, folder).layers
    found = (
        next(place for place, row in enumerate(rows) if f"'{layer}'" in row["reference"])
        for layer in layers
    )
    return compared(*pair, folder, fault=plant.swapped_layers(*found))


SWAPS = (
    ("a shortcut behind the main path", ("reduce", "expand")),
    ("a shortcut behind the main path", ("reduce", "shortcut")),
    ("a shortcut behind the main path", ("expand", "shortcut")),
    ("one convolution and a shortcut", ("main", "shortcut")),
    ("branches of an inception", ("long_2", "long_3")),
    ("branches of an inception", ("long_1", "short_1")),
    ("branches of an inception", ("long_2", "short_2")),
    ("branches of an inception", ("one", "short_1")),
    ("two towers", ("left_2", "left_3")),
    ("two towers", ("left_2", "right_2")),
)


@pytest.mark.parametrize("scheme", ["int8", "float16"])
@pytest.mark.parametrize(("name", "layers"), SWAPS)
def test_two_layers_that_change_places_in_the_graph_are_told(
    tmp_path: Path, name: str, layers: tuple[str, str], scheme: str
) -> None:
    found = swapped(name, layers, tmp_path, scheme).diagnoses
    (told,) = (each for each in found if each.id == "swapped-layers")
    named = sorted(reference.split("'")[1] for _, reference in told.evidence["layers"])
    assert named == sorted(layers)


def step_on_both_branches(relu: bool) -> Graph:
    """A normalisation whose values two convolutions read, behind a ReLU or not."""

    def graph(layers: Any, value: Any) -> Any:
        value = conv(layers, "stem", 3, relu=not relu)(value)
        value = layers.BatchNormalization()(layers.MaxPooling2D(2)(value))
        value = layers.ReLU()(value) if relu else value
        both = [conv(layers, name, 3, relu=True)(value) for name in ("left", "right")]
        value = layers.Concatenate()(both)
        for name in ("last", "very_last"):
            value = conv(layers, name, 3, relu=True)(value)
        return layers.Flatten()(value)

    return graph


@pytest.mark.parametrize("scheme", ["int8", "float16"])
@pytest.mark.parametrize("relu", [False, True])
def test_a_step_that_feeds_two_branches_is_told_once(
    tmp_path: Path, relu: bool, scheme: str
) -> None:
    reference, quantised = (branched(step_on_both_branches(relu)) for _ in range(2))
    assert compared(reference, reference, tmp_path, scheme).diagnoses == ()
    (normal,) = normalisations(quantised)
    gamma, beta, mean, variance = normal.get_weights()
    normal.set_weights([gamma, beta, mean * 0.8, variance])
    found = compared(reference, quantised, tmp_path, scheme).diagnoses
    assert [each.id for each in found] == ["changed-weights"]


@pytest.mark.parametrize("form", branched_onnx.FORMS[1:])
@pytest.mark.parametrize("swap", [False, True])
def test_nodes_of_another_order_are_no_fault_and_weights_that_moved_are(
    tmp_path: Path, swap: bool, form: str
) -> None:
    quantised = branched_onnx.branched(shortcut_first=True, swapped=swap)
    data = branched_onnx.branched(), branched_onnx.in_form(quantised, form)
    paths = tmp_path / "reference.onnx", tmp_path / "quantised.onnx"
    for path, each in zip(paths, data, strict=True):
        path.write_bytes(each)
    one, other = (load_network(path, image_shape=branched_onnx.SHAPE, classes=3) for path in paths)
    images = branched_onnx.images().transpose(0, 2, 3, 1).reshape(64, -1)
    found = [each.id for each in compare_weights(one, other, images).diagnoses]
    assert ("swapped-layers" in found) == swap
    assert swap or not found


IMAGE = (4, 4, 3)


def layer(
    name: str, *ancestors: int, like: str = "", relu: bool = False, activated: bool = False
) -> Weighted:
    """A dense layer of 12x12 weights that its name seeds, or that another name does."""
    seed = sum((like or name).encode())
    values = np.random.default_rng(seed).standard_normal((12, 12))
    made = Weighted(name, "dense", values, (12,), "float32", len(ancestors) + 1, relu=relu)
    return replace(made, ancestors=frozenset(ancestors), activated=activated)


def told(reference: list[Weighted], quantised: list[Weighted]) -> dict[str, tuple[str, bool]]:
    """The layer of the reference that each of the quantised network is compared with, and whether
    it stands elsewhere."""
    matches = matched(reference, quantised, IMAGE)
    assert [match.place for match in matches] == list(range(len(quantised)))
    return {match.quantised.label: (match.reference.label, match.swapped) for match in matches}


def kept(*names: str) -> dict[str, tuple[str, bool]]:
    return {name: (name, False) for name in names}


def test_a_layer_of_another_branch_is_no_parent() -> None:
    layers = [layer("a"), layer("b", 0), layer("c"), layer("d", 0, 1, 2)]
    assert [each.label for each in parents(layers, 3)] == ["b", "c"]
    assert parents(layers, 0) == ()


def test_layers_of_equal_weights_stand_where_the_graph_has_them() -> None:
    """Two towers share their first layer, which each file holds twice."""
    ours = [layer("a"), layer("b", like="a"), layer("c", 0), layer("d", 1)]
    theirs = [layer("b", like="a"), layer("a"), layer("c", 1), layer("d", 0)]
    assert told(ours, theirs) == kept("a", "b", "c", "d")


def test_layers_of_unknown_weights_stand_where_the_graph_has_them() -> None:
    ours = [layer("a"), layer("b"), layer("c", 0), layer("d", 0, 2), layer("e", 1)]
    theirs = [layer("b", like="x"), layer("a", like="y"), layer("d", 1, 3, like="z"), layer("c", 1)]
    theirs.append(layer("e", 0))
    assert told(ours, theirs) == kept("a", "b", "c", "d", "e")


@pytest.mark.parametrize("ring", [(1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_every_layer_of_a_chain_that_stands_elsewhere_is_told(ring: tuple[int, ...]) -> None:
    names = "abc"
    ours = [layer(name, *range(place)) for place, name in enumerate(names)]
    theirs = [layer(names[each], *range(place)) for place, each in enumerate(ring)]
    wanted = {names[each]: (names[each], each != place) for place, each in enumerate(ring)}
    assert told(ours, theirs) == wanted


def test_whole_branches_may_change_places() -> None:
    ours = [layer("a"), layer("b", 0), layer("c"), layer("d", 2), layer("e", 0, 1, 2, 3)]
    theirs = [layer("c"), layer("d", 0), layer("a"), layer("b", 2), layer("e", 0, 1, 2, 3)]
    assert told(ours, theirs) == kept("a", "b", "c", "d", "e")


@pytest.mark.parametrize("swap", [False, True])
def test_where_the_graphs_differ_only_layers_in_the_other_direction_are_told(swap: bool) -> None:
    """The quantised network does not tell that d reads b."""
    ours = [layer("a"), layer("b", 0), layer("c", 0), layer("d", 0, 1)]
    one, other = ("b", "a") if swap else ("a", "b")
    theirs = [layer(one), layer("c", 0), layer(other, 0), layer("d", 0)]
    assert told(ours, theirs) == {**kept("c", "d"), "a": ("a", swap), "b": ("b", swap)}


def test_where_the_graphs_differ_branches_are_not_told() -> None:
    """The quantised network tells that d reads c, not b, and that e reads a alone."""
    ours = [layer("a"), layer("b", 0), layer("c", 0), layer("d", 0, 1), layer("e", 0, 1, 2, 3)]
    theirs = [*ours[:3], layer("d", 0, 2), layer("e", 0)]
    assert told(ours, theirs) == kept("a", "b", "c", "d", "e")


@pytest.mark.parametrize("field", ["relu", "activated"])
@pytest.mark.parametrize(
    ("ours", "theirs"), list(itertools.product([(True, False), (True, True)], repeat=2))
)
def test_parallel_layers_differ_where_each_has_the_activation_of_the_other(
    field: str, ours: tuple[bool, bool], theirs: tuple[bool, bool]
) -> None:
    one, other = (
        [
            layer(name, relu=bent and field == "relu", activated=bent and field == "activated")
            for name, bent in zip(names, bends, strict=True)
        ]
        for names, bends in (("ab", ours), ("ba", theirs))
    )
    swapped = ours == theirs == (True, False)
    assert told(one, other) == {name: (name, swapped) for name in "ab"}


@pytest.mark.parametrize("beside", [False, True])
def test_the_features_of_a_dense_layer_are_those_that_it_reads(beside: bool) -> None:
    """Four channels of six places in another order, alone or with three of another branch listed
    between."""
    rng = np.random.default_rng(2)
    first = Weighted("f", "conv", rng.standard_normal((4, 27)), (3, 3, 3), "float32", 1)
    other = Weighted("o", "conv", rng.standard_normal((3, 27)), (3, 3, 3), "float32", 1)
    values = rng.standard_normal((5, 24))
    last = Weighted("l", "dense", values, (24,), "float32", 2, ancestors=frozenset({0}))
    turned = replace(last, values=values.reshape(5, 6, 4).transpose(0, 2, 1).reshape(5, 24))
    between = [other] if beside else []
    *_, match = matched([first, *between, last], [first, *between, turned], IMAGE)
    assert match.moved
    assert match.cosine == pytest.approx(1)
