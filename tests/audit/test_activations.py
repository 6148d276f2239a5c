"""Codes of activations against the values that they should hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.audit.ends import first_inputs, varied_outputs, varied_pixels
from relrob.audit.ranges import activation_faults
from relrob.audit.weight_report import Activation, WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.network import Network
from relrob.networks.load import load_network
from relrob.networks.onnx import inside
from relrob.networks.weighted import Affine, Codes, Weighted
from tests import planted_onnx
from tests.make_networks import convert, keras, save


def branched(order: tuple[str, ...]) -> bytes:
    """Two dense layers of one shape, of which one is rectified, and one that reads both; the nodes
    in this order."""
    rng = np.random.default_rng(3)
    shapes = {"one": (8, 12), "two": (8, 12), "last": (5, 16)}
    held = [
        numpy_helper.from_array(values.astype(np.float32), f"{name}_{kind}")
        for name, shape in shapes.items()
        for kind, values in (("w", rng.normal(0, 0.3, shape)), ("b", rng.normal(0, 0.3, shape[0])))
    ]
    nodes = {
        name: helper.make_node("Gemm", [given, f"{name}_w", f"{name}_b"], [name], name, transB=1)
        for name, given in (("one", "x"), ("two", "x"), ("last", "both"))
    }
    nodes["relu"] = helper.make_node("Relu", ["one"], ["positive"], "relu")
    nodes["join"] = helper.make_node("Concat", ["positive", "two"], ["both"], "join", axis=1)
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])]
        for name, size in (("x", 12), ("last", 5))
    )
    graph = helper.make_graph([nodes[name] for name in order], "branches", given, made, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def compared(folder: Path, reference: bytes, quantised: bytes, images: np.ndarray) -> WeightReport:
    """The weights of two ONNX models that read 12 values."""
    (folder / "reference.onnx").write_bytes(reference)
    (folder / "quantised.onnx").write_bytes(quantised)
    one, other = (
        load_network(folder / f"{name}.onnx", image_shape=(1, 12, 1), classes=5)
        for name in ("reference", "quantised")
    )
    return compare_weights(one, other, images)


def test_a_branch_that_the_converter_moved_is_held_against_its_own_values(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((64, 12), dtype=np.float32)
    reference = branched(("one", "relu", "two", "join", "last"))
    moved = planted_onnx.quantised(
        branched(("two", "one", "relu", "join", "last")), images, operators=True
    )
    report = compared(tmp_path, reference, moved, images)
    assert report.read
    assert report.diagnoses == ()
    ends = [each.reference for each in report.activations if each.role == "output"]
    lows = [low for low, _ in filter(None, ends)]
    assert len(lows) == 3
    # The branch without a ReLU comes first.
    assert lows[0] < -0.3
    assert lows[1] >= 0.0


def test_a_reference_whose_values_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(1).random((64, 12), dtype=np.float32)
    reference = branched(("one", "relu", "two", "join", "last"))
    real = inside.values_inside

    def refuse(network: Network, names: Sequence[str], rows: np.ndarray) -> object:
        if Path(network.path).name == "reference.onnx":
            raise ValueError("a planted error")
        return real(network, names, rows)

    monkeypatch.setattr(inside, "values_inside", refuse)
    report = compared(tmp_path, reference, planted_onnx.quantised(reference, images), images)
    assert report.read
    assert {each.reference for each in report.activations if each.role == "output"} == {None}
    path = tmp_path / "reference.onnx"
    told = [each.getMessage() for each in caplog.records if each.name.startswith("relrob")]
    assert told == [f"the activations of {path} are not compared (a planted error)"]


def dark(count: int, bright: float) -> np.ndarray:
    """Seeded images (n, 8, 8, 1), most of whose pixels are 0 and the others up to `bright`."""
    rng = np.random.default_rng(count)
    lit = rng.random((count, 8, 8, 1)) < 0.2
    return (lit * rng.uniform(0, bright, lit.shape)).astype(np.float32)


def padding(folder: Path, calibration: np.ndarray) -> WeightReport:
    """A convolution that pads, behind a Rescaling that its converter cannot fold in: 0 becomes
    -1, the lowest code. The reference's own activations are not known."""
    layers = keras().layers
    model = keras().Sequential(
        [
            *(layers.Input((8, 8, 1)), layers.Rescaling(2.0, offset=-1.0)),
            *(layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Flatten()),
            layers.Dense(5),
        ]
    )
    rng = np.random.default_rng(6)
    model.set_weights([rng.normal(0, 0.3, each.shape) for each in model.get_weights()])
    save(model, folder / "reference.keras")
    (folder / "quantised.tflite").write_bytes(convert(model, "int8", calibration))
    one, other = (
        load_network(folder / name, image_shape=(8, 8, 1), classes=5)
        for name in ("reference.keras", "quantised.tflite")
    )
    return compare_weights(one, other, dark(64, 1.0).reshape(64, -1))


def test_black_is_not_cut_off_where_its_value_has_the_lowest_code(tmp_path: Path) -> None:
    report = padding(tmp_path, dark(100, 1.0))
    assert report.read
    assert report.diagnoses == ()
    given = report.activations[0]
    assert (given.role, given.beyond) == ("input", 0.0)
    assert given.at_low > 0.7
    assert given.reference == pytest.approx((-1.0, 1.0), abs=0.01)


def test_what_is_cut_off_of_dark_images_is_told(tmp_path: Path) -> None:
    """The codes of the image are, and those of the convolution's input reach further."""
    report = padding(tmp_path, dark(100, 0.4))
    (found,) = report.diagnoses
    assert (found.id, found.blocking) == ("saturated-activations", True)
    assert report.activations[0].high == pytest.approx(0.0, abs=0.01)
    right = float((dark(64, 1.0) > 0.415).mean())
    assert report.activations[0].beyond == pytest.approx(right, abs=0.004)


CODES = Codes("1", 1 / 255, -128, -128, 127)


def test_pixels_of_one_step_at_an_end_are_not_cut_off() -> None:
    """Black alone has the lowest code; behind half of the range, so have many pixels."""
    pixels = np.tile(np.concatenate([np.zeros(40), np.linspace(0, 1, 60)]), (3, 1))
    whole = np.rint(pixels * 255 - 128).astype(np.int8)
    assert varied_pixels(whole, CODES, pixels) == 0.0
    half = np.clip(np.rint(pixels * 510 - 383), -128, 127).astype(np.int8)
    assert varied_pixels(half, CODES, pixels) == pytest.approx(0.29, abs=0.03)
    assert varied_pixels(whole[:, :-1], CODES, pixels) is None


@pytest.mark.parametrize("channels_first", [False, True])
def test_outputs_of_a_blank_part_are_told_from_those_cut_off(channels_first: bool) -> None:
    """At 50 places of 100 all four channels have the values of a blank part, one of them the
    largest code; at 20 others another channel is cut off."""
    rng = np.random.default_rng(2)
    rows = rng.integers(-100, 100, (2, 100, 4)).astype(np.int8)
    rows[:, :50] = [3, 127, -5, 9]
    rows[:, 50:70, 2] = 127
    found = rows.transpose(0, 2, 1) if channels_first else rows
    found = found.reshape(2, -1)
    layer = Weighted("", "conv", np.ones((4, 9)), (3, 3, 1), "int8", 2)
    share = varied_outputs(found, found == 127, layer, channels_first=channels_first)
    assert share == pytest.approx(20 / 400)
    assert varied_outputs(found[:, :-1], found[:, :-1] == 127, layer, channels_first=True) is None


def activation(**changes: object) -> Activation:
    """One without values of the reference."""
    made = Activation("layer", "output", "1", 0.1, 3, -13.1, 12.4, 1.0, 0.0, 0.4, False)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_ends_of_which_nothing_is_known_do_not_block() -> None:
    (unknown,) = activation_faults([activation(varied=0.01)], ())
    assert (unknown.id, unknown.blocking) == ("saturated-activations", False)
    assert "40.0 %" in unknown.sentence
    (sure,) = activation_faults([activation(varied=0.3)], ())
    assert (sure.id, sure.blocking) == ("saturated-activations", True)
    assert activation_faults([activation(varied=0.01, capped=True)], ()) == ()
    assert activation_faults([activation(beyond=0.0, reference=(-13.0, 12.0))], ()) == ()


@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_what_a_first_layer_may_read(kind: str) -> None:
    """Pixels of three channels through a factor and a shift, and through those of each channel."""
    pixels = np.random.default_rng(7).random((2, 12))
    one = Affine(np.full(1, 2.0), np.full(1, -1.0))
    three = Affine(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.0, -0.5]))
    shape, window = {
        "dense": ((5, 12), (12,)),
        "conv": ((5, 27), (3, 3, 3)),
        "depthwise": ((6, 9), (3, 3, 1)),
    }[kind]
    layer = Weighted("", kind, np.ones(shape), window, "float32", 1).fed_by([one, three])
    found = first_inputs(layer, pixels, 3)
    scaled = 2 * pixels - 1
    factor, shift = (np.tile(each, 4) for each in three)
    right = [pixels - 0.5, scaled, scaled + shift / factor, scaled * factor + shift]
    np.testing.assert_allclose(found, right)
