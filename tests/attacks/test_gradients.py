"""Gradients of every kind of network: against finite differences, TensorFlow's own gradients and
closed forms; logits against those of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.model_of import agreement, gradients_of
from relrob.attacks.victim import Gradients, Victim
from relrob.domain.arrays import Floats
from relrob.domain.contract import InputOptions
from relrob.domain.network import Network
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.registry import load
from tests.attacks.floats import floats
from tests.make_networks import forward, keras, save, softmax, write_keras, write_onnx
from tests.support import numpy_opened, random_dense

SHAPE = (4, 4, 3)


def drawn(count: int, size: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((count, size), dtype=np.float32)


def opened(network: Network) -> Opened:
    return Opened(network, open_network(network), open_network(network, batch=1))


def slopes(model: Gradients, images: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """(gradients by `pulled`, central differences of the same sums of `logits`)."""
    _, gradients = model.pulled(images, lambda logits: np.broadcast_to(weights, logits.shape))
    step = np.float32(2.0**-8)
    found = np.empty_like(images)
    for pixel in range(images.shape[1]):
        up, down = images.copy(), images.copy()
        up[:, pixel] += step
        down[:, pixel] -= step
        change = (model.logits(up).astype(np.float64) - model.logits(down)) @ weights
        found[:, pixel] = change / (2 * float(step))
    return gradients, found


def close(model: Gradients, images: Floats) -> bool:
    """Are the gradients those of finite differences, but for the few that a kink falls between?"""
    weights = np.random.default_rng(5).standard_normal(model.classes).astype(np.float32)
    gradients, found = slopes(model, images, weights)
    near = np.isclose(gradients, found, rtol=1e-2, atol=1e-2 * np.abs(found).max())
    return bool(near.mean() > 0.95)


def cnn(end: Callable[[Any], list[Any]]) -> Any:
    """A small CNN, seeded."""
    kit = keras()
    kit.utils.set_random_seed(3)
    layers = kit.layers
    return kit.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            *end(layers),
        ]
    )


ENDS: dict[str, Callable[[Any], list[Any]]] = {
    "logits": lambda kit: [kit.Dense(4)],
    "softmax in the layer": lambda kit: [kit.Dense(4, activation="softmax")],
    "Softmax": lambda kit: [kit.Dense(4), kit.Softmax()],
    "Activation": lambda kit: [kit.Dense(4), kit.Activation("softmax")],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gradients")


def test_an_mlp_by_its_weights() -> None:
    dense = random_dense(0, (12, 16, 9, 5))
    model = gradients_of(numpy_opened(dense, (2, 2, 3)).network)
    assert isinstance(model, DenseGradients) and model.exact and model.classes == 5
    images = drawn(7, 12)
    assert np.allclose(model.logits(images), forward(dense, images), atol=1e-5)
    assert close(model, images)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = random_dense(1, (6, 8, 4))
    images, rows = drawn(9, 6), np.arange(9)
    chosen = np.random.default_rng(1).integers(0, 4, (9, 2))
    whole = Victim(numpy_opened(dense, (1, 2, 3)), 9, DenseGradients(dense))
    logits, expected = whole.jacobian(images, rows, chosen)
    monkeypatch.setattr("relrob.attacks.dense_gradients._CHUNK", 4)
    again, found = whole.jacobian(images, rows, chosen)
    assert np.allclose(again, logits, atol=1e-6) and np.allclose(found, expected, atol=1e-6)
    assert whole.gradients.tolist() == [4] * 9


def test_an_onnx_mlp_behind_an_input_contract(folder: Path) -> None:
    dense = random_dense(2, (48, 10, 4))
    path = write_onnx(dense, folder / "n.onnx")
    options = InputOptions(
        scale=Fraction(4),
        mean=(Fraction(1, 2), Fraction(1), Fraction(2)),
        std=(Fraction(2), Fraction(1, 2), Fraction(3)),
        bgr=True,
    )
    network = load_network(path, image_shape=SHAPE, classes=4, layout="chw", inputs=options)
    model = gradients_of(network)
    assert model is not None and model.exact
    images = drawn(6, 48)
    assert np.allclose(model.logits(images), opened(network).evaluator.outputs(images), atol=1e-3)
    assert close(model, images)


@pytest.mark.parametrize("end", ENDS)
def test_a_keras_cnn_by_a_tape_before_its_softmax(end: str, folder: Path) -> None:
    path = save(cnn(ENDS[end]), folder / f"{end.replace(' ', '')}.keras")
    options = InputOptions(scale=Fraction(2), mean=(Fraction(1),), bgr=True)
    network = load_network(path, image_shape=SHAPE, classes=4, inputs=options)
    model = gradients_of(network)
    assert model is not None and model.exact and model.name == "GradientTape"
    images = drawn(70, 48)
    outputs = opened(network).evaluator.outputs(images)
    logits: Any = model.logits(images)
    if end != "logits":
        assert not np.allclose(logits.sum(axis=1), 1, atol=0.1)
        logits = softmax(logits.astype(np.float64))
    assert np.allclose(logits, outputs, atol=1e-4)
    assert agreement(model, opened(network), images) == 1
    assert close(model, images)


def test_a_tape_and_weights_give_one_mlp_the_same_gradients(folder: Path) -> None:
    dense = random_dense(4, (48, 12, 4), softmax=True)
    path = write_keras(dense, folder / "mlp.keras", SHAPE)
    network = load_network(path, image_shape=SHAPE, classes=4)
    from_weights = gradients_of(network)
    hidden = load_network(path, image_shape=SHAPE, classes=4, runtime="keras")
    assert isinstance(from_weights, DenseGradients)
    taped = gradients_of(_without_weights(hidden))
    assert taped is not None and taped.name == "GradientTape"
    images = drawn(5, 48)
    weights = floats([1, -2, 0.5, 0])

    def seeds(logits: Floats) -> Floats:
        return np.broadcast_to(weights, logits.shape)

    for mine, theirs in zip(
        from_weights.pulled(images, seeds), taped.pulled(images, seeds), strict=True
    ):
        assert np.allclose(mine, theirs, atol=1e-5)


def test_one_output_for_two_classes(folder: Path) -> None:
    model = cnn(lambda kit: [kit.Dense(1, activation="sigmoid")])
    network = load_network(save(model, folder / "one.keras"), image_shape=SHAPE, classes=2)
    found = gradients_of(network)
    assert found is not None and found.classes == 2
    images = drawn(5, 48)
    logits = found.logits(images)
    assert np.all(logits[:, 0] == 0)
    expected = opened(network).evaluator.outputs(images)[:, 1]
    assert np.allclose(1 / (1 + np.exp(-logits[:, 1])), expected, atol=1e-5)
    assert close(found, images)


def test_the_tape_is_tensorflows_own_gradient(folder: Path) -> None:
    path = save(cnn(ENDS["softmax in the layer"]), folder / "own.keras")
    network = load_network(path, image_shape=SHAPE, classes=4)
    model = gradients_of(network)
    assert model is not None
    images = drawn(3, 48)
    labels = np.array([0, 1, 2])
    seeds, losses = seeds_of(cross_entropy(Goal(labels)), np.arange(3))
    _, gradients = model.pulled(images, seeds)
    tf = load("tests.tensorflow_here:tensorflow")
    keras_net = keras().saving.load_model(path)
    values = tf.constant(images.reshape(3, *SHAPE))
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = keras().losses.sparse_categorical_crossentropy(labels, keras_net(values))
    assert np.allclose(np.concatenate(losses), loss.numpy(), atol=1e-5)
    expected = tape.gradient(loss, values).numpy().reshape(3, -1)
    assert np.allclose(gradients, expected, atol=1e-5)


def _without_weights(network: Network) -> Network:
    return replace(network, dense=None)


def test_steps_of_quantised_layers_are_passed_straight_through(folder: Path) -> None:
    kit, own = keras(), load("relrob.networks.keras.quantisers:DoReFa")
    kit.utils.set_random_seed(3)
    layers = kit.layers
    parts = [
        layers.Input(SHAPE),
        layers.Conv2D(4, 3, padding="same"),
        layers.ReLU(),
        own(bits=2),
        layers.Flatten(),
        layers.Dense(4),
    ]
    path = save(kit.Sequential(parts), folder / "dorefa.keras")
    network = load_network(path, image_shape=SHAPE, classes=4)
    assert not network.apart
    model = gradients_of(network)
    assert model is not None and model.exact
    images = drawn(20, 48)
    weights = floats([1, -1, 0, 0])
    _, gradients = model.pulled(images, lambda logits: np.broadcast_to(weights, logits.shape))
    # The gradient of 2-bit activations is that of a clip to [0, 1].
    plain = kit.Sequential([*parts[:3], layers.ReLU(max_value=1), *parts[4:]])
    tf = load("tests.tensorflow_here:tensorflow")
    values = tf.constant(images.reshape(-1, *SHAPE))
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(plain(values) @ tf.constant(weights[:, None]))
    assert np.allclose(gradients, tape.gradient(total, values).numpy().reshape(20, -1), atol=1e-5)
    calls: list[int] = []

    def counted(logits: Floats) -> Floats:
        calls.append(len(logits))
        return np.zeros_like(logits)

    model.pulled(images, counted)
    assert calls == [20]
