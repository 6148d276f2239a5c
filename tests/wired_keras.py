"""Keras files, edits of every place that decides what they mean, and how Keras reads the result."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from relrob.domain.network import Network
from relrob.errors import RelrobError
from relrob.networks.load import load_network
from relrob.system.quiet import quiet_native
from tests.edit_keras import Config, entries, named, renamed, rewire
from tests.make_networks import forward, keras, softmax

SHAPE = (4, 4, 2)
IMAGES = np.random.default_rng(4).random((40, 32), dtype=np.float32)
SUFFIXES = [".keras", ".h5"]


def chain(rng: np.random.Generator) -> Any:
    """A Functional model of layers that are read, in random order, with random weights."""
    layers = keras().layers
    before: list[Callable[[], Any]] = [
        lambda: layers.Rescaling(2.0, -0.5),
        lambda: layers.Normalization(axis=int(rng.integers(1, 4))),
        lambda: layers.Normalization(mean=[0.1, 0.2], variance=[0.3, 0.4]),
        lambda: layers.BatchNormalization(axis=int(rng.integers(1, 4))),
        lambda: layers.Permute(tuple(int(n) + 1 for n in rng.permutation(3))),
        lambda: layers.Dropout(0.4),
        lambda: layers.GaussianNoise(0.2),
    ]
    value = start = layers.Input(SHAPE)
    for index in rng.permutation(len(before))[: rng.integers(0, 3)]:
        if value.shape[1:] == SHAPE:  # what has constants of its own was made for this shape
            value = before[index]()(value)
    value = layers.Flatten(data_format=str(rng.choice(["channels_last", "channels_first"])))(value)
    for _ in range(rng.integers(1, 5)):
        value = layers.Dense(
            8, str(rng.choice(["relu", "linear"])), use_bias=bool(rng.integers(2))
        )(value)
        if rng.random() < 0.3:
            value = layers.BatchNormalization(
                scale=bool(rng.integers(2)), center=bool(rng.integers(2))
            )(value)
        if rng.random() < 0.3:
            value = layers.ReLU()(value)
    value = layers.Dense(8)(value)
    model = keras().Model(start, layers.Softmax()(value) if rng.random() < 0.4 else value)
    for layer in model.layers:
        for weight in layer.weights:
            if not weight.dtype.startswith("int"):
                weight.assign(
                    rng.uniform(0.2 if "variance" in weight.path else -1, 1, weight.shape)
                )
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def reader(config: Config, rng: np.random.Generator) -> Config:
    """A layer that reads another."""
    found = [entry for entry in entries(config) if entry["inbound_nodes"]]
    return found[rng.integers(len(found))]


def history(entry: Config) -> list[Any]:
    """[layer, call, output] that its first call reads."""
    node = entry["inbound_nodes"][0]
    found: list[Any] = (
        node["args"][0]["config"]["keras_history"] if isinstance(node, dict) else node[0]
    )
    return found


def names(config: Config) -> list[str]:
    """Of all layers."""
    return [entry["config"]["name"] for entry in entries(config)]


def output(config: Config) -> list[Any]:
    """[layer, call, output] that the model gives."""
    ends = config["config"]["output_layers"]
    found: list[Any] = ends[0] if isinstance(ends[0], list) else ends
    return found


def exchange_names(config: Config, rng: np.random.Generator) -> None:
    old = names(config)
    renamed(config, dict(zip(old, (str(name) for name in rng.permutation(old)), strict=True)))


def exchange_places(config: Config, rng: np.random.Generator) -> None:
    order = rng.permutation(len(entries(config)))
    config["config"]["layers"] = [entries(config)[index] for index in order]


def exchange_layers(config: Config, rng: np.random.Generator) -> None:
    """Two dense layers change places in the wiring, not in the list."""
    dense = [entry["config"]["name"] for entry in entries(config) if entry["class_name"] == "Dense"]
    first, second = (str(name) for name in rng.choice(dense, 2, replace=False))
    one, two = named(config, first), named(config, second)
    one["inbound_nodes"], two["inbound_nodes"] = two["inbound_nodes"], one["inbound_nodes"]
    new = {first: second, second: first}
    for triple in (
        output(config),
        *(history(entry) for entry in entries(config) if entry["inbound_nodes"]),
    ):
        triple[0] = new.get(triple[0], triple[0])


def other_output(config: Config, rng: np.random.Generator) -> None:
    output(config)[0] = str(rng.choice(names(config)))


def other_source(config: Config, rng: np.random.Generator) -> None:
    rewire(config, reader(config, rng)["config"]["name"], str(rng.choice(names(config))))


def other_index(config: Config, rng: np.random.Generator) -> None:
    history(reader(config, rng))[int(rng.integers(1, 3))] = int(rng.choice([-1, 0, 1]))


def training(config: Config, rng: np.random.Generator) -> None:
    node = reader(config, rng)["inbound_nodes"][0]
    (node["kwargs"] if isinstance(node, dict) else node[0][3])["training"] = [True, False, None][
        rng.integers(3)
    ]


def called_twice(config: Config, rng: np.random.Generator) -> None:
    entry = reader(config, rng)
    entry["inbound_nodes"].append(copy.deepcopy(entry["inbound_nodes"][0]))


def built_otherwise(config: Config, rng: np.random.Generator) -> None:
    built = [entry for entry in entries(config) if entry.get("build_config")]
    if built:
        built[rng.integers(len(built))]["build_config"]["input_shape"][-1] = int(rng.integers(1, 9))


def one_object(config: Config, rng: np.random.Generator) -> None:
    for index in rng.integers(len(entries(config)), size=2):
        entries(config)[index]["shared_object_id"] = 5


VALUES: dict[str, list[Any]] = {
    "axis": [0, 1, 2, 3, -1, -2, None, [], [1], [1, 2]],
    "invert": [True, False],
    "max_value": [None, 0.5],
    "negative_slope": [0.0, 0.3],
    "threshold": [0, 0.1],
    "activation": ["relu", "linear", "softmax", "tanh"],
    "use_bias": [True, False],
    "data_format": ["channels_last", "channels_first", None],
    "dims": [[1, 2, 3], [3, 1, 2], [2, 1, 3]],
    "epsilon": [1e-3, 0.1, 1],
    "center": [True, False],
    "scale": [True, False, 2.0, [1.0, 2.0]],
    "offset": [0.0, [0.1, 0.2]],
    "dtype": ["float32", "float16", "float64", None],
    "units": [8, 9],
    "mean": [None, 0.3, [0.2, 0.1]],
    "variance": [None, 0.3, [0.1, 0.2]],
    "renorm": [True, False],
    "trainable": [True, False],
}


def other_setting(config: Config, rng: np.random.Generator) -> None:
    there = sorted({key for entry in entries(config) for key in entry["config"]} & set(VALUES))
    key = there[rng.integers(len(there))]
    holders = [entry for entry in entries(config) if key in entry["config"]]
    holders[rng.integers(len(holders))]["config"][key] = VALUES[key][rng.integers(len(VALUES[key]))]


EDITS: list[Callable[[Config, np.random.Generator], None]] = [
    *(
        exchange_names,
        exchange_places,
        exchange_layers,
        other_output,
        other_source,
        other_index,
        training,
    ),
    *(called_twice, built_otherwise, one_object, other_setting, other_setting, other_setting),
]


def exchange_weights(file: Any, rng: np.random.Generator) -> None:
    """Two names in the list of layers, or two groups of dense layers in an archive."""
    if "model_weights" in file:
        listed = list(file["model_weights"].attrs["layer_names"])
        first, second = rng.integers(len(listed), size=2)
        listed[first], listed[second] = listed[second], listed[first]
        file["model_weights"].attrs["layer_names"] = listed
        return
    dense = sorted(name for name in file["layers"] if name.startswith("dense"))
    first, second = (str(name) for name in rng.choice(dense, 2, replace=False))
    for old, new in ((first, "aside"), (second, first), ("aside", second)):
        file.move(f"layers/{old}", f"layers/{new}")


def by_keras(path: Path) -> Any:
    """What the model gives for IMAGES, or None where Keras refuses it."""
    try:
        with quiet_native():
            model = keras().saving.load_model(path, compile=False)
            return np.asarray(model(IMAGES.reshape(-1, *SHAPE), training=False))
    except Exception:
        return None


def modelled(network: Network) -> Any:
    """What the weights that were read give for IMAGES."""
    assert network.dense is not None
    logits = forward(network.dense, IMAGES)
    return softmax(logits) if network.dense.softmax else logits


def outcome(path: Path) -> str:
    """How relrob reads a file; what it models must be what Keras computes, what it refuses what
    Keras refuses."""
    expected = by_keras(path)
    try:
        network = load_network(path, image_shape=SHAPE, classes=8, more_classes=True)
    except RelrobError:
        assert expected is None, f"{path} is refused, and Keras loads it"
        return "refused"
    if network.dense is None:
        assert network.black_box
        return "black box"
    found = modelled(network)
    assert expected is not None, f"{path} is modelled, and Keras refuses it"
    np.testing.assert_allclose(
        found, expected, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(found).max())
    )
    return "modelled"


def mlp(softmax_end: bool = False) -> Any:
    """Four dense layers of one shape, so that any order of them is a network."""
    keras().utils.set_random_seed(5)
    layers = keras().layers
    value = start = layers.Input(SHAPE, name="image")
    value = layers.Flatten(name="flat")(value)
    for name in ("a", "b", "c", "d"):
        value = layers.Dense(32 if name != "d" else 8, "relu" if name != "d" else None, name=name)(
            value
        )
    return keras().Model(start, layers.Softmax(name="end")(value) if softmax_end else value)
