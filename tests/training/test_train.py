"""Training: repeatable bytes, a file that Keras opens in safe mode, nothing left behind, and a
network that has learnt."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.events import Event, silent
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.system.files import sha256_file
from relrob.training import reference
from relrob.training.architectures import (
    ARCHITECTURES,
    RECIPE,
    default_architecture,
    find_architecture,
)
from relrob.training.asked import Training
from relrob_datasets import load as load_dataset
from tests import make_networks
from tests.support import ROOT

TINY: dict[str, Any] = {"epochs": 2, "limit": 400}


def train(path: Path, **options: Any) -> Path:
    """The MNIST architecture on the first images of MNIST."""
    settings = {**TINY, **options}
    listener = settings.pop("listener", silent)
    reference.trainer()(Training("mlp-512x2", "mnist", **settings), path, listener)
    return path


def test_the_same_seed_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a.keras"), train(tmp_path / "b.keras")
    assert first.read_bytes() == second.read_bytes()
    assert train(tmp_path / "c.keras", seed=1).read_bytes() != first.read_bytes()
    code = "from tests.training.test_train import *; train(Path(sys.argv[1]))"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([".", "datasets"]),
        "PYTHONHASHSEED": "7",
    }
    elsewhere = tmp_path / "d.keras"
    done = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", ""), "training is silent"
    assert sha256_file(elsewhere) == sha256_file(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.keras",
        "b.keras",
        "c.keras",
        "d.keras",
    ]


def test_the_file_is_a_plain_keras_mlp_without_a_clock(tmp_path: Path) -> None:
    path = train(tmp_path / "a.keras")
    model = make_networks.keras().saving.load_model(path, compile=False, safe_mode=True)
    assert [type(layer).__name__ for layer in model.layers] == [
        "Flatten",
        "Dense",
        "Dense",
        "Dense",
    ]
    assert (
        model.input_shape == (None, 28, 28, 1) and model.layers[-1].activation.__name__ == "linear"
    )
    images = load_dataset("mnist").pixels(range(200))
    network = load_network(path, image_shape=(28, 28, 1), classes=10)
    assert network.dense is not None and not network.dense.softmax
    expected = make_networks.forward(network.dense, images)
    np.testing.assert_allclose(
        model(images.reshape(-1, 28, 28, 1)).numpy(), expected, rtol=1e-3, atol=1e-3
    )
    with zipfile.ZipFile(path) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"date" not in archive.read("metadata.json")


def test_it_learns_and_says_how_far_it_is(tmp_path: Path) -> None:
    events: list[Event] = []
    path = train(tmp_path / "a.keras", limit=6000, epochs=3, listener=events.append)
    test = load_dataset("mnist")
    network = load_network(path, image_shape=test.image_shape, classes=10)
    measured = accuracy(open_network(network, 2), test.images, test.labels)
    assert measured > 0.91
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total == 3 * (5500 // 128)
    lines = [event.text for event in events if event.text]
    assert len(lines) == 3 and lines[-1].startswith("epoch 3/3: loss ")
    said = float(lines[-1].rsplit(" ", 1)[1])
    assert abs(said - measured) < 0.05, (
        "the validation accuracy is of images that were not trained on"
    )


@pytest.mark.slow
def test_the_default_recipe_reaches_98_percent(tmp_path: Path) -> None:
    test = load_dataset("mnist")
    path = train(tmp_path / "a.keras", epochs=None, limit=None)
    network = load_network(path, image_shape=test.image_shape, classes=10)
    assert accuracy(open_network(network, 2), test.images, test.labels) >= 0.98


def test_scaling_folds_into_the_first_layer(tmp_path: Path) -> None:
    with_scaling = load("relrob.training.scaling:Scaling")
    images = np.random.default_rng(0).integers(0, 256, (50, 6), dtype=np.uint8)
    scaling = with_scaling.of(images, True)
    assert with_scaling.of(images, False) == with_scaling(255.0, 0.0, 1.0)
    assert scaling.mean == pytest.approx(
        (images / 255).mean()
    ) and scaling.deviation == pytest.approx((images / 255).std())
    assert with_scaling.of(np.zeros((3, 6), np.float32), True).deviation == 1
    layer = make_networks.keras().layers.Dense(4, bias_initializer="ones")
    before = layer(scaling.apply(images)).numpy()
    scaling.fold(layer)
    np.testing.assert_allclose(
        layer(images.astype(np.float32) / 255).numpy(), before, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("arch", "dataset", "name", "options", "error", "words"),
    [
        ("mlp-9000", "mnist", "a.keras", {}, UsageError, "mlp-512x2, mlp-256x2"),
        ("mlp-512x2", "mnist", "a.h5", {}, UsageError, "ends in .keras"),
        ("mlp-512x2", "mnist", "a.keras", {"epochs": 0}, UsageError, "epochs 0"),
        ("mlp-512x2", "mnist", "a.keras", {"seed": -1}, UsageError, "seed -1"),
        ("mlp-512x2", "mnist", "a.keras", {"limit": 1}, UsageError, "limit 1"),
        ("mlp-512x2", "nowhere", "a.keras", {}, RelrobError, "nowhere"),
        ("mlp-512x2", "mnist", "file/a.keras", {}, StoreError, "is not a directory"),
        ("mlp-512x2", "mnist", "folder.keras", {}, StoreError, "a directory of that name"),
    ],
)
def test_mistakes_are_named_before_any_training(
    arch: str,
    dataset: str,
    name: str,
    options: dict[str, Any],
    error: type[RelrobError],
    words: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(error) as caught:
        reference.trainer()(Training(arch, dataset, **options), tmp_path / name)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.keras"]


def test_an_interrupt_leaves_a_state_alone_and_the_same_call_goes_on(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "deep" / "a.keras"
    with pytest.raises(KeyboardInterrupt):
        train(path, listener=interrupt)
    assert [each.name for each in path.parent.iterdir()] == ["a.keras.training"]
    events: list[Event] = []
    train(path, listener=events.append)
    assert "goes on after epoch 1 of 2" in events[0].text
    assert [event.text[:9] for event in events[1:]] == ["epoch 2/2"]
    assert path.read_bytes() == train(tmp_path / "whole.keras").read_bytes()
    assert [each.name for each in path.parent.iterdir()] == ["a.keras"]


def test_architectures() -> None:
    assert {default_architecture(name) for name in ("mnist", "fashion-mnist", "my.npz")} == {
        "mlp-512x2"
    }
    assert {default_architecture(name) for name in ("cifar10", "svhn")} == {"mlp-256x2"}
    assert (find_architecture("mlp-256x2").hidden, find_architecture("mlp-256x2").dropout) == (
        (256, 256),
        0.5,
    )
    assert (find_architecture("mlp-512x2").hidden, find_architecture("mlp-512x2").dropout) == (
        (512, 512),
        0.2,
    )
    assert all(find_architecture(each.name) is each for each in ARCHITECTURES)


def own_data(path: Path, seed: int) -> Path:
    """Sixty coloured squares of three classes."""
    rng = np.random.default_rng(seed)
    np.savez(
        path, images=rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8), labels=np.arange(60) % 3
    )
    return path


def test_a_reference_is_trained_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    data = own_data(tmp_path / "squares.npz", 0)
    events: list[Event] = []
    path = reference.cached_reference(str(data), "mlp-256x2", 3, events.append)
    assert path.parent == tmp_path / "cache" / "networks" and events[0].stage == "note"
    assert load_network(path, image_shape=(4, 4, 3), classes=3).dense is not None
    written, count = path.stat().st_mtime_ns, len(events)
    assert reference.cached_reference(str(data), "mlp-256x2", 3, events.append) == path
    assert (path.stat().st_mtime_ns, len(events)) == (written, count)
    own_data(data, 1)
    assert reference.cache_name(str(data), "mlp-256x2", 3) != path.name, (
        "other images under the same name"
    )
    assert (
        reference.cache_name("mnist", "mlp-512x2", 4)
        == f"mlp-512x2-mnist-seed4-recipe{RECIPE}.keras"
    )
    with pytest.raises(UsageError):
        reference.cached_reference("mnist", "nothing")
