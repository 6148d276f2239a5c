"""The layers that relrob adds to Keras: their formulas, their files in safe mode, and files that
only pretend to hold them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.errors import UnsupportedLayerError
from relrob.networks.keras.own import OWN
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from tests import make_networks

RNG = np.random.default_rng(0)
IMAGES = RNG.random((37, 6, 5, 3), np.float32)


def own() -> dict[str, Any]:
    """The classes by their name in files."""
    make_networks.keras()
    found: dict[str, Any] = load("relrob.networks.keras.own_layers:LAYERS")
    return found


def model() -> Any:
    """A small network of both layers."""
    keras, layers = make_networks.keras(), own()
    image = keras.Input((6, 5, 3))
    values = layers["relrob>ImageStandardisation"](name="standardise")(image)
    values = layers["relrob>ChannelPadding"](1, 2, name="pad")(values)
    logits = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    return keras.Model(image, logits(keras.layers.Flatten()(values)))


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of an archive whose second layer's entry is changed."""
    changed = path.with_name("edited.keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "config.json":
                config = json.loads(body)
                change(config["config"]["layers"][2])
                body = json.dumps(config).encode()
            new.writestr(name, body)
    return changed


def test_standardisation_is_that_of_tensorflow() -> None:
    tf = load("tensorflow:image")
    grey = np.full((1, 6, 5, 3), 0.5, np.float32)
    images = np.concatenate([IMAGES, grey])
    layer = own()["relrob>ImageStandardisation"]()
    found = layer(images).numpy()
    np.testing.assert_allclose(
        found, tf.per_image_standardization(images).numpy(), rtol=1e-5, atol=1e-6
    )
    assert (found[-1] == 0).all()
    np.testing.assert_allclose(found[:-1].std(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_padding_is_that_of_numpy() -> None:
    layer = own()["relrob>ChannelPadding"](2, 3)
    widths = ((0, 0), (0, 0), (0, 0), (2, 3))
    np.testing.assert_array_equal(layer(IMAGES).numpy(), np.pad(IMAGES, widths))
    for wrong in (-1, True, 1.0, 1 << 20):
        with pytest.raises(ValueError, match="ChannelPadding"):
            own()["relrob>ChannelPadding"](wrong, 0)


def test_a_file_of_them_loads_in_safe_mode_and_runs_alike_in_any_batch(tmp_path: Path) -> None:
    built = model()
    path = tmp_path / "own.keras"
    built.save(path)
    network = load_network(path, image_shape=(6, 5, 3), classes=4)
    assert network.apart and network.dense is None
    found = open_network(network, 1).outputs(IMAGES.reshape(len(IMAGES), -1))
    np.testing.assert_allclose(found, built(IMAGES).numpy(), rtol=1e-5, atol=1e-5)


def test_an_image_is_standardised_alike_in_any_place_of_any_batch() -> None:
    tf, layer = load("tensorflow:function"), own()["relrob>ImageStandardisation"]()
    traced = tf(layer)
    together = traced(IMAGES).numpy()
    for size in (1, 2, 5, 16):
        np.testing.assert_array_equal(traced(IMAGES[7 : 7 + size]).numpy(), together[7 : 7 + size])


def test_an_image_of_one_colour_has_a_gradient() -> None:
    tape_of, layer = load("tensorflow:GradientTape"), own()["relrob>ImageStandardisation"]()
    image = load("tensorflow:constant")(np.full((1, 6, 5, 3), 0.5, np.float32))
    with tape_of() as tape:
        tape.watch(image)
        first = layer(image)[0, 0, 0, 0]
    slope = tape.gradient(first, image).numpy()
    # (x - mean) sqrt(d) for d = 90 values: sqrt(d) (1 - 1/d) for the value itself
    assert slope[0, 0, 0, 0] == pytest.approx(90**0.5 * (1 - 1 / 90), rel=1e-5)
    assert slope[0, 0, 0, 1] == pytest.approx(-(90**0.5) / 90, rel=1e-5)


def test_every_layer_of_ours_has_a_name_in_the_list() -> None:
    assert set(own()) == {f"relrob>{name}" for name in OWN}
    for name, layer in own().items():
        assert layer.__module__ in load("relrob.networks.keras.own:MODULES"), name


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(module="builtins"),
        lambda entry: entry.update(registered_name="keras>ChannelPadding"),
        lambda entry: entry["config"].update(function="exec"),
        lambda entry: entry.update(class_name="Dense", module="keras"),
        lambda entry: entry.update(class_name="ChannelPaddings"),
    ],
)
def test_a_layer_that_pretends_to_be_ours_is_refused(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    path = tmp_path / "own.keras"
    model().save(path)
    assert load_network(edited(path, lambda entry: None), image_shape=(6, 5, 3), classes=4).apart
    with pytest.raises(UnsupportedLayerError, match="layer 3 'pad'"):
        load_network(edited(path, change), image_shape=(6, 5, 3), classes=4)
