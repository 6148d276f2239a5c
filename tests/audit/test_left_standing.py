"""Steps that LiteRT's converter leaves as MUL and ADD: the pair is faithful, and a step that the
file makes otherwise, or not at all, is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.audit.weight_report import WeightReport
from tests.audit.stacks import (
    SHAPE,
    Stack,
    built,
    compared,
    disable,
    normalisations,
    seeded,
)
from tests.make_networks import keras

Array = NDArray[Any]

STACKS: dict[str, Stack] = {
    "before a convolution that pads": lambda k: [
        k.Conv2D(8, 3, activation="relu"),
        k.BatchNormalization(),
        *(k.Conv2D(8, 3, padding="same", activation="relu"), k.Flatten()),
    ],
    "on both sides of a maximum": lambda k: [
        *(k.Conv2D(8, 3, activation="relu"), k.BatchNormalization(), k.MaxPooling2D(2)),
        *(k.Rescaling(0.5, offset=0.2), k.Conv2D(8, 2, padding="same"), k.ReLU(), k.Flatten()),
    ],
    "before a mean that pads": lambda k: [
        *(k.Conv2D(8, 3, activation="relu"), k.BatchNormalization()),
        k.AveragePooling2D(3, 2, padding="same"),
        *(k.DepthwiseConv2D(2, padding="same", activation="relu"), k.GlobalMaxPooling2D()),
    ],
    "between a maximum and a ReLU": lambda k: [
        *(k.Conv2D(8, 3), k.MaxPooling2D(2), k.BatchNormalization(), k.ReLU()),
        *(k.Conv2D(8, 2, padding="same", activation="relu"), k.Flatten()),
    ],
    "before groups of channels": lambda k: [
        *(k.Conv2D(8, 3, activation="relu"), k.BatchNormalization()),
        *(k.Conv2D(6, 3, padding="same", groups=2, activation="relu"), k.Flatten()),
    ],
    "on the image, before a maximum": lambda k: [
        *(k.BatchNormalization(), k.MaxPooling2D(2)),
        *(k.Conv2D(8, 2, padding="same", activation="relu"), k.GlobalAveragePooling2D()),
    ],
}
SCHEMES = ("int8", "float16")
NORMAL = "before a convolution that pads"


def faithful(stack: Stack, folder: Path, scheme: str) -> WeightReport:
    """What is told of a model and its own quantisation: no fault."""
    model = built(stack)
    report = compared(model, model, folder, scheme)
    assert report.read
    assert report.diagnoses == ()
    return report


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", STACKS)
def test_steps_that_stand_in_the_file_are_no_fault(tmp_path: Path, name: str, scheme: str) -> None:
    report = faithful(STACKS[name], tmp_path, scheme)
    assert all(row["beyond_rounding"] == 0 for row in report.layers)


def at(place: int, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    """An array of the first normalisation is another: gamma, beta, mean, variance."""

    def edit(model: Any) -> None:
        layer = normalisations(model)[0]
        arrays = layer.get_weights()
        arrays[place] = change(arrays[place])
        layer.set_weights(arrays)

    return edit


def left_out(model: Any) -> None:
    """The first normalisation does nothing."""
    disable(normalisations(model)[0])


FAULTS: dict[str, Callable[[Any], None]] = {
    "left out": left_out,
    "smaller means": at(2, lambda values: values * 0.8),
    "variances of other channels": at(3, lambda values: np.roll(values, 1)),
    "one factor": at(0, lambda values: values * (1 + 0.5 * (np.arange(len(values)) == 1))),
    "one shift": at(1, lambda values: values + 0.5 * (np.arange(len(values)) == 1)),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("name", "fault"), list(itertools.product(STACKS, FAULTS)))
def test_a_step_that_the_file_makes_otherwise_is_told(
    tmp_path: Path, name: str, fault: str, scheme: str
) -> None:
    reference, quantised = built(STACKS[name]), built(STACKS[name])
    FAULTS[fault](quantised)
    found = compared(reference, quantised, tmp_path, scheme).diagnoses
    assert "changed-weights" in [each.id for each in found]
    assert {each.id for each in found} <= {"changed-weights", "changed-bias"}
    told = next(each for each in found if each.id == "changed-weights")
    assert "CONV_2D" in told.sentence


def test_a_step_in_the_weights_and_in_the_file_is_told(tmp_path: Path) -> None:
    """What the normalisation multiplies by is in the next layer, and stands before it as well."""
    reference, quantised = built(STACKS[NORMAL]), built(STACKS[NORMAL])
    (normal,) = normalisations(quantised)
    gamma, _, _, variance = normal.get_weights()
    factor = gamma / np.sqrt(variance + normal.epsilon)
    layer = quantised.layers[2]
    weights, bias = layer.get_weights()
    layer.set_weights([weights * factor[:, None], bias])
    found = {each.id for each in compared(reference, quantised, tmp_path).diagnoses}
    assert found == {"changed-weights"}


FAITHFUL: dict[str, Stack] = {
    "one number, whose factor alone is in the weights": lambda k: [
        k.Normalization(axis=None, mean=0.41, variance=0.07),
        *(k.Conv2D(8, 3, padding="same", activation="relu"), k.Flatten()),
    ],
    "a ReLU with a slope": lambda k: [
        *(k.Flatten(), k.Dense(24), k.ReLU(negative_slope=0.1), k.Dense(24), k.ReLU()),
    ],
    "a dilated convolution": lambda k: [
        *(k.Conv2D(8, 3, dilation_rate=2, activation="relu"), k.Flatten()),
    ],
}


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
@pytest.mark.parametrize("name", FAITHFUL)
def test_other_steps_and_activations_are_no_fault(tmp_path: Path, name: str, scheme: str) -> None:
    faithful(FAITHFUL[name], tmp_path, scheme)


def test_a_step_of_16_bits_is_told(tmp_path: Path) -> None:
    reference, quantised = built(STACKS[NORMAL]), built(STACKS[NORMAL])
    assert compared(reference, quantised, tmp_path, "int16x8").diagnoses == ()
    FAULTS["smaller means"](quantised)
    found = compared(reference, quantised, tmp_path, "int16x8").diagnoses
    assert [each.id for each in found] == ["changed-weights"]


Steps = Callable[[Any], list[Any]]
JOINED: dict[str, Steps] = {
    "a normalisation": lambda k: [k.BatchNormalization(), k.ReLU()],
    "a number": lambda k: [k.Rescaling(0.5, offset=0.2), k.ReLU()],
    "a slope": lambda k: [k.Rescaling(0.5, offset=0.2), k.LeakyReLU(0.1)],
    "steps around a ReLU": lambda k: [
        *(k.Rescaling(0.5, offset=0.2), k.ReLU(), k.Rescaling(2.0, offset=0.1)),
    ],
    "a sigmoid that is multiplied": lambda k: [
        *(k.BatchNormalization(), k.Activation("swish"), k.Rescaling(0.5), k.ReLU()),
    ],
}


def joined(junction: str, steps: Steps) -> Any:
    """Two convolutions, what joins them, these steps, and another convolution."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    branches = layers.Conv2D(4, 3)(given), layers.Conv2D(4, 3)(given)
    value = getattr(layers, junction)()(branches)
    for layer in steps(layers):
        value = layer(value)
    value = layers.Conv2D(8, 2, padding="same", activation="relu")(value)
    return seeded(keras().Model(given, layers.Dense(5)(layers.Flatten()(value))))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("junction", ["Add", "Concatenate", "Multiply"])
@pytest.mark.parametrize("name", JOINED)
def test_a_step_between_a_junction_and_an_activation(
    tmp_path: Path, name: str, junction: str, scheme: str
) -> None:
    """It stands in a faithful file, which may make an activation of parts; where it is left out,
    that is told."""
    model = joined(junction, JOINED[name])
    assert compared(model, model, tmp_path, scheme).diagnoses == ()
    kinds = keras().layers.Rescaling, keras().layers.BatchNormalization
    without = joined(junction, lambda k: [s for s in JOINED[name](k) if not isinstance(s, kinds)])
    weights = [layer for layer in model.layers if not isinstance(layer, kinds)]
    for one, other in zip(weights, without.layers, strict=True):
        other.set_weights(one.get_weights())
    found = [each.id for each in compared(model, without, tmp_path, scheme).diagnoses]
    assert found == ["changed-weights"]
