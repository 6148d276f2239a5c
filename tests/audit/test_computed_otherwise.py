"""Right weights of which something else is computed: a ReLU that is gone, codes that are read by
another scale; and ranges, labels and references that only look so."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.judge import diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.reading import SIGNED, USUAL
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.contract import InputContract
from relrob.domain.network import Dense, Network
from relrob.networks.load import load_network
from tests import planted_onnx
from tests import planted_pairs as plant
from tests.audit.pairs import Runs, int8, pair
from tests.audit.trained import SHAPE, data, dynamic, images, reading, trained
from tests.make_networks import write_onnx


def pixels() -> np.ndarray:
    """64 of the images (64, 108)."""
    return (images()[0][:64].reshape(64, -1) / np.float32(255)).astype(np.float32)


def without_relu() -> Dense:
    """The network whose hidden layer was not rectified."""
    first, last = trained().layers
    return Dense((replace(first, relu=False), last))


def named(reference: Network, quantised: Network) -> tuple[Diagnosis, ...]:
    """All faults of a pair, by runs and by weights."""
    report = compare_weights(reference, quantised, pixels())
    return diagnose(compare_pair(reference, quantised, data()), report)


WRITERS: dict[str, Callable[[Dense], bytes]] = {
    "dynamic": dynamic,
    "int8": lambda network: int8(network, pixels()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_relu_that_is_gone_is_told_and_where(tmp_path: Path, name: str) -> None:
    write = WRITERS[name]
    good = pair(tmp_path, trained(), write(trained()))
    assert named(good.reference, good.quantised) == ()
    wrong = pair(tmp_path, trained(), write(without_relu()))
    (found,) = named(wrong.reference, wrong.quantised)
    assert found.id == "changed-operations"
    assert found.evidence["layers"] == ["operator 0 FULLY_CONNECTED"]
    assert "one of the networks has a ReLU there" in found.sentence


def test_coarse_weights_excuse_other_logits(tmp_path: Path) -> None:
    coarse = pair(tmp_path, trained(), dynamic(trained(), 4)).report()
    assert coarse.coarse
    assert not pair(tmp_path, trained(), dynamic(trained())).report().coarse
    runs = Runs(candidates=(Diagnosis("another-network", "so it seems", SUGGESTED),))
    assert diagnose(runs, coarse) == ()


@pytest.mark.parametrize("contract", [SIGNED, USUAL[3]["ImageNet's mean and std"]])
def test_another_reading_of_one_network_explains_its_first_layer(
    tmp_path: Path, contract: InputContract
) -> None:
    made = pair(tmp_path, trained(), dynamic(reading(trained(), contract)))
    (found,) = named(made.reference, made.quantised)
    assert found.id in ("input-scale", "normalisation")
    assert found.evidence["networks"] == ["quantised"]


SUGGESTED = {"noise": 0.2, "slope": 0.9}


@pytest.mark.parametrize(
    ("suggested", "rectified", "faults", "expected"),
    [
        ("another-network", (), (), ["changed-operations"]),
        ("stale-weights", (), (), []),
        ("stale-weights", ("layer 2",), (), ["changed-operations"]),
        ("another-network", ("layer 2",), ("changed-bias",), ["changed-bias"]),
    ],
)
def test_logits_that_are_nearly_right_need_a_relu_that_is_missing(
    suggested: str, rectified: Sequence[str], faults: Sequence[str], expected: Sequence[str]
) -> None:
    runs = Runs(candidates=(Diagnosis(suggested, "so it seems", SUGGESTED),))
    told = tuple(Diagnosis(each, "it is") for each in faults)
    report = WeightReport(True, diagnoses=told, rectified=tuple(rectified))
    assert [each.id for each in diagnose(runs, report)] == expected


@cache
def qdq() -> bytes:
    """The network in ONNX with QuantizeLinear and DequantizeLinear."""
    with tempfile.TemporaryDirectory() as folder:
        plain = write_onnx(trained(), Path(folder, "float.onnx")).read_bytes()
    return planted_onnx.quantised(plain, pixels())


def read_by(tensor: str, place: int, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The file with another scale (1) or zero point (2) where a tensor is read."""
    model = onnx.load_model_from_string(qdq())
    held = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    (node,) = (
        each
        for each in model.graph.node
        if each.op_type == "DequantizeLinear" and each.input[0] == f"{tensor}_QuantizeLinear_Output"
    )
    old = held[node.input[place]]
    node.input[place] = "other"
    new = np.asarray(change(old)).astype(old.dtype)
    model.graph.initializer.append(numpy_helper.from_array(new, "other"))
    return bytes(model.SerializeToString())


def tensors() -> list[str]:
    """The activations that a layer reads, the image first."""
    nodes = onnx.load_model_from_string(qdq()).graph.node
    made = [each.input[0] for each in nodes if each.op_type == "QuantizeLinear"]
    return made[:2]


@pytest.mark.parametrize("number", [0, 1])
def test_codes_that_are_read_by_another_scale_or_zero_point(tmp_path: Path, number: int) -> None:
    tensor = tensors()[number]
    assert pair(tmp_path, trained(), qdq(), ".onnx").names() == []
    for place, change, expected in (
        (1, lambda scale: scale * 1.5, "changed-scale"),
        (2, lambda zero: zero + 3, "changed-zero-point"),
    ):
        data = read_by(tensor, place, change)
        (found,) = pair(tmp_path, trained(), data, ".onnx").report().diagnoses
        assert found.id == expected
        assert "are read by the" in found.sentence


def test_a_scale_that_cuts_off_or_wastes_codes_does_not_fit(tmp_path: Path) -> None:
    def rescaled(factor: float) -> Callable[[plant.Lite], None]:
        def fault(file: plant.Lite) -> None:
            scales, held = file.scales(0, 1), file.values(0, 1)
            scales[3] *= np.float32(factor)
            weights = trained().layers[0].weights[:, 3]
            held[3] = np.clip(np.rint(weights / scales[3]), -127, 127)
            file.put(0, 1, held)
            file.put_scales(0, 1, scales)

        return fault

    for factor, told in ((0.15, "too small"), (30.0, "too large")):
        made = pair(tmp_path, trained(), plant.lite(dynamic(trained()), rescaled(factor)))
        (found,) = made.report().diagnoses
        assert (found.id, found.evidence["scales"]) == ("changed-scale", [3])
        assert told in found.sentence
    for factor in (0.7, 2.0):
        made = pair(tmp_path, trained(), plant.lite(dynamic(trained()), rescaled(factor)))
        assert made.report().diagnoses == ()


def test_scales_of_tiny_weights_may_be_bounded(tmp_path: Path) -> None:
    first, last = trained().layers
    weights = first.weights.copy()
    weights[:, 3] *= np.float32(1e-3)
    tiny = Dense((replace(first, weights=weights), last))

    def bounded(file: plant.Lite) -> None:
        scales, held = file.scales(0, 1), file.values(0, 1)
        scales[3] = scales.max()
        held[3] = np.rint(weights[:, 3] / scales[3])
        file.put(0, 1, held)
        file.put_scales(0, 1, scales)

    assert pair(tmp_path, tiny, plant.lite(dynamic(tiny), bounded)).report().diagnoses == ()


def test_ranges_of_one_grey_image_are_a_calibration(tmp_path: Path) -> None:
    grey = np.full((1, 108), 0.9, np.float32)
    made = pair(tmp_path, trained(), int8(trained(), grey))
    found = compare_weights(made.reference, made.quantised, pixels()).diagnoses
    assert {each.id for each in found} <= {"calibration", "saturated-activations"}
    assert len(found) == 1


def test_a_quantised_reference_has_activations_as_reals(tmp_path: Path) -> None:
    made = pair(tmp_path, trained(), int8(trained(), pixels()))
    path = tmp_path / "twice.tflite"
    path.write_bytes(int8(trained(), pixels()[:20]))
    other = load_network(path, image_shape=SHAPE, classes=10, layout="hwc")
    report = compare_weights(other, made.quantised, pixels())
    assert report.diagnoses == ()
    assert all(each.beyond == pytest.approx(0.0, abs=0.02) for each in report.activations)


def test_labels_of_one_class_do_not_excuse_a_reference_that_is_wrong(tmp_path: Path) -> None:
    made = pair(tmp_path, trained(), dynamic(trained()))
    blank = replace(data(), labels=np.zeros(len(data()), np.int64))
    (found,) = diagnose(compare_pair(made.reference, made.quantised, blank), WeightReport(True))
    assert found.id == "undertrained-reference"
