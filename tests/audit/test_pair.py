"""A pair on clean images: numbers against plain counting, each planted fault by its one name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.audit.faults_by_runs import constant_output
from relrob.audit.pair import compare_pair
from relrob.audit.pair_report import PairReport, Side
from relrob.audit.reading import LEVELS, SIGNED, USUAL, Reader, Reading
from relrob.domain.arrays import Floats
from relrob.domain.contract import InputContract
from relrob.domain.events import Event
from relrob.domain.network import Dense, Layer, Layout
from relrob.errors import ShapeError
from relrob.networks.shapes import raster
from relrob_datasets.dataset import Dataset
from tests.audit.trained import (
    CLASSES,
    SHAPE,
    Files,
    data,
    first_layer,
    images,
    in_order,
    reading,
    renamed,
    rounded_to,
    states,
    trained,
)

BGR = InputContract(bgr=True)
IMAGENET = USUAL[3]["ImageNet's mean and std"]
CAFFE = InputContract(Fraction(255), USUAL[3]["ImageNet's mean of levels"].mean, bgr=True)
CHW = raster(Layout.CHW, SHAPE)
SWAPPED = (0, 1, 2, 8, 4, 5, 6, 7, 3, 9)
CYCLE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)


@dataclass(frozen=True)
class Fault:
    """A pair with a fault, and what is to be said of it: the names, the hint of the first, and the
    networks that the evidence names."""

    reference: Dense
    quantised: Dense
    names: tuple[str, ...]
    hint: str = ""
    networks: tuple[str, ...] = ("reference", "quantised")
    candidates: tuple[str, ...] = ()
    data: Callable[[], Dataset] = data


def both(contract: InputContract, *names: str, hint: str) -> Fault:
    """Two networks that read the values of a contract, and are given pixels."""
    network = reading(trained(), contract)
    return Fault(network, network, names, hint)


def alone(contract: InputContract, name: str, at: int) -> Fault:
    """One network that reads the values of a contract."""
    pair = [trained(), trained()]
    pair[at] = reading(trained(), contract)
    role = ("reference", "quantised")[at]
    return Fault(pair[0], pair[1], (name,), f"{contract.text()} is right for the {role}", (role,))


def constant(dense: Dense) -> Dense:
    """The network that gives every image the class 4."""
    last = dense.layers[-1]
    bias = np.where(np.arange(CLASSES) == 4, 3, 0).astype(np.float32)
    dead = Layer(0 * last.weights, bias, False)
    return Dense((*dense.layers[:-1], dead))


def shuffled() -> Dataset:
    """The images with the classes in another order than the networks'."""
    levels, labels = images()
    return Dataset("patterns", "test", levels, np.array(CYCLE)[labels], CLASSES, "")


FAULTS: dict[str, Callable[[], Fault]] = {
    "levels": lambda: both(LEVELS, "input-scale", hint="--input-scale 255"),
    "-1..1": lambda: both(SIGNED, "input-scale", hint="--mean 0.5 --std 0.5"),
    "mean and std": lambda: both(IMAGENET, "normalisation", hint=IMAGENET.text()),
    "bgr": lambda: both(BGR, "channel-order", hint="--channels bgr"),
    "caffe": lambda: both(
        CAFFE, "normalisation", "channel-order", hint="--input-scale 255 --mean 123.68"
    ),
    "levels, quantised alone": lambda: alone(LEVELS, "input-scale", 1),
    "levels, reference alone": lambda: alone(LEVELS, "input-scale", 0),
    "mean and std, quantised alone": lambda: alone(IMAGENET, "normalisation", 1),
    "bgr, quantised alone": lambda: alone(BGR, "channel-order", 1),
    "chw": lambda: Fault(
        in_order(trained(), CHW), in_order(trained(), CHW), ("layout",), "--layout chw"
    ),
    "chw, quantised alone": lambda: Fault(
        trained(), in_order(trained(), CHW), ("layout",), "--layout chw is right", ("quantised",)
    ),
    "data in chw": lambda: Fault(
        trained(),
        trained(),
        ("layout",),
        "--images-layout chw",
        data=lambda: data(pixels=images()[0].transpose(0, 3, 1, 2)),
    ),
    "data reshaped": lambda: Fault(
        trained(),
        trained(),
        ("layout",),
        "images.reshape(-1, C, H, W)",
        data=lambda: data(pixels=images()[0].transpose(0, 3, 1, 2).reshape(-1, *SHAPE)),
    ),
    "data column by column": lambda: Fault(
        trained(),
        trained(),
        ("layout",),
        "images.transpose(0, 2, 1, 3)",
        data=lambda: data(pixels=images()[0].transpose(0, 2, 1, 3)),
    ),
    "swapped classes": lambda: Fault(
        trained(), renamed(trained(), SWAPPED), ("permuted-classes",), "convert", ("quantised",)
    ),
    "shifted classes": lambda: Fault(
        trained(), renamed(trained(), CYCLE), ("permuted-classes",), "convert", ("quantised",)
    ),
    "shifted classes of the reference": lambda: Fault(
        renamed(trained(), CYCLE), trained(), ("permuted-classes",), "convert", ("reference",)
    ),
    "shifted classes of the data": lambda: Fault(
        trained(), trained(), ("permuted-classes",), "--classes FILE", ("data",), data=shuffled
    ),
    "constant": lambda: Fault(trained(), constant(trained()), ("constant-output",), "look", ()),
    "both constant": lambda: Fault(
        constant(trained()), constant(trained()), ("undertrained-reference",), "train it", ()
    ),
    "untrained": lambda: Fault(
        states()[0], states()[0], ("undertrained-reference",), "train it", ()
    ),
    "another seed": lambda: Fault(
        trained(), trained(1), (), candidates=("another-network",), networks=()
    ),
    "not yet trained": lambda: Fault(
        trained(), states()[0], (), candidates=("another-network",), networks=()
    ),
    "stale": lambda: Fault(
        trained(1), states(1)[4], (), candidates=("stale-weights",), networks=()
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_has_one_name(name: str, tmp_path: Path) -> None:
    fault, files = FAULTS[name](), Files(tmp_path)
    shown = fault.data()
    shape = shown.image_shape
    report = compare_pair(
        files.onnx(fault.reference, image_shape=shape),
        files.tflite(fault.quantised, image_shape=shape),
        shown,
    )
    assert [each.id for each in report.diagnoses] == list(fault.names)
    assert [each.id for each in report.candidates] == list(fault.candidates)
    for each in report.diagnoses[:1]:
        assert each.blocking and each.hint.startswith(fault.hint)
        assert tuple(each.evidence.get("networks", ())) == fault.networks
    assert json.loads(json.dumps(report.json(), allow_nan=False)) == report.json()


def test_the_classes_that_moved_are_named(tmp_path: Path) -> None:
    found = [
        compare_pair(
            Files(tmp_path).onnx(trained()),
            Files(tmp_path).tflite(renamed(trained(), order)),
            data(),
        ).diagnoses[0]
        for order in (SWAPPED, CYCLE)
    ]
    assert found[0].sentence.startswith("classes 3 and 8 are swapped between")
    assert found[0].evidence["moved"] == [[3, 8], [8, 3]]
    # Class i of the quantised network is class CYCLE[i] of the reference.
    assert found[1].evidence["moved"] == sorted([row, at] for at, row in enumerate(CYCLE))


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("epoch", "seed"), [(8, 0), (8, 1), (3, 0), (1, 0), (1, 1)])
def test_a_faithful_pair_has_no_fault(
    epoch: int, seed: int, labelled: bool, tmp_path: Path
) -> None:
    network, files = states(seed)[epoch], Files(tmp_path)
    report = compare_pair(files.onnx(network), files.tflite(network), data(labelled=labelled))
    assert (report.diagnoses, report.candidates) == ((), ())
    assert report.agreement > 0.98 and report.kinship is not None and report.kinship.noise < 0.05
    assert (report.reference_accuracy is None) is not labelled
    assert (report.p_value is None) is not labelled


@pytest.mark.parametrize("contract", [LEVELS, IMAGENET, BGR, CAFFE])
def test_options_that_are_right_are_let_alone(contract: InputContract, tmp_path: Path) -> None:
    network, files = reading(trained(), contract), Files(tmp_path)
    pair = files.onnx(network, contract=contract), files.tflite(network, contract=contract)
    assert compare_pair(*pair, data()).diagnoses == ()


@pytest.mark.parametrize("contract", [LEVELS, BGR])
def test_an_option_that_one_file_says_already_is_right_for_both(
    contract: InputContract, tmp_path: Path
) -> None:
    """As of an int8 file whose scale of the input is 1: it reads levels, and its reference is not
    known to."""
    network, files = reading(trained(), contract), Files(tmp_path)
    pair = files.onnx(network), files.tflite(network, contract=contract)
    (found,) = compare_pair(*pair, data()).diagnoses
    assert found.hint == contract.text()
    assert found.evidence["networks"] == ["reference"]


def test_few_images_run_again_for_a_pair_that_is_read_as_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference that is often wrong is no reason to run thousands of images in other readings."""
    ran = list[int]()
    outputs = Reader.outputs

    def counted(reader: Reader, pixels: NDArray[Any], way: Reading) -> Floats:
        ran.append(len(pixels))
        return outputs(reader, pixels, way)

    monkeypatch.setattr(Reader, "outputs", counted)
    network, files = states(0)[4], Files(tmp_path)
    report = compare_pair(files.onnx(network), files.tflite(network), data())
    first = report.reference_accuracy
    assert first is not None and first.share < 0.96
    assert ran[:2] == [len(data())] * 2 and max(ran[2:]) <= 160


def test_an_option_that_is_wrong_is_taken_back(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for contract, name in ((IMAGENET, "normalisation"), (BGR, "channel-order")):
        pair = files.onnx(trained(), contract=contract), files.tflite(trained(), contract=contract)
        (found,) = compare_pair(*pair, data()).diagnoses
        assert (found.id, found.hint) == (name, f"without {contract.text()}")


@pytest.mark.parametrize("at", [0, 1])
def test_unlabelled_images_tell_which_network_is_misread(at: int, tmp_path: Path) -> None:
    pair, files = [trained(), trained()], Files(tmp_path)
    pair[at] = reading(trained(), IMAGENET)
    report = compare_pair(files.onnx(pair[0]), files.tflite(pair[1]), data(labelled=False))
    (found,) = report.diagnoses
    # Images alone cannot say which of two readings is theirs; the quantised network is asked first.
    assert found.id == "normalisation" and found.evidence["after"][0] > 0.95


def test_the_float_file_twice(tmp_path: Path) -> None:
    files = Files(tmp_path)
    one = files.onnx(trained())
    again = files.onnx(trained(), "again")
    renewed = Path(again.path)
    renewed.write_bytes(renewed.read_bytes().replace(b"test", b"tset"))
    other = files.onnx(trained(), "again") if again.sha256 == one.sha256 else again
    for quantised in (one, other):
        (found,) = compare_pair(one, quantised, data()).diagnoses
        assert found.id == "nothing-quantised"
    nearly = files.onnx(rounded_to(trained(), 8), "rounded")
    assert compare_pair(one, nearly, data()).diagnoses == ()


def test_four_bits_are_no_other_network(tmp_path: Path) -> None:
    files = Files(tmp_path)
    report = compare_pair(files.onnx(trained()), files.onnx(rounded_to(trained(), 8), "q"), data())
    assert report.candidates == ()


def test_numbers_are_those_of_plain_counting(tmp_path: Path) -> None:
    report = numbers(tmp_path)
    truth, one, other = (
        [int(each) for each in labels]
        for labels in (data().labels, report.reference_labels, report.quantised_labels)
    )
    triples = list(zip(truth, one, other, strict=True))
    assert report.agreeing.k == sum(a == b for _, a, b in triples)
    assert report.disagreements == tuple(at for at, (_, a, b) in enumerate(triples) if a != b)
    assert report.reference_accuracy is not None and report.quantised_accuracy is not None
    assert report.reference_accuracy.k == sum(t == a for t, a, _ in triples)
    assert report.quantised_accuracy.k == sum(t == b for t, _, b in triples)
    assert report.regressions == tuple(at for at, (t, a, b) in enumerate(triples) if a == t != b)
    assert report.gains == tuple(at for at, (t, a, b) in enumerate(triples) if b == t != a)
    assert len(report.regressions) > 5 < len(report.gains)
    for row in report.rows:
        mine = [(a, b) for t, a, b in triples if t == row.label]
        assert row.images == len(mine)
        assert row.reference == sum(a == row.label for a, _ in mine)
        assert row.quantised == sum(b == row.label for _, b in mine)
    for first, second, count in report.changes:
        assert count == sum((a, b) == (first, second) for _, a, b in triples)
    assert sum(count for *_, count in report.changes) == len(report.disagreements)
    assert [c for *_, c in report.changes] == sorted((c for *_, c in report.changes), reverse=True)


def numbers(folder: Path) -> PairReport:
    """A pair with regressions and gains."""
    return compare_pair(Files(folder).onnx(trained()), Files(folder).tflite(trained(1)), data())


def test_margins_are_those_of_the_logits(tmp_path: Path) -> None:
    report = numbers(tmp_path)
    levels, _ = images()
    value = levels.reshape(len(levels), -1) / 255
    for layer in trained().layers:
        value = value @ layer.weights.astype(np.float64) + layer.bias
        value = np.maximum(value, 0) if layer.relu else value
    top = np.sort(value, axis=1)
    assert np.allclose(report.margins, top[:, -1] - top[:, -2], atol=1e-4)


def test_ties_at_the_top_are_counted_apart(tmp_path: Path) -> None:
    twin = renamed(trained(), (0, 1, 2, 3, 4, 5, 6, 7, 8, 8))
    report = compare_pair(Files(tmp_path).onnx(trained()), Files(tmp_path).tflite(twin), data())
    labels = report.quantised_labels
    assert set(report.quantised.ties) == set(np.flatnonzero(labels == 8))
    assert report.quantised.ties and not report.reference.ties
    assert set(report.tied_disagreements) == set(report.quantised.ties) & set(report.disagreements)


def test_the_same_pair_gives_the_same_report(tmp_path: Path) -> None:
    fault = FAULTS["mean and std"]()
    reports = [
        compare_pair(
            Files(tmp_path).onnx(fault.reference), Files(tmp_path).tflite(fault.quantised), data()
        )
        for _ in range(2)
    ]
    assert reports[0].json() == reports[1].json()


def test_the_listener_is_told_of_each_stage(tmp_path: Path) -> None:
    heard: list[Event] = []
    fault = FAULTS["levels"]()
    compare_pair(
        Files(tmp_path).onnx(fault.reference),
        Files(tmp_path).tflite(fault.quantised),
        data(),
        heard.append,
    )
    assert [each.text.split()[0] for each in heard] == ["labels", "labels", "labels", "other"]
    # The first numbers stand before the readings, which may take long.
    assert "labels agree on 1," in heard[2].text and "as given" not in heard[2].text


def test_networks_of_other_classes_are_no_pair(tmp_path: Path) -> None:
    one = Files(tmp_path).onnx(trained())
    last = trained().layers[-1]
    few = Dense((*trained().layers[:-1], Layer(last.weights[:, :3], last.bias[:3], False)))
    other = Files(tmp_path).onnx(few, "few", classes=3)
    with pytest.raises(ShapeError, match="two networks of the same images"):
        compare_pair(one, other, data())


def test_outputs_that_are_no_numbers_are_a_fault() -> None:
    given = np.arange(50) % 5
    broken = given.copy()
    broken[[7, 9]] = -1
    none = np.zeros(50, bool)
    sides = [
        Side(f"{at}.onnx", str(at), "qdq", "onnxruntime", labels, none)
        for at, labels in enumerate((given, broken))
    ]
    (found,) = constant_output(PairReport(sides[0], sides[1], given, 5, np.ones(50)))
    assert found.id == "constant-output"
    assert found.sentence == (
        "the quantised network gives no numbers (NaN) on 2 of 50 images, first image 7"
    )
    assert found.evidence == {"quantised": {"no_label": 2, "images": [7, 9]}}


def test_what_makes_no_difference_is_not_named(tmp_path: Path) -> None:
    rows = trained().layers[0].weights.reshape(36, 3, -1)
    grey = first_layer(trained(), np.repeat(rows[:, 1:2], 3, axis=1).reshape(108, -1) / 3)
    levels, _ = images()
    shown = data(pixels=np.repeat(levels[..., 1:2], 3, axis=3))
    network, files = reading(grey, IMAGENET), Files(tmp_path)
    pair = files.onnx(network, contract=BGR), files.tflite(network, contract=BGR)
    assert [each.id for each in compare_pair(*pair, shown).diagnoses] in (
        ["normalisation"],
        ["input-scale"],
    )
