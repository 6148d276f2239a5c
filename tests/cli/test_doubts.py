"""A run of a wrong pair of files says so; a run of a faithful pair says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.api import doubts, evidence
from relrob.api.results import VerifyResult
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import weights_on
from relrob.domain.network import Dense
from relrob.errors import NetworkError, StoreError
from relrob.store.evidence import FILE, read_evidence
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

    monkeypatch.setattr(doubts, "weights_on", refuse)
    assert said(tmp_path, trained(), trained(3)) == []


def stale(folder: Path) -> tuple[str, ...]:
    """The paths of a reference, of the quantised form of an older state of it, and of images."""
    levels, labels = images(200)
    np.savez(folder / "data.npz", images=levels, labels=labels)
    files = Files(folder)
    pair = files.onnx(trained()).path, files.tflite(states()[-4]).path
    return (*pair, str(folder / "data.npz"))


def verified(paths: Sequence[str], out: Path, **more: Any) -> VerifyResult:
    given: dict[str, Any] = {"region": "linf-1", "images": "0:2", **more}
    return relrob.verify(*paths[:2], dataset=paths[2], out=out, **given)


def test_verify_says_it_in_its_log_summary_and_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = verified(stale(tmp_path), tmp_path / "r")
    texts = [text for text in found["warnings"] if text.startswith("stale-weights: ")]
    assert len(texts) == 1
    assert texts[0] in caplog.messages
    document = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    assert document["warnings"] == found["warnings"]
    assert "- Warning: stale-weights" in (tmp_path / "r" / "table.md").read_text(encoding="utf-8")


def test_weights_are_compared_once_and_kept_for_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run is interrupted before its end; what it kept is what the last one keeps."""
    paths, out, asked = stale(tmp_path), tmp_path / "r", []

    def counted(*given: Any) -> WeightReport:
        asked.append(1)
        return weights_on(*given)

    class StopError(Exception):
        """The run is over."""

    def stop(*_: object) -> None:
        raise StopError

    for module in (evidence, doubts):
        monkeypatch.setattr(module, "weights_on", counted)
    with monkeypatch.context() as patch:
        patch.setattr("relrob.api.verify.run", stop)
        with pytest.raises(StopError):
            verified(paths, out)
    kept = read_evidence(out).weights
    assert len(asked) == 1 and kept is not None and kept["layers"]
    texts = [verified(paths, out, images=images)["warnings"] for images in ("0:2", "0:3")]
    assert texts[0] == texts[1] and texts[0][0].startswith("stale-weights: ")
    assert len(asked) == 1 and read_evidence(out).weights == kept
    document = json.loads((out / FILE).read_text(encoding="utf-8"))
    document["weights"]["diagnosis"] = [{"id": "all is well"}]
    (out / FILE).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StoreError, match=r"evidence\.json is damaged"):
        verified(paths, out)
