"""Networks of convolutions, trained: the same bytes from the same seed, killed or not, compressed
or not; what a state refuses; and what they learn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.events import Event, silent
from relrob.errors import ShapeError, StoreError, TrainingError, UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.training.asked import Training
from relrob.training.recipes import Recipe
from relrob.training.reference import trainer
from relrob_datasets import load as load_dataset
from tests import make_networks
from tests.support import ROOT
from tests.training.small import StopError, bars, stop, trained


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """Dropout, Adam and the best epoch, in another process than the first."""
    asked = Training("mnist-a", bars(tmp_path), seed=3, epochs=3, augment=("crop", "mixup"))
    path = tmp_path / "killed.keras"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from relrob.training.asked import Training\n"
        "from relrob.training.reference import trainer\n"
        "def kill(event):\n"
        "    if event.text.startswith('epoch 2'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "asked = Training('mnist-a', sys.argv[1], 3, epochs=3, augment=('crop', 'mixup'))\n"
        "trainer()(asked, Path(sys.argv[2]), kill)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", "datasets"])}
    done = subprocess.run(
        [sys.executable, "-c", code, asked.dataset, str(path)],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL and not path.exists()
    assert (tmp_path / "killed.keras.training").is_file()
    events: list[Event] = []
    resumed = trained(asked, path, events.append)
    assert "goes on after epoch 2 of 3" in events[0].text
    assert resumed == trained(asked, tmp_path / "whole.keras")
    assert not (tmp_path / "killed.keras.training").exists()


def test_a_state_of_other_options_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    asked = Training("lenet5", bars(tmp_path), epochs=2, limit=60)
    path, state = tmp_path / "a.keras", tmp_path / "state"
    with pytest.raises(StopError):
        trainer()(asked, path, stop, state)
    assert state.is_file() and not (tmp_path / "a.keras.training").exists()
    with pytest.raises(StoreError, match="state of another training"):
        trainer()(replace(asked, seed=1), path, silent, state)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(StoreError, match="is damaged"):
        trainer()(asked, path, silent, state)
    assert not path.exists()


def test_it_learns_and_reaches_the_loss_that_it_says(tmp_path: Path) -> None:
    """Six hundred digits are enough for three of four to be right."""
    path = tmp_path / "lenet5.keras"
    events: list[Event] = []
    asked = Training("lenet5", "mnist", limit=1500, epochs=3)
    trainer()(asked, path, events.append)
    test = load_dataset("mnist")
    network = load_network(path, image_shape=test.image_shape, classes=10)
    measured = accuracy(open_network(network, 2), test.images[:1000], test.labels[:1000])
    assert measured > 0.85
    said = float([event.text for event in events if event.text][-1].rsplit(" ", 1)[1])
    assert abs(said - measured) < 0.12


def test_training_goes_on_from_given_weights(tmp_path: Path) -> None:
    data = bars(tmp_path)
    first = tmp_path / "first.keras"
    trained(Training("lenet5", data, epochs=1), first)
    asked = Training("lenet5", data, epochs=1, start=first)
    assert asked.recipe.optimiser == "momentum"
    assert trained(asked, tmp_path / "second.keras") != first.read_bytes()
    keras = make_networks.keras()
    old, new = (
        keras.saving.load_model(tmp_path / name, compile=False).get_layer("conv0").get_weights()[0]
        for name in ("first.keras", "second.keras")
    )
    assert 0 < np.abs(old - new).max() < 0.05
    mlp = tmp_path / "mlp.keras"
    trained(Training("mlp-512x2", data, epochs=1), mlp)
    with pytest.raises(ShapeError, match="for layer 'conv0'"):
        trained(Training("lenet5", data, epochs=1, start=mlp), tmp_path / "third.keras")
    with pytest.raises(ShapeError, match="cannot load"):
        trained(Training("lenet5", data, epochs=1, start=Path(data)), tmp_path / "third.keras")


def test_patience_ends_a_training_and_keeps_its_best_epoch(tmp_path: Path) -> None:
    """At a rate of 0 no epoch is better than the first."""
    step = load("relrob.training.step:score")
    assert step(np.array([[0.0, 0.0]]), np.array([1])) == (pytest.approx(np.log(2)), 0.0)
    asked = Training("mnist-a", bars(tmp_path), epochs=9, patience=2)
    assert (asked.recipe.patience, asked.recipe.keep) == (2, "best")
    events: list[Event] = []
    fitted = load("relrob.training.fit:fit")
    learner_of = load("relrob.training.train:_learner")
    images = load_dataset(asked.dataset, "train", whole=True).images
    labels = load_dataset(asked.dataset, "train", whole=True).labels
    still = replace(asked.recipe, optimiser="sgd", rates=((0, 0.0),))
    learner = replace(learner_of(asked, 3, images)[0], recipe=still)
    file = load("relrob.training.state:StateFile")(tmp_path / "state", "key")
    before = [variable.numpy() for variable in learner.model.trainable_variables]
    fitted(learner, (images, labels), (images, labels), 0, file, events.append)
    lines = [event.text for event in events if event.stage == "train" and event.text]
    assert [line[:9] for line in lines] == ["epoch 1/9", "epoch 2/9", "epoch 3/9"]
    assert events[-1].text.startswith("kept: epoch 1")
    for variable, array in zip(learner.model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


def test_a_training_that_explodes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = Recipe(2, 30, "sgd", ((0, 3e38),))
    monkeypatch.setattr(Training, "recipe", wild)
    with pytest.raises(TrainingError, match="the loss is"):
        trained(Training("lenet5", bars(tmp_path)), tmp_path / "a.keras")
    assert not (tmp_path / "a.keras").exists()


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("none", set()),
        ("convolutions", {"conv0", "conv1", "conv2", "conv3"}),
        ("kernels", {"conv0", "conv1", "conv2", "conv3", "fc0", "logits"}),
        ("fc0", {"fc0"}),
    ],
)
def test_the_decay_of_a_recipe_reaches_its_weights(which: str, names: set[str]) -> None:
    make_networks.keras()
    decayed = load("relrob.training.step:decayed")
    architecture = Training("mnist-a", "mnist").architecture
    models = load("relrob.training.models:models")
    model, _ = models(architecture, architecture.quick, (28, 28, 1), 10, 0)
    found = {v.path.split("/")[-2] for v in model.trainable_variables if decayed(v, which)}
    assert found == names
    assert all(decayed(variable, "all") for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "fast"}, "quick, full"),
        ({"augment": ("spin",)}, "crop, flip"),
        ({"arch": "mlp-256x2", "augment": ("flip",)}, "read pixels as they are"),
        ({"patience": 0}, "patience 0"),
        ({"start": Path("nowhere.keras")}, "start nowhere.keras"),
    ],
)
def test_mistakes_are_named_without_tensorflow(options: dict[str, Any], words: str) -> None:
    settings = {"arch": "lenet5", "dataset": "mnist", **options}
    with pytest.raises(UsageError, match=words):
        _ = Training(**settings).recipe
