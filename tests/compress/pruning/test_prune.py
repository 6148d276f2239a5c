"""`relrob prune`: files of pruned networks, their verdicts as float MLPs, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.api.prune import prune
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import QuantiseError, StoreError, UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.weighted import weights_of
from tests import make_networks
from tests.cli_case import relrob_command
from tests.make_networks import forward
from tests.support import random_dense

SHAPE = (5, 5, 1)
DENSE = random_dense(4, (25, 20, 16, 4))
IMAGES = np.random.default_rng(3).random((90, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference, and images that it labels."""
    found = tmp_path_factory.mktemp("prune")
    make_networks.write_keras(DENSE, found / "m.keras", SHAPE)
    labels = forward(DENSE, IMAGES.reshape(90, -1)).argmax(axis=1)
    np.savez(found / "data.npz", images=IMAGES, labels=labels, classes=4)
    return found


def pruned(folder: Path, **options: Any) -> tuple[dict[str, Any], Network]:
    path = folder / "p.keras"
    done = prune(folder / "m.keras", path, dataset=str(folder / "data.npz"), **options)
    return done, load_network(path, image_shape=SHAPE, classes=4)


def outputs(network: Network) -> Floats:
    return open_network(network, 1).outputs(IMAGES.reshape(90, -1))


def test_a_disk_without_room_is_told_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def size(path: Path) -> int:
        asked.append(path)
        return 1 << 60

    monkeypatch.setattr("relrob.api.prune.size_of", size)
    with pytest.raises(StoreError, match=r"cannot write .*p\.keras: (File too large|No space)"):
        prune(folder / "m.keras", tmp_path / "p.keras", density=0.5, dataset="nowhere")
    assert asked == [folder / "m.keras"] and not list(tmp_path.iterdir())


def test_a_pruned_mlp_is_a_float_mlp_with_zeros(folder: Path) -> None:
    done, network = pruned(folder, density=0.5)
    assert network.dense is not None and not network.folded
    for layer, before in zip(network.dense.layers, DENSE.layers, strict=True):
        stays = layer.weights != 0
        assert stays.sum() == round(0.5 * stays.size)
        assert np.array_equal(layer.weights[stays], before.weights[stays])
        assert np.array_equal(layer.bias, before.bias)
        assert np.abs(before.weights[stays]).min() >= np.abs(before.weights[~stays]).max()
    assert done["density"] == 0.5
    assert done["method"] == "magnitude:density=0.5:scope=layer"


def test_one_threshold_for_all_layers(folder: Path) -> None:
    _, network = pruned(folder, threshold=0.2)
    for layer, before in zip(weights_of(network), DENSE.layers, strict=True):
        assert np.array_equal(layer.values != 0, np.abs(before.weights.T) >= np.float32(0.2))


def test_masked_units_of_a_dense_layer_stay_in_an_mlp(folder: Path) -> None:
    _, network = pruned(folder, method="activations", density=0.75)
    assert network.dense is not None
    hidden = np.maximum(IMAGES.reshape(90, -1) @ DENSE.layers[0].weights + DENSE.layers[0].bias, 0)
    hidden = np.maximum(hidden @ DENSE.layers[1].weights + DENSE.layers[1].bias, 0)
    gone = np.argsort(hidden.mean(axis=0), kind="stable")[:4]
    hidden[:, gone] = 0
    wanted = hidden @ DENSE.layers[2].weights + DENSE.layers[2].bias
    assert np.allclose(outputs(network), wanted, atol=1e-4)
    assert not network.dense.layers[1].weights[:, gone].any()


def test_epochs_train_what_stays(folder: Path) -> None:
    done, network = pruned(folder, density=0.3, epochs=2, seed=3)
    again, _ = pruned(folder, density=0.3, epochs=2, seed=3)
    assert done["sha256"] == again["sha256"]
    assert done["density"] == pytest.approx(0.3, abs=0.01)
    first = network.dense.layers[0].weights if network.dense else np.zeros(1)
    stays = first != 0
    assert (first[stays] != DENSE.layers[0].weights[stays]).any()
    surgery, _ = pruned(folder, method="surgery", density=0.3)
    assert surgery["method"] == "surgery:density=0.3:gradients=full:epochs=1"


def test_filters_and_channels_of_a_convolution(folder: Path) -> None:
    keras = make_networks.keras()
    keras.utils.set_random_seed(1)
    parts = [keras.Input(SHAPE), keras.layers.Conv2D(6, 3, activation="relu", name="conv")]
    parts += [keras.layers.Flatten(), keras.layers.Dense(4)]
    make_networks.save(keras.Sequential(parts), folder / "c.keras")
    data = str(folder / "data.npz")
    done = prune(
        folder / "c.keras", folder / "s.keras", method="soft-filter", density=0.6, dataset=data
    )
    assert done["layers"]["layer 2 'conv' (Conv2D)"] == pytest.approx(4 / 6, abs=1e-5)
    prune(
        folder / "c.keras",
        folder / "a.keras",
        method="activations",
        granularity="channel",
        density=0.5,
        dataset=data,
    )
    network = load_network(folder / "a.keras", image_shape=SHAPE, classes=4)
    model = keras.models.load_model(folder / "c.keras")
    values = model.layers[0](IMAGES).numpy()
    gone = np.argsort(values.mean(axis=(0, 1, 2)), kind="stable")[:3]
    values[..., gone] = 0
    assert np.allclose(outputs(network), model.layers[2](values.reshape(90, -1)), atol=1e-5)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"calibration": 5}, "calibration has no effect"),
    ({"seed": 1}, "seed has no effect"),
    ({"method": "activations", "block": "nowhere"}, "a layer that ends in a ReLU: d0, d1"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_options_without_use_are_refused(folder: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        pruned(folder, **options)


def test_a_layer_without_weights_is_refused(folder: Path) -> None:
    with pytest.raises(QuantiseError, match="no weight would be left in layer"):
        pruned(folder, threshold=99.0)


def test_the_command_writes_one_document_or_one_line(folder: Path) -> None:
    line = ["prune", str(folder / "m.keras"), "--dataset", str(folder / "data.npz"), "--json"]
    more = ["--density", "0.5", "-o", str(folder / "j.keras")]
    done = relrob_command([*line, *more], folder, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["density"] == 0.5
    wrong = relrob_command([*line, "-o", str(folder / "p.onnx")], folder, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.strip().count("\n") == 0 and ".keras" in wrong.stderr
