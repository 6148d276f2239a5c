"""Which kernel runs a layer is what the interpreter says: the kernels differ, and each layer gives
the bits of its own."""

from __future__ import annotations

import copy
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from pytest import MonkeyPatch

from relrob.domain.arrays import Floats
from relrob.networks.enclose import dynamic_layers, row_quantiser
from relrob.networks.enclosure import LOOSE
from relrob.networks.litert import kernels
from relrob.networks.litert.dynamic import qd8, symmetric
from relrob.networks.litert.emulate import Emulator, emulator
from relrob.networks.litert.enclosure import black_box, tflite_enclosure
from relrob.networks.litert.file import LiteRtFile
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.interpreter import LiteRt
from relrob.networks.litert.kernels import has_halves
from relrob.networks.litert.runtime import open_litert, rounds_by_place
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from tests.litert_edits import version
from tests.make_kernels import Full, Kind, Step, write
from tests.make_litert import FILES, GRID, LAST, OP, add_operator, edited
from tests.networks.litert.test_dense import RUNTIMES, a_network, same_bits
from tests.networks.litert.test_graph import images

LEFT = 8  # a version of FULLY_CONNECTED that XNNPACK leaves to LiteRT


def test_the_delegate_is_asked() -> None:
    for name, data in FILES.items():
        count = len(LiteRtFile(data).kernels("builtin"))
        assert LiteRtFile(data).kernels("builtin") == ("builtin",) * count
        assert LiteRtFile(data).kernels("reference") == ("reference",) * count
        assert "xnnpack" in LiteRtFile(data).kernels("xnnpack"), name
    assert LiteRtFile(FILES["dynamic"]).kernels("xnnpack") == ("xnnpack", "xnnpack")
    assert LiteRtFile(FILES["int8-softmax"]).kernels("xnnpack") == (
        "xnnpack",
        "xnnpack",
        "builtin",
    ), "int8 SOFTMAX is left"
    left = edited(FILES["dynamic"], version(LEFT))
    assert LiteRtFile(left).kernels("xnnpack") == ("builtin", "builtin")


def halved(model: Any, _graph: Any) -> None:
    """The metadata with which the converter allows half precision."""
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = b"reduced_precision_support", 0
    model.metadata = [entry]


@pytest.mark.parametrize("able", [True, False])
def test_half_precision_is_modelled_only_where_the_processor_has_none(
    able: bool, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "has_halves", lambda: able)
    for name, data in FILES.items():
        allowed = edited(data, halved)
        assert ("half precision" in black_box(LiteRtFile(allowed), "xnnpack")) is able, name
        assert (
            black_box(LiteRtFile(data), "xnnpack")
            == black_box(LiteRtFile(allowed), "builtin")
            == black_box(LiteRtFile(allowed), "reference")
            == ""
        )


def test_linux_names_the_processors_that_have_half_precision(tmp_path: Path) -> None:
    x86 = platform.machine() in ("x86_64", "AMD64")
    told = {
        "flags\t\t: fpu avx2 f16c avx512_bf16\n": not x86,
        "flags\t\t: avx2 avx512_fp16\n": True,
        "flags : avx2\nflags : amx_fp16\n": True,
        "model name : none\n": True,
    }
    for text, able in told.items():
        (tmp_path / "cpuinfo").write_text(text)
        assert has_halves(tmp_path / "cpuinfo") is able
    assert has_halves(tmp_path / "none")


def first_only(model: Any, graph: Any) -> None:
    """Only the first dense layer has the version that XNNPACK leaves."""
    first = next(operator for operator in graph.operators if len(operator.inputs) == 3)
    code = copy.copy(model.operatorCodes[first.opcodeIndex])
    code.version = LEFT
    model.operatorCodes.append(code)
    first.opcodeIndex = len(model.operatorCodes) - 1


@pytest.mark.parametrize(
    "name", ["dynamic", "dynamic-per-tensor", "int8", "int8-float-ends", "int8-uint8-ends"]
)
def test_layers_that_the_delegate_leaves_give_the_bits_of_the_built_in_kernel(name: str) -> None:
    data = edited(FILES[name], first_only)
    network = a_network(data, 20, 5, "xnnpack")
    taken = LiteRtFile(data).kernels("xnnpack")
    assert set(taken) == {"xnnpack", "builtin"}, "one layer is left, one is taken"
    theirs = LiteRt(network, data, 1, 64).outputs(images())
    found = emulator(network, data)
    assert found is not None
    assert found.kernels == taken
    assert same_bits(found.outputs(images()), theirs)


def test_guessing_by_the_runtime_would_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file with the kernels that its runtime suggests: other bits, which the comparison at
    load names."""
    data = edited(FILES["dynamic"], version(LEFT))
    path = tmp_path / "left.tflite"
    path.write_bytes(data)
    network = load_network(path, image_shape=(4, 5, 1), classes=5, runtime="xnnpack")
    theirs = LiteRt(network, data, 1, 64).outputs(images())
    assert probed(network).black_box == ""
    monkeypatch.setattr(LiteRtFile, "kernels", lambda file, runtime: ("xnnpack", "xnnpack"))
    assert not same_bits(Emulator(network, LiteRtFile(data)).outputs(images()), theirs)
    assert (
        "differs from the model at the outputs, on xnnpack of this machine"
        in probed(network).black_box
    )


def test_bounds_and_judges_follow_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "n.tflite"
    for version_of, share, quantise in ((5, 255, qd8), (LEFT, 127, symmetric)):
        path.write_bytes(edited(FILES["dynamic"], version(version_of)))
        network = load_network(path, image_shape=(4, 5, 1), classes=5)
        assert network.runtime == "xnnpack"
        assert network.black_box == ""
        enclosure = tflite_enclosure(network, path.read_bytes())
        assert enclosure is not None
        assert enclosure.layers[0].share == 0.5 / share * LOOSE
        layers, quantiser = dynamic_layers(network), row_quantiser(network)
        assert layers is not None
        assert quantiser is not None
        assert [layer.asymmetric for layer in layers] == [share == 255] * 2
        rows, zero, scales = quantise(images())
        levels = (rows if zero is None else rows - zero) * scales[:, None]
        np.testing.assert_allclose(quantiser(images()), levels, atol=1e-6)
    path.write_bytes(edited(FILES["dynamic"], first_only))
    assert dynamic_layers(load_network(path, image_shape=(4, 5, 1), classes=5)) is None, (
        "two ways of rounding rows"
    )


def test_an_interpreter_that_does_not_say_makes_a_black_box(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        def __init__(self, *_: object, **__: object) -> None:
            raise AttributeError("_get_ops_details")

    monkeypatch.setattr(kernels, "Interpreter", Silent)
    data = edited(FILES["int8"], version(2))
    assert "does not say which layers" in black_box(LiteRtFile(data), "xnnpack")
    assert black_box(LiteRtFile(data), "builtin") == ""


def test_kernels_that_change_with_the_batch_make_a_black_box(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        kernels, "_taken", lambda data, graph, size: frozenset({0} if size == 1 else {0, 1})
    )
    with pytest.raises(NotModelledError, match="in a batch"):
        LiteRtFile(edited(FILES["int8"], version(3))).kernels("xnnpack")


def test_delegates_that_are_no_run_of_operators_make_a_black_box() -> None:
    graph = LiteRtFile(FILES["int8"]).graph
    assert list(kernels._between(graph, [0, 1, 2], [3])) == [0]
    assert list(kernels._between(graph, [0], [6])) == [0, 1]
    assert list(kernels._between(graph, [1], [2])) == []
    for inputs, outputs in (([0, 3], [6]), ([6], [0]), ([0], [3, 6])):
        with pytest.raises(NotModelledError, match="do not follow"):
            list(kernels._between(graph, inputs, outputs))


def test_black_boxes_are_run_by_litert_itself(tmp_path: Path) -> None:
    """No emulator runs what is not modelled, even where it could."""
    path = tmp_path / "n.tflite"
    path.write_bytes(FILES["dynamic"])
    for runtime in RUNTIMES:
        network = load_network(path, image_shape=(4, 5, 1), classes=5, runtime=runtime)
        opened = load_network(path, image_shape=(4, 5, 1), classes=5, runtime=runtime)
        assert network.sha256 == opened.sha256
        boxed = replace(network, black_box="a reason")
        assert tflite_enclosure(network, FILES["dynamic"]) is not None
        assert dynamic_layers(boxed) is None
        assert row_quantiser(boxed) is None


def halves(width: int) -> Floats:
    """Images half-way between levels of GRID, which the built-in QUANTIZE rounds by their place in
    the batch."""
    rng = np.random.default_rng(6)
    return ((rng.integers(0, 255, (60, width)) + 0.5) / np.float64(255)).astype(np.float32)


def test_an_image_has_the_same_outputs_in_a_batch_where_quantize_rounds_by_place() -> None:
    """Modelled files, and black boxes: one whose pixels pass through ABS first."""

    def absolute(model: Any, graph: Any) -> None:
        old = list(graph.outputs)
        add_operator(model, graph, OP.ABS, [0], 0)
        graph.operators.insert(0, graph.operators.pop())
        graph.operators[1].inputs, graph.outputs = [len(graph.tensors) - 1], old

    for data, box in (
        (FILES["int8-logits-float-ends"], ""),
        (edited(FILES["int8-logits-float-ends"], absolute), "x"),
    ):
        network = replace(
            a_network(data, 20, 5, "builtin"), scheme="int8", apart=True, black_box=box
        )
        many, shown = open_litert(network, 1, data), halves(20)
        alone = open_litert(network, 1, data, batch=1).outputs(shown)
        assert np.array_equal(many.outputs(shown), alone)
        assert not np.array_equal(LiteRt(network, data, 1, 64).outputs(shown), alone), (
            "nothing to be careful about"
        )
        assert rounds_by_place(network, data)
        taken = replace(network, runtime="xnnpack")
        assert not rounds_by_place(taken, data), "XNNPACK takes all of it"
        single = open_litert(taken, 1, data, batch=1).outputs(shown)
        assert np.array_equal(LiteRt(taken, data, 1, 64).outputs(shown), single)
        assert not rounds_by_place(replace(network, runtime="reference"), data)


def test_that_quantize_rounds_by_place_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(FILES["int8-logits-float-ends"])
    network = probed(load_network(path, image_shape=(4, 5, 1), classes=5, runtime="builtin"))
    assert network.apart
    assert [open_network(network).best_batch for _ in range(2)] == [1, 1]
    assert caplog.text.count("rounds by its place in a batch: its images run one by one") == 1


@pytest.mark.parametrize("box", ["", "x"])
def test_float_layers_on_the_built_in_kernels_run_alone(box: str) -> None:
    """Also those that XNNPACK leaves: a matrix product sums in another order where there are
    several rows."""
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((64, 20)).astype(np.float32)
    data = write(
        20, Kind(), [Full(weights, None, relu=True), Full(weights[:5].repeat(4, 1)[:, :64], None)]
    )
    for runtime, found in (("builtin", data), ("xnnpack", edited(data, version(LEFT)))):
        network = replace(
            a_network(found, 20, 5, runtime), scheme="float32", apart=True, black_box=box
        )
        shown = images()
        alone = LiteRt(network, found, 1, 1).outputs(shown)
        assert not np.array_equal(LiteRt(network, found, 1, 64).outputs(shown), alone), (
            "nothing to be careful about"
        )
        assert rounds_by_place(network, found)
        assert np.array_equal(open_litert(network, 1, found).outputs(shown), alone)
    network = replace(
        a_network(data, 20, 5, "xnnpack"), scheme="float32", apart=True, black_box=box
    )
    assert not rounds_by_place(network, data)


FLOATS = {
    "LOGISTIC": None,
    "TANH": None,
    "EXP": None,
    "LOG": None,
    "SQRT": None,
    "RSQRT": None,
    "ABS": None,
    "RELU": None,
    "SQUARE": None,
    "HARD_SWISH": None,
    "ELU": None,
    "SOFTMAX": schema.SoftmaxOptionsT,
    "LOG_SOFTMAX": None,
}


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("runtime", ["xnnpack", "builtin"])
def test_a_black_box_runs_in_batches_only_where_they_change_no_bit(kind: str, runtime: str) -> None:
    """One operator on 5 floats behind a float layer: the judge is LiteRT, alone and in batches."""
    options = FLOATS[kind]() if FLOATS[kind] else None
    if options is not None:
        options.beta = 1.0
    rng = np.random.default_rng(2)
    weights = np.abs(rng.standard_normal((5, 20))).astype(np.float32)
    plain = write(20, Kind(), [Full(weights, np.ones(5, np.float32))])

    def one_more(model: Any, graph: Any) -> None:
        add_operator(
            model, graph, getattr(OP, kind), [int(graph.outputs[0])], int(graph.outputs[0]), options
        )

    data = edited(plain, one_more)
    network = replace(a_network(data, 20, 5, runtime), scheme="float32", apart=True, black_box="x")
    shown = rng.random((200, 20), dtype=np.float32)
    alone = LiteRt(network, data, 1, 1).outputs(shown)
    same = all(
        np.array_equal(LiteRt(network, data, 1, size).outputs(shown), alone) for size in (3, 64)
    )
    assert same or rounds_by_place(network, data)
    assert np.array_equal(open_litert(network, 1, data).outputs(shown), alone)
    if runtime == "xnnpack" and kind in ("LOGISTIC", "TANH", "ABS"):
        assert not rounds_by_place(network, data), "XNNPACK takes all of it"


def test_whole_blocks_of_eight_pixels_run_in_batches() -> None:
    full = Full(
        np.ones((3, 16), np.int8), np.zeros(3, np.int32), np.full(1, 0.01, np.float32), out=LAST
    )
    data = write(16, Kind(), [Step("quantize", GRID), full])
    network = replace(a_network(data, 16, 3, "builtin"), scheme="int8", apart=True)
    shown = halves(16)
    for box in ("", "x"):
        boxed = replace(network, black_box=box)
        assert not rounds_by_place(boxed, data)
        many = open_litert(boxed, 1, data)
        assert many.best_batch > 1
        assert np.array_equal(
            many.outputs(shown), open_litert(boxed, 1, data, batch=1).outputs(shown)
        )
