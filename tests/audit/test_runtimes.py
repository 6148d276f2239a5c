"""The comparison of runtimes against the runtimes themselves, run here one image at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from relrob.audit import runtimes as audited
from relrob.audit.runtime_report import NAMED, RuntimePair
from relrob.audit.runtimes import Sampling, compare
from relrob.domain.network import Network
from relrob.errors import NetworkError, UsageError
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob_datasets.dataset import Dataset
from tests.litert_edits import scale
from tests.make_kernels import Full, Kind, Step, write
from tests.make_litert import GRID, PROBABILITY, edited, plain_files
from tests.make_networks import write_keras, write_onnx
from tests.make_quantised_onnx import network as qdq_network
from tests.support import random_dense

SHAPE = (4, 5, 1)
RESOLVERS = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
LEVELS = {
    "onnxruntime": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "onnxruntime:disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime:basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "onnxruntime:extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
LOGITS = Kind(4 * GRID.scale, 0)
Array = NDArray[Any]


def pictures(count: int, classes: int = 5) -> Dataset:
    """Seeded noise."""
    rng = np.random.default_rng(5)
    levels = rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return Dataset("noise", "test", levels, rng.integers(0, classes, count), classes, "")


def halves(softmax: bool) -> bytes:
    """Two layers whose sums times the scale often end in one half, which each kernel rounds in its
    own way; the softmax makes ties of neighbouring logits."""
    rng = np.random.default_rng(6)

    def full(n_in: int, n_out: int, most: int, scale: float, relu: bool, out: Kind) -> Full:
        weights = rng.integers(-most, most + 1, (n_out, n_in)).astype(np.int8)
        bias = rng.integers(-9, 10, n_out).astype(np.int32)
        return Full(weights, bias, np.array([scale], np.float32), relu, out)

    hidden = full(20, 16, 1, 1 / 2, True, Kind(2 * GRID.scale, -128))
    last = full(16, 5, 8, 1 / 16, False, LOGITS)
    return write(20, GRID, [hidden, last, *([Step("softmax", PROBABILITY)] if softmax else [])])


def on_disk(folder: Path, data: bytes, name: str = "n.tflite") -> Network:
    """The file, loaded on its default runtime."""
    path = folder / name
    path.write_bytes(data)
    return load_network(path, image_shape=SHAPE, classes=5)


def litert_levels(data: bytes, runtime: str, levels: Array) -> Array:
    """int8 outputs of LiteRT for uint8 levels k, which mean k/255."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=RESOLVERS[runtime], num_threads=1
    )
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in levels.reshape(len(levels), -1):
        read = (image.astype(np.int16) - 128).astype(np.int8)
        interpreter.set_tensor(given["index"], read.reshape(given["shape"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0])
    return np.array(rows)


def check(row: RuntimePair, one: Array, other: Array, unit: float) -> None:
    """The row against outputs (n, classes) of the two, in levels of `unit`."""
    differ = np.flatnonzero(one.argmax(1) != other.argmax(1))
    best = [(each == each.max(1, keepdims=True)).sum(1) > 1 for each in (one, other)]
    apart = np.abs(one.astype(np.float64) - other).max(1)
    assert row.images == len(one)
    assert row.differing == len(differ)
    assert row.named == tuple(differ[:NAMED])
    assert row.ties == sum(bool(best[0][index] or best[1][index]) for index in differ)
    assert row.largest == pytest.approx(apart.max() * unit, rel=1e-4)
    where = row.largest_image
    assert (where is None) == (apart.max() == 0)
    assert where is None or apart[where] == apart.max()


@pytest.mark.parametrize("softmax", [False, True])
def test_litert_is_told_apart_as_litert_does(softmax: bool, tmp_path: Path) -> None:
    data = halves(softmax)
    pixels = pictures(1500)
    names = ("xnnpack", "builtin", "reference")
    found = compare(on_disk(tmp_path, data), pixels, names)
    levels = {name: litert_levels(data, name, pixels.images) for name in names}
    unit = 2.0**-8 if softmax else LOGITS.scale
    assert found.names == names and found.refused == ()
    for row in found.rows:
        check(row, levels[row.names[0]], levels[row.names[1]], unit)
    assert sum(row.differing for row in found.rows) > 0
    assert sum(row.ties for row in found.rows) > 0
    assert softmax or any(0 < row.ties < row.differing for row in found.rows)
    for name in names:
        right = levels[name].argmax(1) == pixels.labels
        assert found.accuracy[name] == pytest.approx(right.mean())
    worst = found.worst
    assert worst is not None and worst.share == max(row.share for row in found.rows)


def test_tflm_answers_as_it_does_by_itself(tmp_path: Path) -> None:
    runtime = pytest.importorskip("tflite_micro").runtime
    data = halves(softmax=True)
    pixels = pictures(300)
    found = compare(on_disk(tmp_path, data), pixels)
    assert found.names == ("xnnpack", "builtin", "reference", "tflm")
    interpreter = runtime.Interpreter.from_bytes(data)
    rows = []
    for image in pixels.images.reshape(len(pixels), -1):
        read = (image.astype(np.int16) - 128).astype(np.int8)
        interpreter.set_input(read.reshape(1, -1), 0)
        interpreter.invoke()
        rows.append(np.array(interpreter.get_output(0))[0])
    check(
        found.row("tflm", "builtin"),
        litert_levels(data, "builtin", pixels.images),
        np.array(rows),
        1 / 256,
    )
    with pytest.raises(KeyError):
        found.row("tflm", "keras")


def test_a_runtime_that_refuses_the_file_is_a_line(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    found = compare(on_disk(tmp_path, plain_files()["dynamic"]), pictures(40))
    assert found.names == ("xnnpack", "builtin", "reference")
    (refused,) = found.refused
    assert refused.name == "tflm"
    assert "FULLY_CONNECTED" in refused.reason and "--runtime" not in refused.reason


def test_a_crash_of_tflm_is_a_line(tmp_path: Path) -> None:
    """The logits before the softmax lose their scale, and TFLM aborts."""
    pytest.importorskip("tflite_micro")
    file = edited(plain_files()["int8-softmax"], scale(6, [], []))
    network = on_disk(tmp_path, file)
    found = compare(network, pictures(20), ("builtin", "tflm"))
    assert "crash (signal 6)" in {each.name: each.reason for each in found.refused}["tflm"]
    with pytest.raises(NetworkError, match=r"crash \(signal 6\)"):
        try_network(network.path, image_shape=SHAPE, classes=5, runtime="tflm")


def test_a_package_that_is_not_there_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    monkeypatch.delitem(sys.modules, "relrob.networks.litert.tflm", raising=False)
    monkeypatch.setattr(audited, "try_network", lambda *args, **more: None)
    network = on_disk(tmp_path, plain_files()["int8"])
    found = compare(network, pictures(20), ("xnnpack", "tflm"))
    assert found.names == ("xnnpack",) and found.rows == () and found.worst is None
    assert found.refused[0].reason == (
        "tflite_micro is not installed; try: pip install 'relrob[tflm]'"
    )


def test_levels_of_onnxruntime_are_told_apart_as_it_does(tmp_path: Path) -> None:
    data, pixels = qdq_network(1, "qdq gemm", ["n", 20], (20, 16, 5)), pictures(800)
    found = compare(on_disk(tmp_path, data, "n.onnx"), pixels)
    assert found.names == tuple(LEVELS)
    images = pixels.images.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    outputs = {}
    for name, level in LEVELS.items():
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0].name
        outputs[name] = np.concatenate([session.run(None, {given: row[None]})[0] for row in images])
    for row in found.rows:
        check(row, outputs[row.names[0]], outputs[row.names[1]], 1.0)
    assert max(row.largest for row in found.rows) > 0
    details = [run.details for run in found.runs]
    assert all(
        f"optimisation: {word}," in line
        for word, line in zip(("all", "disabled", "basic", "extended"), details, strict=True)
    )


def test_keras_and_the_exported_network_are_compared_as_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A child would import TensorFlow once more.
    monkeypatch.setattr(audited, "try_network", lambda *args, **more: None)
    dense = random_dense(3, (20, 8, 5), softmax=True)
    path = write_keras(dense, tmp_path / "n.keras", SHAPE)
    network = load_network(path, image_shape=SHAPE, classes=5)
    found = compare(network, pictures(60))
    assert found.names == ("onnxruntime", "keras")
    assert found.rows[0].differing == 0
    assert 0 <= found.rows[0].largest < 1e-5


def test_a_slow_runtime_takes_a_sample_of_the_images_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = halves(softmax=True)
    pixels = pictures(1500)
    monkeypatch.setattr(
        audited, "_slow", lambda opened, images, limit: opened.network.runtime == "reference"
    )
    asked = np.arange(100, 1500, 2)
    found = compare(
        on_disk(tmp_path, data),
        pixels,
        ("xnnpack", "reference"),
        images=asked,
        sampling=Sampling(size=300, seed=4),
    )
    assert [(run.images, run.sampled) for run in found.runs] == [(700, False), (300, True)]
    drawn = np.sort(np.random.default_rng(4).choice(700, 300, replace=False))
    chosen = asked[drawn]
    one, other = (litert_levels(data, name, pixels.images[chosen]) for name in found.names)
    differ = chosen[one.argmax(1) != other.argmax(1)]
    row = found.rows[0]
    assert (row.images, row.differing, row.named) == (300, len(differ), tuple(differ[:NAMED]))
    assert found.accuracy["reference"] == pytest.approx(
        (other.argmax(1) == pixels.labels[chosen]).mean()
    )
    assert (found.images, found.sample, found.seed) == (700, 300, 4)


@pytest.mark.parametrize(("slow", "sampled"), [(0.0, True), (float("inf"), False)])
def test_a_rule_that_asks_no_clock(slow: float, sampled: bool, tmp_path: Path) -> None:
    network = on_disk(tmp_path, plain_files()["int8"])
    how = Sampling(size=25, slow=slow)
    found = compare(network, pictures(40), ("xnnpack", "builtin"), sampling=how)
    assert {(run.images, run.sampled) for run in found.runs} == {(25 if sampled else 40, sampled)}


def test_the_clock_tells_slow_from_fast(tmp_path: Path) -> None:
    class Slow:
        runtime, best_batch = "slow", 1

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def outputs(self, images: Array) -> Array:
            end = audited.time.process_time() + self.seconds * len(images)
            while audited.time.process_time() < end:
                pass
            return np.zeros((len(images), 5), np.float32)

    network = on_disk(tmp_path, plain_files()["int8"])
    images = np.zeros((8, 20), np.float32)
    for seconds, expected in ((0.003, True), (0.0001, False)):
        runs = Slow(seconds)
        assert audited._slow(audited.Opened(network, runs, runs), images, 1.0) is expected


def test_wrong_use_is_told(tmp_path: Path) -> None:
    network = on_disk(tmp_path, plain_files()["int8"])
    with pytest.raises(
        UsageError, match=r"'keras' .*; accepted: xnnpack, builtin, reference, tflm"
    ):
        compare(network, pictures(4), ("keras",))
    with pytest.raises(UsageError, match="sample of 0"):
        Sampling(size=0)


@pytest.mark.parametrize(
    "edit",
    [
        {"ties": 3},
        {"differing": 50},
        {"named": (1,)},
    ],
)
def test_a_row_that_cannot_be_true_is_refused(edit: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "names": ("a", "b"),
        "images": 40,
        "differing": 2,
        "ties": 1,
        "named": (1, 2),
        "largest": 0.5,
        "largest_image": 1,
    }
    make: Callable[..., RuntimePair] = RuntimePair
    assert make(**fields).share == 0.05
    with pytest.raises(ValueError, match="of"):
        make(**{**fields, **edit})


def test_an_output_that_is_no_number_is_infinitely_far_from_one() -> None:
    one = np.array([[np.nan, 1.0], [np.nan, 2.0], [np.inf, 0.0], [1.0, 2.0]])
    other = np.array([[1.0, 1.0], [np.nan, 2.5], [np.inf, 0.0], [1.0, 2.0]])
    assert audited._largest(one, other).tolist() == [np.inf, 0.5, 0.0, 0.0]


def test_the_first_network_may_be_of_onnx(tmp_path: Path) -> None:
    """A float MLP gives one label at every level, and keeps its bounds there."""
    path = write_onnx(random_dense(2, (20, 9, 5)), tmp_path / "n.onnx")
    network = load_network(path, image_shape=SHAPE, classes=5, runtime="onnxruntime:basic")
    found = compare(network, pictures(50))
    assert found.names[0] == "onnxruntime:basic" and set(found.names) == set(LEVELS)
    assert all(row.differing == 0 and row.largest < 1e-5 for row in found.rows)
