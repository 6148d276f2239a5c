"""The 3 that a hard sigmoid adds and the 6 by which it divides, which LiteRT's converter puts into
the layers around it: the pair is faithful, and what is wrong with these layers keeps its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.networks.load import load_network
from relrob.networks.weighted import weights_of
from tests.audit.stacks import SHAPE, Stack, built, compared, seeded
from tests.make_networks import keras, save

HARD = "hard_sigmoid"
STACKS: dict[str, Stack] = {
    "dense layers": lambda k: [k.Flatten(), k.Dense(24, HARD), k.Dense(24, HARD)],
    "behind normalisations": lambda k: [
        *(k.Conv2D(8, 3), k.BatchNormalization(), k.Activation(HARD)),
        *(k.Conv2D(16, 3, padding="same"), k.BatchNormalization(), k.Activation(HARD)),
        k.Flatten(),
    ],
    "before a normalisation": lambda k: [
        *(k.Conv2D(8, 3, activation=HARD), k.BatchNormalization()),
        *(k.Conv2D(16, 3, padding="same", activation=HARD), k.GlobalAveragePooling2D()),
    ],
    "behind a pool": lambda k: [
        *(k.Conv2D(16, 3), k.MaxPooling2D(), k.Activation(HARD)),
        *(k.DepthwiseConv2D(2, padding="same"), k.Flatten(), k.Dense(16)),
        *(k.Rescaling(0.5, offset=0.1), k.Activation(HARD)),
    ],
    "on the image": lambda k: [
        *(k.Activation(HARD), k.Conv2D(8, 3, activation="relu"), k.Flatten(), k.Dense(16)),
    ],
    "times the value": lambda k: [
        *(k.Conv2D(8, 3), k.BatchNormalization(), k.Activation("hard_swish")),
        *(k.Flatten(), k.Dense(16, "hard_swish")),
    ],
}
SCHEMES = ("int8", "dynamic", "float16")


def gated() -> Any:
    """A gate of a hard sigmoid, as in MobileNetV3."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    value = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(given))
    value = layers.Activation("hard_swish")(value)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(value)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation=HARD)(gate)
    value = layers.Flatten()(layers.Multiply()([value, gate]))
    value = layers.Dense(16)(value)
    return seeded(keras().Model(given, layers.Dense(5)(value)))


def model_of(name: str) -> Any:
    return gated() if name == "a gate" else built(STACKS[name])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*STACKS, "a gate"])
def test_a_hard_sigmoid_is_no_fault(tmp_path: Path, name: str, scheme: str) -> None:
    model = model_of(name)
    report = compared(model, model, tmp_path, scheme)
    assert report.read
    assert [each for each in report.diagnoses if each.blocking] == []
    assert all(row["beyond_rounding"] == 0 for row in report.layers)
    assert all(row["biases_beyond_rounding"] == 0 for row in report.layers)


def bias(number: int, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A layer with weights has other biases."""

    def edit(model: Any) -> None:
        layer = [each for each in model.layers if hasattr(each, "kernel")][number]
        weights, old = layer.get_weights()
        layer.set_weights([weights, change(old)])

    return edit


def weights(number: int, factor: float) -> Callable[[Any], None]:
    """A layer has its weights times a number."""

    def edit(model: Any) -> None:
        layer = [each for each in model.layers if hasattr(each, "kernel")][number]
        old, *rest = layer.get_weights()
        layer.set_weights([factor * old, *rest])

    return edit


FAULTS: dict[str, tuple[str, Callable[[Any], None], set[str]]] = {
    "no 3 in a bias": ("dense layers", bias(0, lambda old: old - 3), {"changed-bias"}),
    "one bias": (
        "dense layers",
        bias(0, lambda old: old + 0.5 * (np.arange(len(old)) == 2)),
        {"changed-bias"},
    ),
    "no 3 in the bias of a gate": ("a gate", bias(2, lambda old: old - 3), {"changed-bias"}),
    "weights that are not divided": ("dense layers", weights(1, 6.0), {"changed-weights"}),
    "weights that are divided twice": (
        "dense layers",
        weights(1, 1 / 6),
        {"changed-scale", "changed-weights"},
    ),
    "one and a half times the weights": (
        "behind normalisations",
        weights(2, 1.5),
        {"changed-scale", "changed-weights"},
    ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_beside_it_is_told(tmp_path: Path, fault: str, scheme: str) -> None:
    """Integers of other weights have another scale; floats are other weights."""
    name, edit, expected = FAULTS[fault]
    reference, quantised = model_of(name), model_of(name)
    edit(quantised)
    found = {each.id for each in compared(reference, quantised, tmp_path, scheme).diagnoses}
    assert found & expected
    assert found <= expected | {"calibration", "saturated-activations", "stale-weights"}


@pytest.mark.parametrize("name", ["dense layers", "behind a pool", "on the image"])
def test_layers_and_their_steps_make_the_activation(tmp_path: Path, name: str) -> None:
    """Each layer behind a hard sigmoid reads a sixth; what is added stands in a bias, or before the
    activation."""
    layers = weights_of(
        load_network(save(built(STACKS[name]), tmp_path / "m.keras"), image_shape=SHAPE, classes=5)
    )
    divided = [layer for layer in layers if layer.before]
    assert len(divided) == {"dense layers": 2, "behind a pool": 2, "on the image": 1}[name]
    for layer in divided:
        np.testing.assert_allclose([step.factor.ravel()[0] for step in layer.before], [1 / 6])
    assert [layer.capped for layer in layers].count(True) == {"dense layers": 2}.get(name, 0) + (
        name == "behind a pool"
    )
    added = [step.shift[0] for layer in layers for step, _ in layer.earlier]
    assert added == ([] if name == "dense layers" else [3.0])
