"""Keras on another backend is refused before its import, wherever it is named; other settings of
its file change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relrob.errors import UsageError
from relrob.networks.keras.backend import check_backend
from tests.make_networks import keras, save
from tests.support import ROOT

IMAGES = np.random.default_rng(2).random((5, 12), dtype=np.float32)


def settings(folder: Path, **values: object) -> None:
    """A keras.json."""
    folder.mkdir(exist_ok=True)
    (folder / "keras.json").write_text(json.dumps(values))


def test_the_environment_decides_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(
        UsageError, match=r"^Keras runs on torch; accepted: tensorflow; try: unset KERAS_BACKEND$"
    ):
        check_backend()
    settings(tmp_path / "jax", backend="jax")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "jax"))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "")
    with pytest.raises(UsageError, match=r"runs on jax \(.*keras.json\).*KERAS_BACKEND=tensorflow"):
        check_backend()
    (tmp_path / "jax" / "keras.json").write_text("no json")
    check_backend()
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings(tmp_path / "home", backend="jax")
    check_backend()
    settings(tmp_path / "home" / ".keras", backend="jax")
    with pytest.raises(UsageError, match="jax"):
        check_backend()


RUN = """
import sys
import numpy as np
from relrob.errors import RelrobError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.compress.build import quantised_bytes
from relrob.training.reference import trainer
network = load_network(sys.argv[1], image_shape=(2, 2, 3), classes=3)
images = np.random.default_rng(2).random((5, 12), dtype=np.float32)
for step in (lambda: np.save(sys.argv[2], open_network(network).outputs(images)),
             lambda: quantised_bytes(network, "dynamic", None, (2, 2, 3)), trainer):
    try:
        step()
    except RelrobError as error:
        print(error)
assert ("keras" in sys.modules) == (sys.argv[3] == "imported")
"""


def test_nothing_imports_keras_on_another_backend_and_its_settings_change_nothing(
    tmp_path: Path,
) -> None:
    layers = keras().layers
    stack = [
        layers.Normalization(mean=0.5, variance=1e-16),
        layers.Flatten(),
        layers.Dense(3, "tanh"),
    ]
    model = keras().Sequential([layers.Input((2, 2, 3)), *stack])
    path = save(model, tmp_path / "n.keras")
    settings(
        tmp_path / "odd",
        backend="tensorflow",
        epsilon=0.5,
        image_data_format="channels_first",
        floatx="float16",
    )
    paths = os.pathsep.join([".", "datasets"])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KERAS")}
    environment |= {"PYTHONPATH": paths, "KERAS_HOME": str(tmp_path / "odd")}
    for more, state in (({"KERAS_BACKEND": "torch"}, "not"), ({}, "imported")):
        command = [sys.executable, "-c", RUN, str(path), str(tmp_path / "out.npy"), state]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment | more,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        line = "Keras runs on torch; accepted: tensorflow; try: unset KERAS_BACKEND"
        assert done.stdout.count(line) == (3 if more else 0), done.stdout
    expected = np.asarray(model(IMAGES.reshape(-1, 2, 2, 3)))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)
