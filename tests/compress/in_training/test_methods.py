"""Methods of compression in training on a tiny network, stepped as a training loop does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from relrob.compress.in_training.asked import asked_method
from relrob.compress.in_training.parse import METHODS, parse
from relrob.domain.formats import FixedFormat
from relrob.errors import QuantiseError, UsageError
from relrob.registry import load
from tests import make_networks

RNG = np.random.default_rng(0)
IMAGES = RNG.random((64, 8, 8, 1)).astype(np.float32)
LABELS = (IMAGES[:, :4].mean(axis=(1, 2, 3)) > IMAGES[:, 4:].mean(axis=(1, 2, 3))).astype(np.int64)
KERNELS = ("conv0", "conv1", "fc0", "logits")


@cache
def tools() -> Any:
    """(keras, tensorflow, named)."""
    keras = make_networks.keras()
    named = load("relrob.compress.in_training.named:named")
    return keras, load("tests.tensorflow_here:tensorflow"), named


def network() -> Any:
    """Two convolutions with normalisation, two dense layers, a dropout."""
    keras, _, _ = tools()
    keras.utils.set_random_seed(0)
    values = image = keras.Input((8, 8, 1), name="image")
    for name, filters in (("conv0", 4), ("conv1", 5)):
        values = keras.layers.Conv2D(filters, 3, name=name)(values)
        values = keras.layers.BatchNormalization(name=f"{name}_bn")(values)
        values = keras.layers.ReLU(name=f"{name}_relu")(values)
    values = keras.layers.Flatten(name="flatten")(values)
    values = keras.layers.Dense(12, name="fc0")(values)
    values = keras.layers.ReLU(name="fc0_relu")(values)
    values = keras.layers.Dropout(0.2, seed=1, name="dropout")(values)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(values))


class Training:
    """A method on the network, with plain gradient descent."""

    def __init__(self, text: str, rate: float = 0.02) -> None:
        _, tf, named = tools()
        self.method = named(text)
        self.model = self.method.prepared(network())
        self.variables = self.method.trained(self.model)
        self.rate, self.steps, self._tf = rate, 0, tf
        self.method.shown(self.model, tf.constant(IMAGES))
        self.method.after_epoch(self.model, 0)

    def epoch(self, count: int = 4) -> None:
        tf = self._tf
        for _ in range(count):
            with tf.GradientTape() as tape:
                logits = self.method.logits(self.model, tf.constant(IMAGES), True)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits)
                )
            for variable, slope in zip(
                self.variables, tape.gradient(loss, self.variables), strict=True
            ):
                assert np.isfinite(slope).all(), variable.path
                variable.assign(variable.value - self.rate * slope)
            self.steps += 1
            if self.method.every_step:
                self.method.after_step(self.model, self.steps)
        self.method.after_epoch(self.model, 1)

    def baked(self) -> dict[str, Any]:
        """Kernels after baking, which changes no output."""
        before = self.method.logits(self.model, self._tf.constant(IMAGES), False).numpy()
        self.method.baked(self.model)
        assert np.array_equal(before, self.model(IMAGES, training=False).numpy())
        return {name: self.kernel(name) for name in KERNELS}

    def kernel(self, name: str) -> Any:
        return self.model.get_layer(name).kernel.numpy()


def names(model: Any) -> list[str]:
    """The layers of ours."""
    own = ("DoReFa", "APoT", "FixedPoint", "Mask")
    return [layer.name for layer in model.layers if type(layer).__name__ in own]


def test_dorefa_leaves_the_ends_and_the_last_activation_alone() -> None:
    training = Training("dorefa:2")
    training.epoch()
    kernels = training.baked()
    assert names(training.model) == ["conv0_relu_levels", "conv1_relu_levels"]
    for name in ("conv1", "fc0"):
        assert {*np.unique((kernels[name] + 1) * 1.5).round(5)} <= {0, 1, 2, 3}
    for name in ("conv0", "logits"):
        assert len(np.unique(kernels[name])) == kernels[name].size
    assert training.method.closes_units


def test_one_bit_of_dorefa_has_the_identity_as_gradient() -> None:
    _, tf, _ = tools()
    dorefa = load("relrob.compress.in_training.straight:dorefa")
    weights = tf.constant(RNG.normal(size=(4, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = tf.reduce_sum(dorefa(weights, 1) * 2.0)
    assert np.array_equal(tape.gradient(total, weights), np.full((4, 3), 2.0))


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_weights_in_training_are_those_of_the_pure_functions(bits: int) -> None:
    _, tf, _ = tools()
    straight = load("relrob.compress.in_training.straight:dorefa")
    pure = load("relrob.compress.weights:dorefa_weights")
    weights = RNG.normal(0, 0.4, (9, 6)).astype(np.float32)
    assert np.allclose(straight(tf.constant(weights), bits).numpy(), pure(weights, bits), atol=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_apot_quantises_normalised_weights_and_trains_its_scales(bits: int) -> None:
    training = Training(f"apot:{bits}")
    assert names(training.model) == ["conv1_input", "fc0_input"]
    normalised = load("relrob.compress.weights:normalised")
    pure = load("relrob.compress.weights:apot_weights")
    eight = load("relrob.compress.weights:eight_bits")
    raw, first = training.kernel("fc0"), training.kernel("conv0")
    before = [float(v.numpy()) for v in training.variables if "alpha" in v.path]
    assert sorted(before) == [3, 3, 8, 8]
    training.method.baked(training.model)
    assert np.allclose(training.kernel("fc0"), pure(normalised(raw), bits, 3.0), atol=1e-5)
    assert np.allclose(training.kernel("conv0"), eight(first), atol=1e-6)
    again = Training(f"apot:{bits}")
    again.epoch()
    again.baked()
    after = [float(v.numpy()) for v in again.variables if "alpha" in v.path]
    assert sum(a != b for a, b in zip(before, after, strict=True)) >= 3
    assert set(again.method.rates()) == {"_alpha_weights", "_input/alpha"}


def test_gradients_of_apot_are_those_of_the_paper() -> None:
    _, tf, _ = tools()
    apot = load("relrob.compress.in_training.straight:apot")
    weights = tf.constant(RNG.normal(size=200).astype(np.float32))
    alpha, factors = tf.constant(1.2), np.arange(1, 201, dtype=np.float32)
    with tf.GradientTape() as tape:
        tape.watch([weights, alpha])
        made = apot(weights, 3, alpha)
        total = tf.reduce_sum(made * factors)
    to_weights, to_alpha = tape.gradient(total, [weights, alpha])
    wide = weights.numpy().astype(np.float64)
    assert np.allclose(to_weights, factors / wide.std(ddof=1), rtol=1e-5)
    hat = (wide - wide.mean()) / wide.std(ddof=1)
    slope = np.where(np.abs(hat) > 1.2, np.sign(hat), (made.numpy() - hat) / 1.2)
    assert float(to_alpha) == pytest.approx(float((slope * factors).sum()), rel=1e-4)


def test_fixed_point_puts_weights_biases_and_every_activation_on_the_grid() -> None:
    training = Training("q:8:2")
    training.epoch()
    kernels = training.baked()
    assert names(training.model) == ["conv0_relu_fixed", "conv1_relu_fixed", "fc0_relu_fixed"]
    form = FixedFormat(8, 2)
    biases = [training.model.get_layer(name).bias.numpy() for name in KERNELS]
    for values in (*kernels.values(), *biases):
        assert np.array_equal(form.quantised(values), values)


def test_one_shot_pruning_stays_and_has_no_gradient() -> None:
    training = Training("magnitude:0.3")
    first = {name: training.method.state()[f"mask_{name}"] for name in KERNELS}
    raw = {name: training.kernel(name) for name in KERNELS}
    training.epoch()
    for name in KERNELS:
        assert first[name].sum() == round(0.3 * first[name].size)
        assert np.array_equal(training.kernel(name)[~first[name]], raw[name][~first[name]])
    assert all(np.array_equal(k != 0, first[name]) for name, k in training.baked().items())


@pytest.mark.parametrize(("gradients", "moves"), [("full", True), ("masked", False)])
def test_pruned_weights_move_under_surgery_alone(gradients: str, moves: bool) -> None:
    training = Training(f"surgery:0.3:{gradients}")
    mask = training.method.state()["mask_fc0"]
    raw = training.kernel("fc0")
    training.epoch(1)
    assert (training.kernel("fc0") != raw)[~mask].any() == moves
    assert training.method.every_step == moves
    kernels = training.baked()
    after = training.method.state()["mask_fc0"]
    assert not kernels["fc0"][~after].any() and kernels["fc0"][after].all()


def test_pruned_weights_come_back() -> None:
    training = Training("surgery:0.3")
    mask = training.method.state()["mask_fc0"]
    kernel = training.model.get_layer("fc0").kernel
    kernel.assign(np.where(mask, kernel.numpy(), 5.0).astype(np.float32))
    assert not training.method.state()["mask_fc0"].all()
    training.method.after_step(training.model, 1)
    assert training.method.state()["mask_fc0"].all()


def test_soft_filters_are_zero_after_an_epoch_and_train_on() -> None:
    training = Training("sfp:0.7")
    kernel = training.kernel("conv1")
    gone = ~kernel.any(axis=(0, 1, 2))
    assert gone.sum() == 1
    training.method.logits(training.model, IMAGES, True)
    training.epoch()
    assert (~training.baked()["conv1"].any(axis=(0, 1, 2))).sum() == 1
    keras, _, named = tools()
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(QuantiseError, match="without filters"):
        named("sfp:0.9").prepared(dense)


@pytest.mark.parametrize("granularity", ["unit", "channel"])
def test_units_of_least_mean_are_masked(granularity: str) -> None:
    keras, _, _ = tools()
    training = Training(f"pp:conv1_relu:0.6:{granularity}")
    plain = network()
    probe = keras.Model(plain.input, plain.get_layer("conv1_relu").output)
    means = probe(IMAGES).numpy().mean(axis=0)
    mask = training.model.get_layer("activation_mask").get_weights()[0] > 0
    if granularity == "channel":
        means, mask = means.mean(axis=(0, 1)), mask.all(axis=(0, 1))
    assert (~mask).sum() == int(0.4 * mask.size + 1e-9)
    assert means[mask].min() >= means[~mask].max()
    training.epoch(1)
    training.baked()


@pytest.mark.parametrize("text", ["surgery:0.3", "magnitude:0.5", "apot:3", "pp:fc0_relu:0.5"])
def test_a_training_goes_on_from_its_state(text: str) -> None:
    """Dropout's generators are variables of the model, as the state of a training keeps them."""
    whole = Training(text)
    whole.epoch(3)
    halved = Training(text)
    halved.epoch(2)
    again = Training(text)
    every = [*again.model.variables, *again.variables]
    for variable, other in zip(every, [*halved.model.variables, *halved.variables], strict=True):
        variable.assign(other.value)
    again.method.restore(again.model, halved.method.state())
    again.steps = halved.steps
    again.epoch(1)
    found = again.baked()
    for name, kernel in whole.baked().items():
        assert np.array_equal(kernel, found[name])


def test_every_method_has_an_example_and_others_are_refused() -> None:
    for kind, example in METHODS.items():
        assert parse(parse(example)) == parse(example)
        assert parse(example).startswith(f"{kind}:")
        assert getattr(asked_method(example), "text", "") == parse(example)
    assert asked_method("") is None
    for wrong in (
        "",
        "dorefa",
        "dorefa:0",
        "dorefa:2:2",
        "apot:1",
        "q:8",
        "q:8:9",
        "sfp:0",
        "sfp:x",
    ):
        with pytest.raises(UsageError):
            parse(wrong)
    for wrong in (
        "zip:9",
        "surgery:0.1:half",
        "magnitude:0.1:full",
        "pp:2",
        "pp:a b:0.5",
        "pp:2:0.5:row",
    ):
        with pytest.raises(UsageError):
            asked_method(wrong)
