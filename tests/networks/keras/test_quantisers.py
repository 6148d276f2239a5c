"""The layers that quantise activations: their values, straight-through gradients by TensorFlow's
tape, and their files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.formats import FixedFormat, middles, nearest, power_levels, uniform
from relrob.errors import UnsupportedLayerError, UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from tests import make_networks

VALUES = np.random.default_rng(0).uniform(-3, 3, 500).astype(np.float32)


def tensorflow() -> Any:
    make_networks.keras()
    return load("tests.tensorflow_here:tensorflow")


def layer(name: str, **settings: Any) -> Any:
    """A layer of ours, built for rows of values."""
    tensorflow()
    made = load("relrob.networks.keras.own_layers:LAYERS")[f"relrob>{name}"](**settings)
    made.build((None, len(VALUES)))
    return made


def gradient(made: Any, values: Any, of: Any = None) -> Any:
    """The gradient of the sum of outputs times 1, 2, 3, ... to the values or a variable."""
    tf = tensorflow()
    given = tf.constant(values[None])
    factors = np.arange(1, len(values) + 1, dtype=np.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(made(given) * factors)
    found = tape.gradient(total, given if of is None else of)
    return np.asarray(found).reshape(-1)


@pytest.mark.parametrize(("width", "point"), [(4, 1), (8, 2), (16, 4), (28, 4)])
def test_fixed_point_is_that_of_the_format(width: int, point: int) -> None:
    form, made = FixedFormat(width, point), layer("FixedPoint", width=width, point=point)
    values = np.concatenate([VALUES, form.step * np.array([0.5, 1.5, -0.5, -2.5], np.float32)])
    wanted = form.quantised(values).astype(np.float32)
    assert np.array_equal(made(values[None]).numpy()[0], wanted)
    low, high = form.lowest * form.step, form.highest * form.step
    inside = (low <= VALUES) & (high >= VALUES)
    assert np.array_equal(gradient(made, VALUES), np.arange(1, 501) * inside)


def test_halves_go_up_where_asked() -> None:
    made = layer("FixedPoint", width=8, point=8, halves="up")
    found = made(np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997]], np.float32)).numpy()[0]
    assert found.tolist() == [1, 2, 3, 0, -1, 0]


@pytest.mark.parametrize(("bits", "scale"), [(1, 1.0), (2, 1.0), (8, 2.5)])
def test_dorefa(bits: int, scale: float) -> None:
    made = layer("DoReFa", bits=bits, scale=scale)
    wanted = uniform(np.clip(VALUES / np.float32(scale), 0, 1), bits) * scale
    assert np.allclose(made(VALUES[None]).numpy()[0], wanted, atol=1e-6)
    inside = (VALUES >= 0) & (scale >= VALUES)
    assert np.array_equal(gradient(made, VALUES), np.arange(1, 501) * inside)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_powers_of_two_and_both_of_their_gradients(bits: int) -> None:
    made = layer("APoT", bits=bits)
    made.set_weights([np.float32(1.5)])
    shares = np.clip(VALUES.astype(np.float64) / 1.5, 0, 1)
    near = np.abs(shares[:, None] - middles(power_levels(bits))).min(axis=1) > 1e-6
    wanted = 1.5 * nearest(shares, power_levels(bits))
    found = made(VALUES[None]).numpy()[0]
    assert np.allclose(found[near], wanted[near], atol=1e-6)
    beyond = VALUES > 1.5
    assert np.array_equal(gradient(made, VALUES), np.arange(1, 501) * ~beyond)
    slope = np.where(beyond, 1, (found - VALUES) / 1.5)
    total = (slope * np.arange(1, 501)).sum()
    assert gradient(made, VALUES, made.alpha.value) == pytest.approx(total, rel=1e-4)


def test_a_mask_masks_values_and_gradients() -> None:
    made = layer("Mask")
    mask = (np.arange(500) % 3 > 0).astype(np.float32)
    made.set_weights([mask])
    assert np.array_equal(made(VALUES[None]).numpy()[0], VALUES * mask)
    assert np.array_equal(gradient(made, VALUES), np.arange(1, 501) * mask)
    assert not made.trainable_weights


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("FixedPoint", {"width": 8, "point": 9}),
        ("FixedPoint", {"width": 8, "point": 2, "halves": "down"}),
        ("DoReFa", {"bits": 0}),
        ("DoReFa", {"bits": 2, "scale": 0.0}),
        ("APoT", {"bits": 5}),
    ],
)
def test_illegal_settings_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises((UsageError, ValueError)):
        layer(name, **settings)


def test_files_load_in_safe_mode_and_run_one_image_at_a_time(tmp_path: Path) -> None:
    keras = make_networks.keras()
    own = load("relrob.networks.keras.own_layers:LAYERS")
    values = image = keras.Input((4, 4, 1), name="image")
    for name, settings in (
        ("APoT", {"bits": 3}),
        ("Mask", {}),
        ("FixedPoint", {"width": 8, "point": 2}),
        ("DoReFa", {"bits": 4}),
    ):
        values = own[f"relrob>{name}"](name=name.lower(), **settings)(values)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(values)))
    path = make_networks.save(model, tmp_path / "own.keras")
    network = load_network(path, image_shape=(4, 4, 1), classes=3)
    assert network.black_box and not network.apart
    images = np.random.default_rng(1).random((9, 16), np.float32)
    found = open_network(network, 1).outputs(images)
    assert np.allclose(found, model(images.reshape(9, 4, 4, 1)).numpy(), atol=1e-6)
    forged = tmp_path / "forged.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "config.json":
                config = json.loads(text)
                config["config"]["layers"][1]["config"]["levels"] = {"class_name": "Lambda"}
                text = json.dumps(config).encode()
            new.writestr(name, text)
    with pytest.raises(UnsupportedLayerError, match="APoT"):
        load_network(forged, image_shape=(4, 4, 1), classes=3)
