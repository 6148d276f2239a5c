"""What a worker keeps open: each network once, the longest unused given back first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.open import Opened
from relrob.study.pipeline import shelf as module
from relrob.study.pipeline.shelf import Shelf
from relrob_datasets import load
from tests.support import numpy_opened, random_dense

OPENED = numpy_opened(random_dense(0, (784, 10)), (28, 28, 1))


class Counted:
    """An evaluator that remembers how many images it ran."""

    def __init__(self) -> None:
        self.ran = 0
        self.best_batch = OPENED.evaluator.best_batch
        self.runtime = OPENED.evaluator.runtime

    def outputs(self, images: Floats) -> Floats:
        self.ran += len(images)
        return OPENED.evaluator.outputs(images)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were loaded."""
    names: list[str] = []

    def loading(path: Path, **how: Any) -> Network:
        names.append(path.name)
        return OPENED.network

    monkeypatch.setattr(module, "load_network", loading)
    monkeypatch.setattr(module, "open_network", lambda network, batch=None: OPENED.evaluator)
    return names


def test_a_network_is_loaded_once_and_the_longest_unused_goes(loaded: list[str]) -> None:
    shelf, data = Shelf(most=2), load("mnist", "test")
    for name in ("a", "b", "a", "c", "a", "b"):
        shelf.opened(Path(name), "0" * 64, data)
    assert loaded == ["a", "b", "c", "b"]
    # Another file at the same path is another network.
    shelf.opened(Path("b"), "1" * 64, data)
    assert loaded[-1] == "b"


def test_data_are_read_once() -> None:
    shelf = Shelf()
    assert shelf.data("mnist") is shelf.data("mnist", "test")


def test_clean_labels_are_asked_for_once_for_the_same_images() -> None:
    shelf, data, counted = Shelf(), load("mnist", "test"), Counted()
    opened: Opened = replace(OPENED, evaluator=counted)
    places = np.arange(100)
    first = shelf.clean(opened, data, places)
    ran = counted.ran
    assert np.array_equal(first, shelf.clean(opened, data, places.copy()))
    assert counted.ran == ran > 0
    other = shelf.clean(opened, data, places[::-1].copy())
    assert np.array_equal(other, first[::-1])
    assert counted.ran > ran
