"""A run of a wrong pair of files says so; a run of a faithful pair says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import relrob
from relrob.api import doubts
from relrob.domain.network import Dense
from relrob.errors import NetworkError
from relrob_datasets.dataset import Dataset
from tests.audit.trained import Files, data, images, in_order, renamed, states, trained

CHW = np.arange(108).reshape(6, 6, 3).transpose(2, 0, 1).ravel()


def rights(reference: Dense, quantised: Dense, given: Dataset) -> tuple[float, float]:
    """The accuracies, without relrob."""

    def right(dense: Dense) -> float:
        values = given.images.reshape(len(given), -1) / 255.0
        for layer in dense.layers:
            values = values @ layer.weights + layer.bias
            values = np.maximum(values, 0) if layer.relu else values
        return float((values.argmax(axis=1) == given.labels).mean())

    return right(reference), right(quantised)


def said(
    folder: Path, reference: Dense, quantised: Dense, given: Dataset | None = None
) -> list[str]:
    """The names of what is said of a pair."""
    files, given = Files(folder), given or data()
    pair = files.onnx(reference), files.tflite(quantised)
    found = doubts.doubts(*pair, given, rights(reference, quantised, given))
    return [text.partition(":")[0] for text in found]


def test_a_faithful_pair_is_not_doubted(tmp_path: Path) -> None:
    assert said(tmp_path, trained(), trained()) == []


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: states()[-4], "stale-weights"),
        (lambda: trained(3), "another-network"),
        (lambda: renamed(trained(), (0, 1, 2, 8, 4, 5, 6, 7, 3, 9)), "permuted-classes"),
    ],
)
def test_weights_of_another_network_are_named(
    tmp_path: Path, made: Callable[[], Dense], name: str
) -> None:
    assert said(tmp_path, trained(), made()) == [name]


def shifted(labels: Sequence[int]) -> Dataset:
    """The data with other labels, sorted by class as folders are."""
    found = data()
    order = np.argsort(labels, kind="stable")
    return replace(found, images=found.images[order], labels=np.asarray(labels)[order])


def test_labels_in_another_order_are_named_by_runs(tmp_path: Path) -> None:
    given = shifted([(int(label) + 1) % 10 for label in data().labels])
    assert said(tmp_path, trained(), trained(), given) == ["permuted-classes"]


def test_a_wrong_layout_is_named_with_its_option(tmp_path: Path) -> None:
    other, files = in_order(trained(), CHW), Files(tmp_path)
    pair = files.onnx(other), files.tflite(other)
    (text,) = doubts.doubts(*pair, data(), rights(other, other, data()))
    assert text.startswith("layout: ")
    assert "try: --layout chw" in text


def test_runs_are_made_only_where_the_accuracies_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(Exception):
        """The runs were asked for."""

    def ask(*_: object, **__: object) -> None:
        raise AskedError

    monkeypatch.setattr(doubts, "compare_pair", ask)
    files = Files(tmp_path)
    pair, given = (files.onnx(trained()), files.tflite(trained())), data()
    for accuracies in ((0.9, 0.9), (0.9, 0.891), (0.3, 0.9)):
        assert doubts.doubts(*pair, given, accuracies) == []
    for accuracies in ((0.9, 0.88), (0.2, 0.2)):
        with pytest.raises(AskedError):
            doubts.doubts(*pair, given, accuracies)


def test_a_check_that_cannot_be_made_is_no_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NetworkError("no such file", "a file")

    monkeypatch.setattr(doubts, "compare_weights", refuse)
    assert said(tmp_path, trained(), trained(3)) == []


def test_verify_says_it_in_its_log_summary_and_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    levels, labels = images(200)
    np.savez(tmp_path / "data.npz", images=levels, labels=labels)
    files = Files(tmp_path)
    paths = files.onnx(trained()).path, files.tflite(states()[-4]).path
    found = relrob.verify(
        *paths,
        dataset=str(tmp_path / "data.npz"),
        region="linf-1",
        images="0:2",
        out=tmp_path / "r",
    )
    texts = [text for text in found["warnings"] if text.startswith("stale-weights: ")]
    assert len(texts) == 1
    assert texts[0] in caplog.messages
    document = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    assert document["warnings"] == found["warnings"]
    assert "- Warning: stale-weights" in (tmp_path / "r" / "table.md").read_text(encoding="utf-8")
