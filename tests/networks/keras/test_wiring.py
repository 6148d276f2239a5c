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

from relrob.domain.network import Network
from relrob.errors import NetworkError, RelrobError, UnsupportedLayerError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.quiet import quiet_native
from tests.edit_keras import Config, edited, entries, named, renamed, rewire
from tests.make_networks import forward, keras, save, softmax, write_keras1
from tests.support import random_dense

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
