"""Keras files edited in every place that decides what they mean, held against Keras's own reading
of the same file."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from relrob.errors import NetworkError, UnsupportedLayerError
from relrob.networks.keras.calls import calls_of
from relrob.networks.keras.config import LayerConfig, Model
from relrob.networks.keras.wiring import treats_apart
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from tests.edit_keras import Config, edited, entries, named, renamed, rewire
from tests.make_networks import keras, save, write_keras1
from tests.support import random_dense
from tests.wired_keras import (
    EDITS,
    IMAGES,
    SHAPE,
    SUFFIXES,
    by_keras,
    chain,
    exchange_places,
    exchange_weights,
    history,
    mlp,
    modelled,
    outcome,
    output,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore")
def test_what_is_modelled_is_what_keras_computes(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    counts: Counter[str] = Counter()
    for _ in range(15):
        path = save(chain(rng), tmp_path / f"n{suffix}")
        for _ in range(5):
            chosen = [EDITS[index] for index in rng.integers(len(EDITS), size=rng.integers(1, 3))]
            weights = (lambda file: exchange_weights(file, rng)) if rng.random() < 0.3 else None

            def change(config: Config, chosen: list[Callable[..., None]] = chosen) -> None:
                for edit in chosen:
                    edit(config, rng)

            counts[outcome(edited(path, change, tmp_path / f"e{suffix}", weights))] += 1
    assert min(counts[kind] for kind in ("modelled", "black box", "refused")) >= 5, counts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_go_to_layers_as_keras_hands_them_out(suffix: str, tmp_path: Path) -> None:
    path = save(mlp(), tmp_path / f"n{suffix}")
    before = by_keras(path)
    new = edited(
        path, lambda config: renamed(config, {"a": "b", "b": "a"}), tmp_path / f"names{suffix}"
    )
    assert outcome(new) == "modelled"
    np.testing.assert_allclose(by_keras(new), before, atol=1e-6)  # names do not decide
    rng = np.random.default_rng(3)
    moved = edited(
        path,
        lambda config: None,
        tmp_path / f"moved{suffix}",
        lambda file: exchange_weights(file, rng),
    )
    assert outcome(moved) == "modelled"
    wired = edited(path, lambda config: exchange_places(config, rng), tmp_path / f"list{suffix}")
    assert outcome(wired) == "modelled"


def test_the_graph_ends_where_the_file_says(tmp_path: Path) -> None:
    path = save(mlp(), tmp_path / "n.keras")

    def shorter(config: Config) -> None:
        output(config)[0] = "c"
        named(config, "c")["config"]["activation"] = "linear"

    new = edited(path, shorter, tmp_path / "shorter.keras")
    network = load_network(new, image_shape=SHAPE, classes=32)
    assert network.dense is not None and len(network.dense.layers) == 3
    np.testing.assert_allclose(modelled(network), by_keras(new), atol=1e-5)


REASONS: dict[str, tuple[Callable[[Config], Any], str]] = {
    "training": (
        lambda c: named(c, "a")["inbound_nodes"][0]["kwargs"].update(training=True),
        "training=true",
    ),
    "another argument": (
        lambda c: named(c, "a")["inbound_nodes"][0]["kwargs"].update(more=1),
        "called with more=1",
    ),
    "unknown setting": (
        lambda c: named(c, "a")["config"].update(sharpness=2),
        "setting 'sharpness' is not known",
    ),
    "unknown key": (lambda c: named(c, "a").update(extra=2), "'extra' is not known"),
    "lora": (lambda c: named(c, "a")["config"].update(lora_rank=2), "lora_rank 2"),
    "mixed": (
        lambda c: named(c, "a")["config"].update(dtype="mixed_float16"),
        'dtype "mixed_float16"',
    ),
    "twice": (lambda c: rewire(c, "c", "c"), "is called more than once"),
    "no such layer": (lambda c: rewire(c, "c", "z"), "a layer 'z' that is not there"),
    "second output": (lambda c: history(named(c, "c")).__setitem__(2, 1), "output 1 of call 0"),
    "half floats in": (
        lambda c: named(c, "image")["config"].update(dtype="float16"),
        'dtype "float16"',
    ),
    "two of a name": (
        lambda c: entries(c).append(copy.deepcopy(named(c, "b"))),
        "two layers are called 'b'",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_is_not_known_is_a_black_box_with_its_reason(name: str, tmp_path: Path) -> None:
    change, reason = REASONS[name]
    path = edited(save(mlp(), tmp_path / "n.keras"), change, tmp_path / "e.keras")
    network = load_network(path, image_shape=SHAPE, classes=8)
    assert (network.dense, network.runtime) == (None, "keras")
    assert reason in network.black_box
    assert len(network.black_box) < 200


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_that_keras_refuses_are_an_error(suffix: str, tmp_path: Path) -> None:
    path = save(mlp(), tmp_path / f"n{suffix}")

    def lost(file: Any) -> None:
        del file["model_weights/b" if "model_weights" in file else "layers/dense_1"]

    def more(file: Any) -> None:
        group = (
            file["model_weights/b/b"] if "model_weights" in file else file["layers/dense_1/vars"]
        )
        group["2"] = np.zeros(3, np.float32)
        if "model_weights" in file:
            file["model_weights/b"].attrs["weight_names"] = ["b/kernel", "b/bias", "b/2"]

    def cut(file: Any) -> None:
        name = "model_weights/b/b/kernel" if "model_weights" in file else "layers/dense_1/vars/0"
        kernel = file[name][:, :31]
        del file[name]
        file[name] = kernel

    for number, change in enumerate((lost, more, cut)):
        new = edited(path, lambda config: None, tmp_path / f"{number}{suffix}", change)
        assert outcome(new) == "refused"


def test_models_in_models_cost_linear_time(tmp_path: Path) -> None:
    path = save(mlp(), tmp_path / "n.keras")
    inner: Any = {
        "module": "keras.layers",
        "class_name": "Identity",
        "config": {"name": "x"},
        "registered_name": None,
    }
    for _ in range(200):
        config = {"name": "s", "layers": [inner]}
        inner = {
            "module": "keras",
            "class_name": "Sequential",
            "config": config,
            "registered_name": None,
        }
    new = edited(path, lambda config: entries(config).append(inner), tmp_path / "deep.keras")
    with pytest.raises(UnsupportedLayerError, match="models in models"):
        load_network(new, image_shape=SHAPE, classes=8)


@pytest.mark.parametrize(
    ("make", "apart"),
    [
        (lambda k: [k.Conv2D(4, 2), k.Flatten(), k.Dense(8, "tanh")], True),
        (lambda k: [k.Flatten(), k.Dense(8, "tanh"), k.Softmax(axis=0)], False),
        (lambda k: [k.MaxPooling2D(2), k.Flatten(), k.Dense(8, "tanh"), k.LeakyReLU(0.1)], True),
        (
            lambda k: [k.Flatten(), k.Dense(8, "tanh"), k.LayerNormalization()],
            False,
        ),  # rounds by the place in a batch
        (lambda k: [k.Flatten(), k.Dense(8, "tanh"), k.UnitNormalization(axis=0)], False),
    ],
)
def test_layers_that_mix_images_run_one_at_a_time(
    make: Callable[[Any], list[Any]], apart: bool, tmp_path: Path
) -> None:
    layers = keras().layers
    path = save(keras().Sequential([layers.Input(SHAPE), *make(layers)]), tmp_path / "n.keras")
    network = load_network(path, image_shape=SHAPE, classes=8)
    assert (network.dense, network.apart) == (None, apart)
    together, alone = (
        open_network(network).outputs(IMAGES),
        open_network(network, batch=1).outputs(IMAGES),
    )
    assert np.allclose(together, alone, atol=1e-5) or not apart


@pytest.mark.parametrize(
    ("merge", "apart"),
    [
        (lambda k, x, y: k.Add()([x, y]), True),
        (lambda k, x, y: k.Maximum()([x, y, x]), True),
        (lambda k, x, y: k.Concatenate()([x, y]), True),
        (lambda k, x, y: k.Concatenate(axis=1)([y, x]), True),
        (lambda k, x, y: k.Dot(axes=-1)([x, y]), False),  # not known: its axes are not read
        (lambda k, x, y: k.Add()([x, np.ones((1, 8), np.float32)]), False),
    ],
)
def test_branches_that_meet_treat_images_apart(
    merge: Callable[[Any, Any, Any], Any], apart: bool, tmp_path: Path
) -> None:
    """As in residual networks, which would take ten times as long one image at a time."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    flat = layers.Flatten()(given)
    met = merge(layers, layers.Dense(8, "relu")(flat), layers.Dense(8, "tanh")(flat))
    path = save(keras().Model(given, layers.Dense(8)(met)), tmp_path / "n.keras")
    network = load_network(path, image_shape=SHAPE, classes=8)
    assert (network.dense, network.apart) == (None, apart)
    together = open_network(network).outputs(IMAGES)
    assert np.allclose(together, open_network(network, batch=1).outputs(IMAGES), atol=1e-5)


@pytest.mark.parametrize("fault", ["axis", "argument", "none"])
def test_calls_of_keras_2_with_several_tensors(fault: str) -> None:
    """Lists [layer, call, output, arguments]; those of MLPerf Tiny's ResNet8 have such an Add."""
    feeds = [["a", 0, 0, {}], ["b", 0, 0, {"y": 1} if fault == "argument" else {}]]
    (call,) = calls_of([feeds])
    assert call.odd and call.listed == (fault != "argument")
    layer = LayerConfig("Concatenate", "c", 1, {"axis": 0 if fault == "axis" else -1}, (call,))
    assert treats_apart(Model((layer,), False, (), ())) == (fault == "none")


def test_keras_1_weights_that_lost_a_layer_are_refused(tmp_path: Path) -> None:
    path = write_keras1(random_dense(2, (32, 8, 8, 8)), tmp_path / "n.h5")
    assert load_network(path, image_shape=SHAPE, classes=8).dense is not None

    def change(action: Callable[[Any], Any]) -> Path:
        out = tmp_path / "e.h5"
        out.write_bytes(path.read_bytes())
        with h5py.File(out, "r+") as file:
            action(file)
        return out

    for action, words in (
        (
            lambda file: file.__delitem__("dense_2"),
            "'dense_2' is named in layer_names and is not there",
        ),
        (
            lambda file: file["dense_2"].attrs.__delitem__("weight_names"),
            "holds .*'dense_2_W'.* and names",
        ),
    ):
        with pytest.raises(NetworkError, match=words):
            load_network(change(action), image_shape=SHAPE, classes=8)


def test_an_object_that_layers_share_changes_nothing(tmp_path: Path) -> None:
    layers, start = keras().layers, keras().initializers.GlorotUniform(seed=1)
    stack = [layers.Dense(8, kernel_initializer=start) for _ in range(2)]
    path = save(keras().Sequential([layers.Input((32,)), *stack]), tmp_path / "n.keras")
    found: list[str] = []
    edited(path, lambda config: found.append(json.dumps(config)), tmp_path / "same.keras")
    assert "shared_object_id" in found[0]
    assert load_network(path, image_shape=SHAPE, classes=8).dense is not None
