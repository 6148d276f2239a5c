"""The layers from which each layer is computed, as the readers of every format tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.networks.load import load_network
from relrob.networks.weighted import Weighted, weights_of
from tests import branched_onnx
from tests.make_networks import convert, keras, save, write_keras1
from tests.support import random_dense

SHAPE = (6, 6, 3)
# By the shape of a layer: those of the layers from which it is computed, and whether an activation
# stands between.
STEM, DEPTHWISE, POINTWISE, SHORTCUT, LAST = (8, 27), (8, 9), (8, 8), (8, 200), (3, 8)
SEPARABLE = {
    STEM: (set(), False),
    DEPTHWISE: ({STEM}, True),
    POINTWISE: ({STEM, DEPTHWISE}, False),
    SHORTCUT: ({STEM}, False),
    LAST: ({STEM, DEPTHWISE, POINTWISE, SHORTCUT}, True),
}
SECOND = (8, 72)
BRANCHED = {
    STEM: (set(), False),
    POINTWISE: ({STEM}, True),
    SECOND: ({STEM, POINTWISE}, True),
    SHORTCUT: ({STEM}, False),
    LAST: ({STEM, POINTWISE, SECOND, SHORTCUT}, True),
}


def read(path: Path) -> tuple[Weighted, ...]:
    return weights_of(load_network(path, image_shape=SHAPE, classes=3))


def behind(layers: tuple[Weighted, ...]) -> dict[Any, Any]:
    """By the shape of a layer, as in `SEPARABLE`."""
    assert len({layer.shape for layer in layers}) == len(layers)
    return {
        layer.shape: ({layers[number].shape for number in layer.ancestors}, layer.activated)
        for layer in layers
    }


def separable(activation: str | None = None) -> Any:
    """A separable convolution behind a ReLU, and a shortcut that is built after it. `activation`:
    of the stem."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    stem = layers.Conv2D(8, 3, padding="same", activation=activation)(given)
    main = layers.SeparableConv2D(8, 3, padding="same", activation="relu")(layers.ReLU()(stem))
    beside = layers.Conv2D(8, 5, padding="same")(layers.Dropout(0.5)(stem))
    value = layers.Activation("relu")(layers.Add()([beside, main]))
    return keras().Model(given, layers.Dense(3)(layers.GlobalAveragePooling2D()(value)))


@pytest.mark.parametrize("suffix", ["keras", "h5", "tflite", "int8.tflite", "float16.tflite"])
def test_branches_of_a_keras_graph_have_the_ancestors_that_it_wires(
    tmp_path: Path, suffix: str
) -> None:
    path, model = tmp_path / f"n.{suffix}", separable()
    if suffix.endswith("tflite"):
        path.write_bytes(convert(model, suffix.removesuffix("tflite").rstrip(".") or "float32"))
    else:
        save(model, path)
    assert behind(read(path)) == SEPARABLE


@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_an_activation_of_a_layer_stands_before_all_that_read_it(
    tmp_path: Path, suffix: str
) -> None:
    path, model = tmp_path / f"n.{suffix}", separable("relu")
    if suffix == "tflite":
        path.write_bytes(convert(model))
    else:
        save(model, path)
    assert behind(read(path)) == {**SEPARABLE, SHORTCUT: ({STEM}, True)}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_keras_layer_that_is_called_twice_is_two_layers(tmp_path: Path, suffix: str) -> None:
    layers = keras().layers
    given = layers.Input(SHAPE)
    shared, normal = layers.Conv2D(3, 1, name="shared"), layers.BatchNormalization()
    values = [normal(shared(given)), normal(shared(layers.MaxPooling2D(2)(given)))]
    left = layers.Conv2D(4, 1, name="left")(values[0])
    right = layers.Conv2D(4, 1, name="right")(shared(values[1]))
    means = [layers.GlobalAveragePooling2D()(each) for each in (left, right)]
    model = keras().Model(given, layers.Dense(3, name="last")(layers.Add()(means)))
    found = read(save(model, tmp_path / f"n.{suffix}"))
    names = {layer.label.split("'")[1]: layer for layer in found}
    calls = ["shared", "shared, call 2", "shared, call 3"]
    numbers = {each: found.index(layer) for each, layer in names.items()}
    assert set(names) == {*calls, "left", "right", "last"}
    assert [names[each].folded for each in calls] == [True, True, False]
    for name, wanted in (("left", calls[:1]), ("right", calls[1:]), (calls[2], calls[1:2])):
        assert names[name].ancestors == {numbers[each] for each in wanted}
    assert len(names["last"].ancestors) == 5
    kernel = model.get_layer("shared").get_weights()[0].reshape(3, 3).T
    np.testing.assert_array_equal(names[calls[2]].values, kernel)


@pytest.mark.parametrize("form", branched_onnx.FORMS)
@pytest.mark.parametrize("shortcut_first", [False, True])
def test_branches_of_an_onnx_graph_have_the_ancestors_that_it_wires(
    tmp_path: Path, form: str, shortcut_first: bool
) -> None:
    path = tmp_path / "n.onnx"
    data = branched_onnx.branched(5, shortcut_first=shortcut_first)
    path.write_bytes(branched_onnx.in_form(data, form))
    # In this form the quantiser drops a ReLU although another node reads its input too.
    dropped = {POINTWISE: ({STEM}, False)} if form == "operators" else {}
    assert behind(read(path)) == {**BRANCHED, **dropped}


def test_each_layer_of_a_chain_is_computed_from_all_before(tmp_path: Path) -> None:
    path = write_keras1(random_dense(1, (108, 8, 7, 3)), tmp_path / "n.h5")
    assert [layer.ancestors for layer in read(path)] == [set(), {0}, {0, 1}]
