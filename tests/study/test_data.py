"""Data of a run: labels of the reference, class names, ranges, and what is said of them in every
output. Labels are compared with onnxruntime's own."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import relrob
from relrob.api.results import VerifyResult
from relrob.domain.events import Event
from relrob.errors import ClassCountError, DatasetError, RelrobError, UsageError
from relrob.networks.onnx.export import to_onnx
from relrob.report.run.terminal import rendered
from relrob.store.summary import Summary
from relrob.study.plan import make_plan
from relrob.study.request import Request
from relrob.study.work import data_of
from tests.cli_case import Case
from tests.support import random_dense


def outputs(network: Path, images: Any) -> Any:
    session: Any = onnxruntime.InferenceSession(network)
    flat = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return np.concatenate(
        [session.run(None, {session.get_inputs()[0].name: x[None]})[0] for x in flat]
    )


@pytest.fixture
def unlabelled(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    np.savez(tmp_path / "bare.npz", images=np.load(case.data)["images"])
    return tmp_path / "bare.npz"


def asked(case: Case, **options: Any) -> Request:
    return replace(case.request("0:4"), **options)


def run(case: Case, **options: Any) -> VerifyResult:
    return relrob.verify(
        case.reference,
        case.quantised,
        radius=3,
        step="1/2",
        features=8,
        axes=3,
        out="run",
        **{"images": "0:4", **options},
    )


def texts(summary: Mapping[str, Any]) -> tuple[str, str]:
    """What the terminal shows, in one line, and table.md."""
    document = {key: value for key, value in summary.items() if key != "directory"}
    words = " ".join(rendered(Summary.of(document)).split())
    return words, Path("run/table.md").read_text(encoding="utf-8")


def test_labels_of_the_reference(case: Case, unlabelled: Path) -> None:
    plan = make_plan(asked(case, dataset=str(unlabelled), labels="reference"))
    expected = outputs(case.reference, np.load(unlabelled)["images"]).argmax(axis=1)
    data = data_of(plan)
    assert data.labels.tolist() == expected.tolist() and data.classes == 4
    assert plan.header["reference"]["accuracy"] == 1 >= plan.header["quantised"]["accuracy"]
    assert plan.header["dataset"]["labels"] == plan.config["dataset"]["labels"] == "reference"
    with pytest.raises(DatasetError, match="--labels reference"):
        make_plan(asked(case, dataset=str(unlabelled)))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_output_says_whose_labels(case: Case, unlabelled: Path, workers: int) -> None:
    summary = run(case, dataset=unlabelled.name, labels="reference", workers=workers)
    assert summary["sets"]["L_cc"] == 4 and summary["dataset"]["labels"] == "reference"
    assert json.loads(Path("run/summary.json").read_text())["dataset"]["labels"] == "reference"
    for text in texts(summary):
        assert "labels" in text and "the reference's own" in text
    expected = outputs(case.reference, np.load(unlabelled)["images"]).argmax(axis=1)
    rows = list(csv.DictReader(Path("run/images.csv").read_text().splitlines()))
    assert [int(row["label"]) for row in rows] == expected[:4].tolist()


def test_own_labels_are_not_asked_for(case: Case, unlabelled: Path) -> None:
    own, other = (make_plan(asked(case, labels=each)) for each in ("given", "reference"))
    assert own.digest != other.digest and own.labels is None and other.labels is not None
    assert own.header["reference"]["accuracy"] == 0.9 < other.header["reference"]["accuracy"]
    with pytest.raises(DatasetError, match="labels are the reference's"):
        make_plan(asked(case, labels="reference", images="per-class:1"))


def named(folder: Path, case: Case, names: tuple[str, ...]) -> str:
    """The data with class names for numbers."""
    stored = np.load(case.data)
    np.savez(
        folder / "named.npz", images=stored["images"], labels=np.array(names)[stored["labels"]]
    )
    return "named.npz"


def test_the_map_of_classes_is_in_every_output(case: Case, unlabelled: Path) -> None:
    names = ("yak", "owl", "ant", "bee")
    (unlabelled.parent / "classes.txt").write_text("\n".join(names))
    data = named(unlabelled.parent, case, names)
    summary = run(case, dataset=data, classes="classes.txt")
    assert summary["dataset"]["classes"] == list(names)
    assert summary["reference"]["accuracy"] == 0.9
    for text in texts(summary):
        assert "0 yak, 1 owl, 2 ant, 3 bee, as --classes gives them" in text
    wrong = make_plan(asked(case, dataset=data))
    assert wrong.header["dataset"]["classes"] == ["ant", "bee", "owl", "yak"]
    assert wrong.header["reference"]["accuracy"] < 0.6 and wrong.digest != summary["run"]


def test_too_few_names_are_told_with_the_remedy(case: Case, unlabelled: Path) -> None:
    data = named(unlabelled.parent, case, ("yak", "ant", "owl", "ant"))
    with pytest.raises(ClassCountError, match=r"4 outputs.*--classes FILE.*found: ant, owl, yak"):
        make_plan(asked(case, dataset=data))
    with pytest.raises(ClassCountError, match=r"--classes FILE"):
        relrob.quantise(case.reference, "q.onnx", scheme="qdq", dataset=data)


def test_notes_of_what_was_taken(case: Case, unlabelled: Path) -> None:
    said: list[Event] = []
    plan = make_plan(asked(case, quantised=None, quantise="qdq", images="0:2000"), said.append)
    taken, calibrated = plan.header["dataset"]["notes"]
    assert taken == "images 0:2000: the set has 40, 40 are taken"
    assert "calibrated on images of this very set, which has no split train" in calibrated
    assert any(
        "all there are, of 200 asked for; images that it is judged by" in e.text for e in said
    )
    assert make_plan(asked(case)).header["dataset"].get("notes") is None


def test_calibration_on_a_split_train_is_not_remarked(case: Case, unlabelled: Path) -> None:
    stored = np.load(case.data)
    arrays = {"x_test": stored["images"], "y_test": stored["labels"], "classes": 4}
    train = {"x_train": stored["images"][::-1], "y_train": np.zeros((40, 0))}
    np.savez("keras.npz", **arrays, **train)
    said: list[Event] = []
    plan = make_plan(asked(case, dataset="keras.npz", quantised=None, quantise="qdq"), said.append)
    assert "notes" not in plan.header["dataset"]
    assert any("keras/train, 40 images" in event.text for event in said)
    assert not any("judged" in event.text for event in said)


@pytest.mark.parametrize("options", [{"range": "0:255"}, {"classes": "c.txt"}])
def test_what_needs_a_reference(unlabelled: Path, options: dict[str, Any]) -> None:
    (unlabelled.parent / "c.txt").write_text("\n".join("abcdefghij"))
    with pytest.raises(UsageError, match="without REFERENCE"):
        make_plan(Request(radius="1", step="1/2", **options))


def test_quantise_says_what_it_calibrated_on(case: Case, unlabelled: Path) -> None:
    told = relrob.quantise(
        case.reference,
        "q.onnx",
        scheme="qdq",
        dataset="bare.npz",
        labels="reference",
        calibration=5000,
    )
    assert told["calibration"] == (
        "bare/test, 40 images, seed 0 (all there are, of 5,000 asked for; "
        "images that it is judged by)"
    )
    assert told["data"] == {"labels": "reference"} and told["accuracy"] > 0.5
    with pytest.raises(DatasetError, match="has no splits: calibration split 'foo'"):
        relrob.quantise(
            case.reference,
            "q.onnx",
            scheme="qdq",
            dataset="bare.npz",
            labels="reference",
            calibration_split="foo",
        )


def test_a_ladder_needs_no_labels(unlabelled: Path) -> None:
    found = relrob.ladder(3, radius=9, step="1/2", features=2, axes=4, dataset=unlabelled.name)
    assert found["points"] > 1 and "labels" not in found["image"]
    np.savez("table.npz", images=np.linspace(-4, 4, 24).reshape(2, 12))
    table = relrob.ladder(
        1, radius=4, step="1/2", features="all", axes=4, dataset="table.npz", range="-4:4"
    )
    assert table["image"]["range"] == "-4:4" and table["points"] > 1


def test_grey_and_rgb_say_what_to_do(case: Case, unlabelled: Path) -> None:
    Path("rgb.onnx").write_bytes(to_onnx(random_dense(3, (192, 8, 4))))
    with pytest.raises(RelrobError, match="the network reads RGB and the images are grey"):
        make_plan(asked(case, reference="rgb.onnx"))
    stored = np.load(case.data)
    np.savez("rgb.npz", images=stored["images"][..., None].repeat(3, -1), labels=stored["labels"])
    with pytest.raises(RelrobError, match="the network reads grey and the images are RGB"):
        make_plan(asked(case, dataset="rgb.npz"))


def test_a_range_feeds_the_units_of_the_range(case: Case, unlabelled: Path) -> None:
    """Features from -4 to 4 in a network that reads them: onnxruntime's labels of the features
    themselves are those of the run."""
    values = np.random.default_rng(8).uniform(-4, 4, (60, 64)).astype(np.float32)
    session: Any = onnxruntime.InferenceSession(case.reference)
    name = session.get_inputs()[0].name
    truth = np.concatenate([session.run(None, {name: row[None]})[0] for row in values])
    np.savez("table.npz", images=values, labels=truth.argmax(axis=1))
    for asked_for in ("-4:4", "auto"):
        plan = make_plan(asked(case, dataset="table.npz", range=asked_for))
        assert plan.header["reference"]["accuracy"] == 1
    low, high = (float(end) for end in plan.header["dataset"]["range"].split(":"))
    assert low <= values.min() < low + 1e-4 and high - 1e-4 < values.max() <= high
    fed = data_of(plan).pixels(range(60))
    assert np.abs(fed.astype(np.float64) * (high - low) + low - values).max() < 1e-6
    other = make_plan(asked(case, dataset="table.npz", range="-4:4", input_scale="1"))
    assert other.header["reference"]["accuracy"] < 1


@pytest.mark.parametrize("workers", [1, 2])
def test_moves_are_in_units_of_the_range(case: Case, unlabelled: Path, workers: int) -> None:
    """A witness of a run on features, mapped back, fools onnxruntime, and lies within radius times
    width of the features."""
    values = np.random.default_rng(9).uniform(-4, 4, (20, 64)).astype(np.float32)
    session: Any = onnxruntime.InferenceSession(case.quantised)
    name = session.get_inputs()[0].name
    np.savez("table.npz", images=values)
    summary = run(
        case,
        dataset="table.npz",
        labels="reference",
        range="-4:4",
        images="all",
        workers=workers,
    )
    for text in texts(summary):
        assert "values -4:4 are pixels 0 to 1" in text and "units of the range" in text
    fooled = 0
    rows = list(csv.DictReader(Path("run/images.csv").read_text().splitlines()))
    for path in Path("run/witnesses").glob("*quantised*.npz"):
        index = int(path.name.split("-")[0])
        witness = np.load(path)["perturbed"].reshape(1, -1) * np.float32(8) - np.float32(4)
        label = session.run(None, {name: witness})[0].argmax()
        assert label != int(rows[index]["label"])
        assert np.abs(witness - np.clip(values[index], -4, 4)).sum() <= 8 * 3 + 1e-3
        fooled += 1
    assert fooled


def test_a_range_on_quantise(case: Case, unlabelled: Path) -> None:
    values = np.random.default_rng(8).uniform(-4, 4, (60, 64)).astype(np.float32)
    np.savez("table.npz", images=values)
    told = relrob.quantise(
        case.reference,
        "q.onnx",
        scheme="qdq",
        dataset="table.npz",
        labels="reference",
        range="-4:4",
    )
    assert told["data"] == {"labels": "reference", "range": "-4:4"}
    assert told["input"] == {"input_scale": "8", "mean": "4"} and told["accuracy"] > 0.8


def test_one_logit_labels_the_data_too(case: Case, unlabelled: Path) -> None:
    Path("one.onnx").write_bytes(to_onnx(random_dense(3, (64, 8, 1))))
    data = np.load(unlabelled)["images"]
    plan = make_plan(
        asked(
            case,
            dataset=unlabelled.name,
            labels="reference",
            reference="one.onnx",
            quantised=None,
            quantise="qdq",
        )
    )
    expected = (outputs(Path("one.onnx"), data)[:, 0] > 0).astype(int)
    assert data_of(plan).labels.tolist() == expected.tolist() and data_of(plan).classes == 2
