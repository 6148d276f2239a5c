"""Steps before a layer that LiteRT's converter folds into its weights: the pair is faithful, and
what is wrong with it keeps its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.domain.contract import input_options
from relrob.networks.folds import forms, taken
from relrob.networks.weighted import Affine, Weighted
from tests import planted_pairs as plant
from tests.audit.stacks import SHAPE, Stack, built, compared, disable, normalisations, seeded
from tests.make_networks import keras

Array = NDArray[Any]


def adapted(layers: Any) -> Any:
    """A Normalization of one mean and variance a channel."""
    return layers.Normalization(axis=-1, mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.16])


# A stack, and whether the converter folds something into weights that hold the reference's.
STACKS: dict[str, tuple[Stack, bool]] = {
    "rescaling, then a convolution": (
        lambda k: [k.Rescaling(2.0, offset=-1.0), k.Conv2D(8, 3, activation="relu"), k.Flatten()],
        True,
    ),
    "rescaling, then one that pads": (
        lambda k: [k.Rescaling(2.0, offset=-1.0), k.Conv2D(8, 3, padding="same"), k.Flatten()],
        False,
    ),
    "a factor, then one that pads": (
        lambda k: [
            *(k.Rescaling(2.0), k.RandomFlip(), k.RandomRotation(0.1), k.RandomZoom(0.1)),
            *(k.Conv2D(8, 3, padding="same"), k.ReLU(), k.Flatten()),
        ],
        True,
    ),
    "a model of layers that augment": (
        lambda k: [
            keras().Sequential([k.RandomFlip(), k.RandomRotation(0.1)]),
            *(k.Rescaling(2.0, offset=-1.0), k.Conv2D(8, 3, activation="relu"), k.Flatten()),
        ],
        True,
    ),
    "rescaling, then a depthwise convolution": (
        lambda k: [
            k.Rescaling(2.0, offset=-1.0),
            k.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
            k.Conv2D(8, 1, activation="relu"),
            k.Flatten(),
        ],
        True,
    ),
    "channels normalised": (
        lambda k: [adapted(k), k.Conv2D(8, 3, activation="relu"), k.Flatten()],
        False,
    ),
    "a normalisation before groups of channels": (
        lambda k: [
            *(k.Conv2D(8, 3, activation="relu"), k.BatchNormalization()),
            *(k.Conv2D(6, 3, groups=2, activation="relu"), k.Flatten()),
        ],
        False,
    ),
    "flat, rescaling, dense": (
        lambda k: [k.Flatten(), k.Rescaling(2.0, offset=-1.0), k.Dense(24, "relu")],
        True,
    ),
    "a batch normalisation first": (
        lambda k: [k.Flatten(), k.BatchNormalization(), k.Dense(24, "relu")],
        True,
    ),
    "batch normalisations behind ReLU": (
        lambda k: [
            k.Flatten(),
            *(k.Dense(24, "relu"), k.BatchNormalization()),
            *(k.Dense(24, "relu"), k.BatchNormalization()),
        ],
        True,
    ),
    "two steps, of which one is folded": (
        lambda k: [
            k.Conv2D(8, 3, padding="same", activation="relu"),
            *(k.BatchNormalization(), k.Flatten(), k.BatchNormalization()),
        ],
        True,
    ),
    "a dilated convolution, whose bias comes later": (
        lambda k: [k.Conv2D(8, 3, dilation_rate=2, activation="relu"), k.Flatten()],
        False,
    ),
    "a factor behind a layer": (
        lambda k: [k.Flatten(), k.Dense(24), k.Rescaling(0.25, offset=0.5), k.ReLU()],
        True,
    ),
    "a bottleneck without a ReLU": (
        lambda k: [
            *(k.Conv2D(4, 1, use_bias=False), k.BatchNormalization()),
            *(k.Conv2D(8, 1, use_bias=False), k.BatchNormalization(), k.ReLU(6.0), k.Flatten()),
        ],
        True,
    ),
    "dense layers in a row": (
        lambda k: [k.Flatten(), k.Dense(24), k.Dense(16), k.Dense(12), k.ReLU()],
        True,
    ),
    "dense layers and normalisations in a row": (
        lambda k: [
            *(k.Flatten(), k.Dense(24), k.BatchNormalization(), k.Dropout(0.2)),
            *(k.Dense(16), k.Rescaling(0.5, offset=0.1), k.Dense(12), k.ReLU()),
        ],
        True,
    ),
    "a convolution without a ReLU, then a dense layer": (
        lambda k: [k.Conv2D(4, 3), k.BatchNormalization(), k.Flatten(), k.Dense(24), k.ReLU()],
        True,
    ),
    "normalised on both sides": (
        lambda k: [
            k.BatchNormalization(),
            *(k.Conv2D(8, 3), k.BatchNormalization(), k.ReLU(6.0), k.Dropout(0.2)),
            *(k.SeparableConv2D(8, 3), k.BatchNormalization(), k.ReLU()),
            k.GlobalAveragePooling2D(),
        ],
        True,
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_what_the_converter_folds_in_is_no_fault(tmp_path: Path, name: str) -> None:
    stack, folds = STACKS[name]
    model = built(stack)
    report = compared(model, model, tmp_path)
    assert report.read
    assert report.diagnoses == ()
    assert all(row["beyond_rounding"] == 0 for row in report.layers)
    assert all(row["biases_beyond_rounding"] == 0 for row in report.layers)
    assert any(row["folded"] for row in report.layers) == folds


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a batch normalisation first", "changed-weights"),
        ("batch normalisations behind ReLU", "stale-weights"),
    ],
)
def test_another_state_of_the_normalisations_is_told(
    tmp_path: Path, name: str, expected: str
) -> None:
    """Of one layer it changes the weights, of most it is another state of the network."""
    reference, quantised = (built(STACKS[name][0]) for _ in range(2))
    rng = np.random.default_rng(8)
    for layer in normalisations(quantised):
        layer.set_weights(
            [each * rng.uniform(0.8, 1.2, each.shape) for each in layer.get_weights()]
        )
    found = compared(reference, quantised, tmp_path).diagnoses
    assert [each.id for each in found] == [expected]


def left_out(model: Any) -> None:
    """Its normalisations do nothing."""
    for layer in normalisations(model):
        disable(layer)


def twice(model: Any) -> None:
    """What the first normalisation multiplies by is in the next layer as well."""
    at = next(
        number
        for number, layer in enumerate(model.layers)
        if isinstance(layer, keras().layers.BatchNormalization)
    )
    gamma, _, _, variance = model.layers[at].get_weights()
    weights, *rest = model.layers[at + 1].get_weights()
    factor = gamma / np.sqrt(variance + model.layers[at].epsilon)
    model.layers[at + 1].set_weights([weights * factor[:, None], *rest])


def unbiased(model: Any) -> None:
    """The first dense layer has lost its bias."""
    layer = next(each for each in model.layers if isinstance(each, keras().layers.Dense))
    weights, bias = layer.get_weights()
    layer.set_weights([weights, 0 * bias])


@pytest.mark.parametrize(
    ("name", "fault", "expected"),
    [
        ("a bottleneck without a ReLU", left_out, {"changed-weights"}),
        ("a bottleneck without a ReLU", twice, {"changed-scale", "changed-bias"}),
        ("dense layers in a row", unbiased, {"changed-bias"}),
        ("dense layers and normalisations in a row", unbiased, {"changed-bias"}),
    ],
)
def test_what_is_in_neither_of_two_layers_or_in_both_is_told(
    tmp_path: Path, name: str, fault: Callable[[Any], None], expected: set[str]
) -> None:
    reference, quantised = (built(STACKS[name][0]) for _ in range(2))
    fault(quantised)
    found = {each.id for each in compared(reference, quantised, tmp_path).diagnoses}
    assert found == expected


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [4, 3, 1, 0, 2]])
def test_classes_in_another_order_are_told_behind_a_folded_step(
    tmp_path: Path, order: list[int]
) -> None:
    stack = STACKS["batch normalisations behind ReLU"][0]
    reference, quantised = built(stack), built(stack)
    last = quantised.layers[-1]
    last.set_weights([each[..., order] for each in last.get_weights()])
    found = compared(reference, quantised, tmp_path).diagnoses
    assert [each.id for each in found] == ["permuted-classes"]


def test_branches_that_share_their_codes_have_no_wrong_zero_point(tmp_path: Path) -> None:
    """What a ReLU gives has the codes of the values below 0 that it is joined with."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    branches = [layers.Conv2D(4, 3, activation="relu")(given), layers.Conv2D(4, 3)(given)]
    joined = layers.MaxPooling2D()(branches[0]), layers.MaxPooling2D()(branches[1])
    value = layers.Flatten()(layers.Concatenate()(joined))
    model = keras().Model(given, layers.Dense(5)(value))
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(0, 0.3, each.shape) for each in model.get_weights()])
    report = compared(model, model, tmp_path)
    assert report.read
    assert report.diagnoses == ()


JUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Maximum": lambda layers, bent, plain: layers.Maximum()([bent, plain]),
    "Minimum": lambda layers, bent, plain: layers.Minimum()([bent, plain]),
    "Add": lambda layers, bent, plain: layers.Add()([bent, plain]),
    "Add, pooled": lambda layers, bent, plain: layers.Add()(
        [layers.MaxPooling2D()(bent), layers.MaxPooling2D()(plain)]
    ),
    "resized": lambda layers, bent, plain: layers.Concatenate()(
        [layers.UpSampling2D()(bent), layers.UpSampling2D()(plain)]
    ),
    "largest": lambda layers, bent, plain: layers.Concatenate()(
        [layers.GlobalMaxPooling2D()(bent), layers.GlobalMaxPooling2D()(plain)]
    ),
    "sum, joined": lambda layers, bent, plain: layers.Concatenate()(
        [layers.Add()([bent, plain]), plain]
    ),
}


@pytest.mark.parametrize(
    ("junction", "moved"), [*((name, 0) for name in JUNCTIONS), ("Add", 12), ("Add", -12)]
)
def test_a_relu_has_the_range_of_what_it_is_joined_with(
    tmp_path: Path, junction: str, moved: int
) -> None:
    """Where the zero point of the ReLU alone moves, that is told."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    bent, plain = layers.Conv2D(4, 3, activation="relu")(given), layers.Conv2D(4, 3)(given)
    value = layers.Flatten()(JUNCTIONS[junction](layers, bent, plain))
    model = seeded(keras().Model(given, layers.Dense(5)(value)))
    fault = plant.zero_point(0, moved) if moved else None
    report = compared(model, model, tmp_path, fault=fault)
    assert report.read
    assert [each.id for each in report.diagnoses] == (["changed-zero-point"] if moved else [])


def test_normalisations_that_were_left_out_are_told(tmp_path: Path) -> None:
    """Behind a ReLU nothing can have gone into the next layer."""
    normal: Stack = lambda k: [  # noqa: E731
        *(k.Flatten(), k.Dense(24), k.BatchNormalization(), k.ReLU()),
        *(k.Dense(24), k.BatchNormalization(), k.ReLU()),
    ]
    without: Stack = lambda k: [  # noqa: E731
        *(k.Flatten(), k.Dense(24), k.ReLU(), k.Dense(24), k.ReLU()),
    ]
    reference, quantised = built(normal), built(without)
    dense = [each for each in reference.layers if isinstance(each, keras().layers.Dense)]
    left = [each for each in quantised.layers if isinstance(each, keras().layers.Dense)]
    for one, other in zip(dense, left, strict=True):
        other.set_weights(one.get_weights())
    found = compared(reference, quantised, tmp_path).diagnoses
    assert [each.id for each in found] == ["stale-weights"]


def test_a_step_that_only_one_network_makes_is_told(tmp_path: Path) -> None:
    """The converted network reads pixels of 0 to 255, which only the reference divides."""
    dense: Stack = lambda k: [k.Flatten(), k.Dense(24, "relu")]  # noqa: E731
    levels: Stack = lambda k: [k.Flatten(), k.Rescaling(1 / 255), k.Dense(24, "relu")]  # noqa: E731
    found = compared(built(dense), built(levels), tmp_path, "dynamic").diagnoses
    assert [each.id for each in found] == ["input-scale"]


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_the_forms_of_a_layer_compute_the_same(kind: str, groups: int) -> None:
    """Each form, behind the steps that it leaves, against the layer behind all of them."""
    rng = np.random.default_rng(5)
    outputs, fan = (6, 4) if kind == "depthwise" else (6, 12)
    groups = groups if kind == "conv" else 1
    values, bias = rng.normal(size=(outputs, fan)), rng.normal(size=outputs)
    one, more = (Affine(rng.normal(size=n), rng.normal(size=n)) for n in (1, 3 * groups))
    layer = Weighted("", kind, values, (2, fan // 6, 3), "float32", 1, bias=bias)
    behind = layer.fed_by([one, more])
    # What each output reads, (outputs, fan), and the channel of each: outputs 2 c and 2 c + 1 of a
    # depthwise convolution read channel c, each group of outputs the next 3.
    given = rng.normal(size=(outputs, fan))
    group = np.arange(outputs)[:, None] // (outputs // groups)
    channel = np.arange(fan) % 3 + 3 * group
    if kind == "depthwise":
        channel = np.arange(outputs)[:, None] // 2
    factor, shift = more.factor[channel], more.shift[channel]
    middle = given * one.factor + one.shift
    read = [middle * factor + shift, middle + shift / factor, middle]
    read += [given + one.shift / one.factor, given]
    right = (values * read[0]).sum(axis=1) + bias
    for form, inputs in zip(forms(behind), read, strict=True):
        assert form.bias is not None
        np.testing.assert_allclose((form.values * inputs).sum(axis=1) + form.bias, right)


def test_a_shift_before_padding_stays() -> None:
    """Zeros stand around the image, which the shift does not reach."""
    rng = np.random.default_rng(6)
    layer = Weighted("", "conv", rng.normal(size=(2, 9)), (3, 3, 1), "float32", 1, padded=True)
    moved, scaled = Affine(np.full(1, 2.0), np.full(1, -1.0)), Affine(np.full(1, 2.0), np.zeros(1))
    assert [form.bias is None for form in forms(layer.fed_by([moved]))] == [True, True]
    assert len(list(forms(layer.fed_by([scaled, scaled])))) == 5
    assert taken(layer, moved) is None
    assert taken(layer, scaled) is not None


def test_a_shift_that_was_folded_in_before_padding_is_told(tmp_path: Path) -> None:
    """Such a file computes something else at the border."""
    reference = built(STACKS["rescaling, then one that pads"][0])
    quantised = built(lambda k: [k.Conv2D(8, 3, padding="same"), k.Flatten()])
    weights, bias = reference.layers[1].get_weights()
    quantised.layers[0].set_weights([2.0 * weights, bias - weights.sum(axis=(0, 1, 2))])
    quantised.layers[-1].set_weights(reference.layers[-1].get_weights())
    found = {each.id for each in compared(reference, quantised, tmp_path).diagnoses}
    assert "changed-bias" in found


@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize("scheme", ["int8", "float16"])
def test_a_reference_of_levels_beside_a_file_of_shares(
    tmp_path: Path, scheme: str, leaky: bool
) -> None:
    """The first step before the first layer is another; its shift is the same."""

    def stack(scale: float) -> Stack:
        return lambda k: [
            k.Rescaling(scale, offset=-1.0),
            *([k.LeakyReLU(0.1), k.Rescaling(0.5)] if leaky else []),
            *(k.Conv2D(8, 3, activation="relu"), k.Flatten()),
        ]

    reference, quantised = built(stack(1 / 127.5)), built(stack(2.0))
    found = compared(reference, quantised, tmp_path, scheme, input_options(input_scale="255"))
    assert found.diagnoses == ()


def test_steps_of_other_channels_are_not_taken_in() -> None:
    layer = Weighted("", "dense", np.ones((2, 4)), (4,), "float32", 1)
    three, two = Affine(np.ones(3), np.ones(3)), Affine(np.full(2, 5.0), np.zeros(2))
    assert layer.fed_by([two, three]).before == ()
    (left,) = layer.fed_by([three, two]).before
    np.testing.assert_array_equal(left.factor, [[5.0, 5.0, 5.0, 5.0]])
    turned = replace(layer, before=(Affine(np.arange(4.0)[None], np.zeros((1, 1))),))
    (moved,) = turned.reordered(np.array([3, 2, 1, 0])).before
    np.testing.assert_array_equal(moved.factor, [[3.0, 2.0, 1.0, 0.0]])
