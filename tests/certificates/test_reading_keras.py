"""The checker's reader of Keras files.

Keras's outputs lie within its facts, and hostile edits have no rules.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from relrob.certificates.checking.deployed import NoRulesError, read_deployed
from tests.make_networks import keras, save, write_keras1
from tests.reading_cases import described, hostile_images, ranges
from tests.support import random_dense

SHAPE = (4, 4, 1)
MODELS = ("plain", "normalised", "batch norms", "reshaped", "functional")


def _model(kind: str) -> Any:
    """A small model whose weights are all drawn at random."""
    layers, rng = keras().layers, np.random.default_rng(3)
    mean, variance = rng.random(1).tolist(), [0.25]
    stacks = {
        "plain": [
            layers.Flatten(),
            layers.Dense(12, "relu"),
            layers.Dropout(0.5),
            layers.Dense(12),
            layers.ReLU(),
            layers.Dense(3),
        ],
        "normalised": [
            layers.Rescaling(255.0),
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Normalization(mean=mean, variance=variance),
            layers.Flatten(),
            layers.Dense(12, "relu"),
            layers.Dense(3, use_bias=False),
        ],
        "reshaped": [
            layers.Reshape((-1, 2)),
            layers.Flatten(),
            layers.Dense(12, "relu"),
            layers.Dense(3),
        ],
        "batch norms": [
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dense(12),
            layers.BatchNormalization(scale=False),
            layers.Activation("relu"),
            layers.BatchNormalization(center=False),
            layers.Dense(3),
        ],
    }
    if kind == "functional":
        given = layers.Input(SHAPE)
        value = layers.Dense(12, "relu")(layers.Flatten()(given))
        model = keras().Model(given, layers.Dense(3, "softmax")(value))
    else:
        model = keras().Sequential([layers.Input(SHAPE), *stacks[kind]])
    weights = model.get_weights()
    signs = [rng.choice([-1, 1], w.shape) if w.ndim > 1 else 1 for w in weights]
    model.set_weights(
        [rng.uniform(0.3, 1, w.shape) * sign for w, sign in zip(weights, signs, strict=True)]
    )
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """(file, outputs of Keras on hostile images, one at a time) of each model in each format."""
    folder, found = tmp_path_factory.mktemp("keras"), {}
    images = hostile_images(16, 12)
    for kind in MODELS:
        model = _model(kind)
        outputs = np.concatenate([model(image.reshape(1, *SHAPE)).numpy() for image in images])
        for suffix in ("keras", "h5"):
            found[f"{kind} {suffix}"] = (save(model, folder / f"{kind}.{suffix}"), outputs)
    return found


def _kind(path: Path) -> str:
    return "keras" if path.suffix == ".keras" else "keras-h5"


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("kind", MODELS)
def test_outputs_of_keras_lie_within_the_claimed_error(
    files: dict[str, Any], kind: str, suffix: str
) -> None:
    path, outputs = files[f"{kind} {suffix}"]
    deployed = read_deployed(described(path, _kind(path), "keras"))
    low, high = ranges(deployed, hostile_images(16, 12))
    if kind == "functional":
        assert deployed.end == "float softmax"
        assert read_deployed(described(path, _kind(path), "onnxruntime")).end == "logits"
        lead = np.log(outputs[:, :2]) - np.log(outputs[:, 1:])  # differences of logits
        assert (low[:, :2] - high[:, 1:] - 1e-3 <= lead).all()
        assert (lead <= high[:, :2] - low[:, 1:] + 1e-3).all()
        return
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    assert (high - low).max() < 0.02 * np.ptp(outputs)


def test_weights_are_matched_by_position_as_keras_does(
    files: dict[str, Any], tmp_path: Path
) -> None:
    """Names exchanged in the configuration, and in the list of stored layers: what Keras loads is
    what is read."""
    path, _ = files["plain h5"]
    for number in range(2):
        other = shutil.copy(path, tmp_path / f"{number}.h5")
        with h5py.File(other, "r+") as file:
            config: Any = file.attrs["model_config"]
            text = config if isinstance(config, str) else config.decode()
            entries = json.loads(text)["config"]["layers"]
            one, two = [
                each["config"]["name"] for each in entries if each["class_name"] == "Dense"
            ][:2]
            if number:
                weights: Any = file["model_weights"]
                weights.move(one, "held")
                weights.move("held", f"{one}_more")
                names = [
                    n.decode() if isinstance(n, bytes) else n for n in weights.attrs["layer_names"]
                ]
                weights.attrs["layer_names"] = [
                    (f"{one}_more" if n == one else n).encode() for n in names
                ]
            else:
                text = (
                    text.replace(f'"{one}"', '"@"')
                    .replace(f'"{two}"', f'"{one}"')
                    .replace('"@"', f'"{two}"')
                )
                file.attrs["model_config"] = text
        model = keras().models.load_model(other, compile=False)
        images = hostile_images(16, 12)
        outputs = np.concatenate([model(image.reshape(1, *SHAPE)).numpy() for image in images])
        low, high = ranges(read_deployed(described(Path(other), "keras-h5", "keras")), images)
        assert (low <= outputs).all()
        assert (outputs <= high).all()


def rewritten(path: Path, folder: Path, change: Callable[[Any], object]) -> Path:
    """The archive after a change to its configuration."""
    other = folder / "c.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as fresh:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            fresh.writestr(name, data)
    return other


def layer(config: Any, kind: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["class_name"] == kind)


def _beside(config: Any, source: str = "") -> None:
    """One more dense layer behind the output, which nothing reads."""
    entries = config["config"]["layers"]
    more = json.loads(json.dumps(entries[-1]))
    more["name"] = more["config"]["name"] = "more"
    history = more["inbound_nodes"][0]["args"][0]["config"]
    history.update(keras_history=[source or entries[-1]["name"], 0, 0], shape=[None, 3])
    more.pop("build_config", None)
    entries.append(more)


REWIRED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "channels first": (
        "plain",
        lambda c: layer(c, "Flatten")["config"].update(data_format="channels_first"),
    ),
    "a list in another order": ("functional", lambda c: c["config"]["layers"].reverse()),
    "a layer beside the way": ("functional", _beside),
    "no ReLU": ("plain", lambda c: layer(c, "Dense")["config"].update(activation="linear")),
}


@pytest.mark.parametrize("name", REWIRED)
def test_keras_reads_the_wires_so_and_so_does_the_checker(
    files: dict[str, Any], tmp_path: Path, name: str
) -> None:
    kind, change = REWIRED[name]
    path = rewritten(files[f"{kind} keras"][0], tmp_path, change)
    model, images = keras().models.load_model(path, compile=False), hostile_images(16, 12)
    outputs = np.concatenate([model(image.reshape(1, *SHAPE)).numpy() for image in images])
    assert not np.array_equal(outputs, files[f"{kind} keras"][1]) or kind == "functional"
    low, high = ranges(read_deployed(described(path, "keras", "keras")), images)
    if kind == "functional":
        outputs = np.log(outputs[:, :2]) - np.log(outputs[:, 1:])  # differences of logits
        low, high = low[:, :2] - high[:, 1:] - 1e-3, high[:, :2] - low[:, 1:] + 1e-3
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    assert (high - low).max() < 0.02 * np.ptp(outputs) + 0.01


REFUSED: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "another activation": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(activation="gelu"),
        "activation",
    ),
    "half precision": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(dtype="float16"),
        "float32",
    ),
    "mixed precision": (
        "plain",
        lambda c: layer(c, "Dense")["config"]["dtype"]["config"].update(name="mixed_float16"),
        "float32",
    ),
    "a capped ReLU": (
        "plain",
        lambda c: layer(c, "ReLU")["config"].update(max_value=6.0),
        "capped",
    ),
    "an unknown setting": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(more=1),
        "the setting",
    ),
    "an unknown layer": (
        "plain",
        lambda c: layer(c, "Dropout").update(class_name="Lambda"),
        "the layer",
    ),
    "a layer of another package": (
        "plain",
        lambda c: layer(c, "Dense").update(module="mine"),
        "none of Keras",
    ),
    "a registered layer": (
        "plain",
        lambda c: layer(c, "Dense").update(registered_name="mine>Dense"),
        "none of Keras",
    ),
    "other units": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(units=11),
        "another shape",
    ),
    "no bias": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(use_bias=False),
        "another shape",
    ),
    "a layer less": ("plain", lambda c: c["config"]["layers"].pop(), "ReLU|end"),
    "quantised": (
        "plain",
        lambda c: layer(c, "Dense")["config"].update(quantization_config={"a": 1}),
        "quantised",
    ),
    "a variance below 0": (
        "normalised",
        lambda c: layer(c, "Normalization")["config"].update(variance=[-1.0]),
        "below 0",
    ),
    "no factor": (
        "normalised",
        lambda c: layer(c, "Rescaling")["config"].update(scale=0.0),
        "0, huge",
    ),
    "another axis": (
        "batch norms",
        lambda c: layer(c, "BatchNormalization")["config"].update(axis=3),
        "axis|as Keras",
    ),
    "an output before the end": (
        "functional",
        lambda c: c["config"].update(
            output_layers=[[c["config"]["layers"][2]["config"]["name"], 0, 0]]
        ),
        "at the end",
    ),
    "a layer that reads nothing": ("functional", lambda c: _beside(c, "nothing"), "no chain"),
    "a layer called in training": (
        "functional",
        lambda c: c["config"]["layers"][2]["inbound_nodes"][0]["kwargs"].update(training=True),
        "arguments",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_configurations_have_no_rules(
    files: dict[str, Any], tmp_path: Path, name: str
) -> None:
    kind, change, words = REFUSED[name]
    path, _ = files[f"{kind} keras"]
    read_deployed(described(rewritten(path, tmp_path, lambda config: None), "keras", "keras"))
    with pytest.raises(NoRulesError) as caught:
        read_deployed(described(rewritten(path, tmp_path, change), "keras", "keras"))
    assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)


def test_weights_that_lie_elsewhere_have_no_rules(files: dict[str, Any], tmp_path: Path) -> None:
    path, _ = files["plain h5"]

    def outcome(change: Callable[[Any, str], object]) -> str:
        other = shutil.copy(path, tmp_path / "o.h5")
        with h5py.File(other, "r+") as file:
            weights: Any = file["model_weights"]
            name = next(n for n in weights if len(weights[n].attrs.get("weight_names", ())))
            place = f"{name}/{weights[name].attrs['weight_names'][0]}"
            change(weights, place if isinstance(place, str) else place.decode())
        with pytest.raises(NoRulesError) as caught:
            read_deployed(described(Path(other), "keras-h5", "keras"))
        return str(caught.value)

    def softened(weights: Any, place: str) -> None:
        values = weights[place][()]
        del weights[place]
        weights["other"] = values
        weights[place] = h5py.SoftLink("/model_weights/other")

    def narrowed(weights: Any, place: str) -> None:
        values = weights[place][()]
        del weights[place]
        weights[place] = values.astype(np.float16)

    def spoilt(weights: Any, place: str) -> None:
        weights[place][...] = np.nan

    assert "no weights at" in outcome(softened)
    assert "no float32" in outcome(narrowed)
    assert "not finite" in outcome(spoilt)
    assert "no weights at" in outcome(lambda weights, place: weights.pop(place))


def test_keras1_weights(tmp_path: Path) -> None:
    """Read as the formula says; a layer that is named and missing is an error."""
    dense = random_dense(2, (16, 8, 3))
    path = write_keras1(dense, tmp_path / "k.h5")
    found = read_deployed(described(path, "keras1-h5", "onnxruntime"))
    assert [
        np.array_equal(a.weights, b.weights)
        for a, b in zip(found.layers, dense.layers, strict=True)
    ] == [
        True,
        True,
    ]
    assert (found.end, [layer.terms for layer in found.layers]) == ("logits", [18, 10])
    with h5py.File(path, "r+") as file:
        del file["dense_1"]
    with pytest.raises(NoRulesError, match="no weights at"):
        read_deployed(described(path, "keras1-h5", "onnxruntime"))


def test_savedmodels_and_unknown_formats_have_no_rules(tmp_path: Path) -> None:
    for kind, runtime in (
        ("savedmodel", "keras"),
        ("onnx", "keras"),
        ("tflite", "onnxruntime"),
        ("keras1-h5", "keras"),
    ):
        with pytest.raises(NoRulesError, match="bounds on a"):
            read_deployed(described(tmp_path, kind, runtime))
