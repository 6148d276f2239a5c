"""TFLM against its own interpreter, and what relrob makes of a file on it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.network import Network
from relrob.errors import NetworkError, UsageError
from relrob.networks.details import runtime_details
from relrob.networks.enclose import dynamic_layers, enclosure_of
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from relrob.registry import load
from tests.make_kernels import Kind, Step, write
from tests.make_litert import GRID, PROBABILITY, edited, layers, plain_files, unsigned

tflite_micro = pytest.importorskip("tflite_micro")
IMAGES = np.random.default_rng(1).random((40, 20), dtype=np.float32)


def loaded(folder: Path, data: bytes, runtime: str = "tflm") -> Network:
    """The file as a network of images 4 x 5."""
    path = folder / "n.tflite"
    path.write_bytes(data)
    return load_network(path, image_shape=(4, 5, 1), classes=5, runtime=runtime)


def levels(kind: Kind) -> Any:
    """IMAGES on the grid of an input."""
    if not kind.scale:
        return IMAGES
    zero, dtype = kind.zero, np.uint8 if kind.unsigned else np.int8
    rounded = np.rint(IMAGES / np.float32(kind.scale)) + zero
    return np.clip(rounded, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize(
    ("kind", "given", "result"),
    [
        ("int8", GRID, Kind(float(np.float32(0.2)), 3)),
        ("int8-softmax", GRID, PROBABILITY),
        ("int8-float-ends", Kind(), Kind()),
        ("int8-uint8-ends", unsigned(GRID), unsigned(PROBABILITY)),
        ("float", Kind(), Kind()),
    ],
)
def test_outputs_are_those_of_its_own_interpreter(
    kind: str, given: Kind, result: Kind, tmp_path: Path
) -> None:
    data = plain_files()[kind]
    evaluator = open_network(loaded(tmp_path, data))
    assert (evaluator.runtime, evaluator.best_batch) == ("tflm", 1)
    interpreter = tflite_micro.runtime.Interpreter.from_bytes(data)
    expected = []
    for row in levels(given):
        interpreter.set_input(row.reshape(1, 20), 0)
        interpreter.invoke()
        raw = np.array(interpreter.get_output(0))[0]
        step = result.scale or 1.0
        expected.append((raw.astype(np.float64) - result.zero) * step)
    found = evaluator.outputs(IMAGES)
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6, atol=0)
    assert len(np.unique(found)) > 5


def test_a_file_is_run_and_not_modelled(tmp_path: Path) -> None:
    data = plain_files()["int8"]
    assert loaded(tmp_path, data, "reference").black_box == ""
    network = probed(loaded(tmp_path, data))
    assert network.black_box == "TFLM's kernels are not modelled"
    assert (network.dense, enclosure_of(network), dynamic_layers(network)) == (None, None, None)
    assert runtime_details(network).startswith("TFLM 0.dev")


def test_its_reason_for_a_refusal_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An operator that it does not have, and types that it does not take."""
    network = loaded(tmp_path, plain_files()["dynamic"])
    with pytest.raises(NetworkError, match=r"TFLM refuses .*FLOAT32 with filter type: INT8 not"):
        open_network(network)
    assert capfd.readouterr() == ("", "")


def test_it_reads_one_image_a_call(tmp_path: Path) -> None:
    def batch(_model: Any, graph: Any) -> None:
        for tensor in graph.tensors:
            if tensor.shape[0] == 1:
                tensor.shape, tensor.shapeSignature = [4, *list(tensor.shape)[1:]], None

    network = loaded(tmp_path, edited(plain_files()["float"], batch), "reference")
    from_disk = load("dataclasses:replace")(network, runtime="tflm", black_box="x")
    with pytest.raises(NetworkError, match=r"values of shape \(4, 20\) on TFLM; accepted: 20 an"):
        open_network(from_disk)


def test_a_named_output_is_found_by_its_name(tmp_path: Path) -> None:
    def two(_model: Any, graph: Any) -> None:
        graph.tensors[graph.outputs[0]].name = b"last"
        first = graph.operators[-2].outputs[0]
        graph.tensors[first].name = b"logits"
        graph.outputs = [graph.outputs[0], first]

    data = edited(write(20, GRID, [*layers(int8=True), Step("softmax", PROBABILITY)]), two)
    path = tmp_path / "n.tflite"
    path.write_bytes(data)
    asked: dict[str, Any] = {"image_shape": (4, 5, 1), "classes": 5, "runtime": "tflm"}
    words = load("relrob.domain.contract:input_options")
    chosen = [
        open_network(load_network(path, **asked, inputs=words(output=name))).outputs(IMAGES)
        for name in ("last", "logits")
    ]
    plain = open_network(loaded(tmp_path, plain_files()["int8"])).outputs(IMAGES)
    assert np.array_equal(chosen[1], plain) and not np.array_equal(chosen[0], plain)


def test_formats_that_it_does_not_run_are_told() -> None:
    with pytest.raises(UsageError, match="runtime 'tflm' cannot run"):
        load("relrob.networks.load:_runtime")("n.onnx", "onnx", True, False, "tflm")


def test_opening_is_silent_at_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "relrob"):
        probed(loaded(tmp_path, plain_files()["int8-softmax"]))
    assert caplog.records == []
