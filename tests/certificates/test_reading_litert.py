"""The checker's reader of `.tflite`: LiteRT's outputs lie within its facts, hostile edits have no
rules."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from relrob.certificates.checking.deployed import NoRulesError, arithmetic_of
from relrob.networks.litert.kernels import has_halves
from relrob.registry import load
from tests.make_networks import convert, keras, keras_model
from tests.reading_cases import RUNTIMES, described, edited, hostile_images, ranges, read, run
from tests.support import random_dense

SHAPE = (6, 6, 1)
INT8 = ("int8 float", "int8 int8", "int8 uint8")
KINDS = ("float32", "float16", "dynamic", "dynamic-per-channel", "normalised", *INT8)
OP = schema.BuiltinOperator


def _int8(model: Any, kind: str) -> bytes:
    """TFLiteConverter's full integer file with this type of input and output."""
    tf = load("tests.tensorflow_here:tensorflow")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    noise = np.random.default_rng(0).random((64, *SHAPE), dtype=np.float32)
    converter.representative_dataset = lambda: ([image[None]] for image in noise)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind != "float":
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # the converter doubts a calibration that it does use
        return bytes(converter.convert())


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Files of TensorFlow's converter; those of integers end in a softmax."""
    dense = random_dense(5, (36, 48, 32, 4))
    found = {scheme: convert(keras_model(dense, SHAPE), scheme) for scheme in KINDS[:4]}
    layers = keras().layers
    normal = keras_model(
        dense,
        SHAPE,
        lambda _: [layers.Rescaling(2.0, -0.5), layers.Normalization(mean=0.3, variance=2.0)],
    )
    found["normalised"] = convert(normal)
    model = keras_model(dense, SHAPE)
    whole = keras().Sequential([layers.Input(SHAPE), *model.layers, layers.Softmax()])
    return found | {kind: _int8(whole, kind.split()[1]) for kind in INT8}


def how(kind: str, runtime: str) -> dict[str, Any]:
    arithmetic = "float32" if kind in ("float32", "float16", "normalised") else "integer"
    return {
        "kind": "tflite",
        "runtime": runtime,
        "shape": SHAPE,
        "classes": 4,
        "arithmetic": arithmetic,
    }


def softmax_input(data: bytes) -> int:
    """The tensor that the SOFTMAX reads."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    return int(next(o for o in graph.operators if _kind(model, o) == OP.SOFTMAX).inputs[0])


def _kind(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _first(model: Any, kind: int) -> Any:
    return next(o for o in model.subgraphs[0].operators if _kind(model, o) == kind)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_of_litert_lie_within_the_claimed_error(
    files: dict[str, bytes], tmp_path: Path, kind: str, runtime: str
) -> None:
    if kind == "float16" and runtime == "xnnpack" and has_halves():
        with pytest.raises(NoRulesError, match="half precision"):
            read(files[kind], tmp_path, **how(kind, runtime))
        return
    deployed = read(files[kind], tmp_path, **how(kind, runtime))
    network = described(tmp_path / "file", **how(kind, runtime))
    assert arithmetic_of(network, deployed) is network.arithmetic
    assert deployed.end == ("int8 softmax" if kind in INT8 else "logits")
    images = hostile_images(36)
    low, high = ranges(deployed, images)
    if kind not in INT8:
        outputs = run(files[kind], runtime, images)
    elif runtime != "xnnpack":
        outputs = run(files[kind], runtime, images, softmax_input(files[kind]))
    else:  # the delegate keeps no inner tensors; whoever leads by more than the gap must win
        said = run(files[kind], runtime, images).argmax(axis=1)
        sure = [
            [low[i, c] > np.delete(high[i], c).max() + 0.1 for c in range(4)]
            for i in range(len(images))
        ]
        assert all(said[i] == int(np.argmax(wins)) for i, wins in enumerate(sure) if any(wins))
        assert np.any(sure)
        return
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    assert (high - low).max() < (
        2.5 if kind in ("dynamic", "dynamic-per-channel", *INT8) else 0.02
    ) * np.ptp(outputs)


def _quantise_twice(model: Any) -> None:
    """float -> int8 of a coarse grid -> int8."""
    graph = model.subgraphs[0]
    first = _first(model, OP.QUANTIZE)
    coarse = _copy(graph.tensors[int(first.outputs[0])])
    coarse.quantization.scale = np.array([0.5], np.float32)
    graph.tensors.append(coarse)
    more = _copy(first)
    more.inputs, more.outputs = np.array([len(graph.tensors) - 1], np.int32), first.outputs
    first.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.insert(graph.operators.index(first) + 1, more)


def _copy(thing: Any) -> Any:
    fresh = type(thing)()
    vars(fresh).update(vars(thing))
    if getattr(thing, "quantization", None) is not None:
        fresh.quantization = _copy(thing.quantization)
    return fresh


def _tensor(model: Any, kind: int, side: str = "outputs", place: int = 0) -> Any:
    return model.subgraphs[0].tensors[int(getattr(_first(model, kind), side)[place])]


def _scale(model: Any, kind: int, scale: float, side: str = "outputs", place: int = 0) -> bool:
    tensor = _tensor(model, kind, side, place)
    tensor.quantization.scale = np.full(len(tensor.quantization.scale), scale, np.float32)
    return True


def _bias(model: Any, value: int) -> bool:
    tensor = _tensor(model, OP.FULLY_CONNECTED, "inputs", 2)
    buffer = model.buffers[tensor.buffer]
    values = np.asarray(buffer.data, np.uint8).view(np.int32).copy()
    values[0] = value
    buffer.data = values.view(np.uint8)
    return True


def _scale_weights(model: Any, layer: int, scale: float) -> bool:
    """Of one dense layer, counted from 0, and of its bias, in an int8 file."""
    graph = model.subgraphs[0]
    found = [o for o in graph.operators if _kind(model, o) == OP.FULLY_CONNECTED][layer]
    given, weights, bias = (graph.tensors[int(place)] for place in found.inputs)
    weights.quantization.scale = np.full(len(weights.quantization.scale), scale, np.float32)
    bias.quantization.scale = (given.quantization.scale * weights.quantization.scale).astype(
        np.float32
    )
    return True


def put(thing: Any, name: str, value: Any) -> bool:
    """Set a field."""
    setattr(thing, name, value)
    return True


def _sparse(model: Any) -> None:
    _tensor(model, OP.FULLY_CONNECTED, "inputs", 1).sparsity = schema.SparsityParametersT()


FC = OP.FULLY_CONNECTED
Edit = Callable[[Any], object]
REFUSED: dict[str, tuple[str, Edit, str]] = {
    "a second QUANTIZE": ("int8 float", _quantise_twice, "QUANTIZE"),
    "a QUANTIZE of other zero point": (
        "int8 uint8",
        lambda m: put(_tensor(m, OP.QUANTIZE, "inputs").quantization, "zeroPoint", np.array([3])),
        "two grids",
    ),
    "a QUANTIZE of another scale": (
        "int8 uint8",
        lambda m: _scale(m, OP.QUANTIZE, 0.5, "inputs"),
        "two grids",
    ),
    "a RESHAPE to another grid": (
        "int8 int8",
        lambda m: _scale(m, OP.RESHAPE, 0.5),
        "another grid",
    ),
    "an overflowing bias": ("int8 int8", lambda m: _bias(m, 2**31 - 1), "overflow"),
    "a left shift that overflows": (
        "int8 int8",
        lambda m: (_bias(m, 2**29), _scale(m, FC, 1e-6)),
        "multiplier|shifted",
    ),
    "sparse weights": ("int8 int8", _sparse, "sparse"),
    "sparse weights of floats": ("dynamic", _sparse, "sparse"),
    "a variable": ("float32", lambda m: put(_tensor(m, FC), "isVariable", True), "variable"),
    "no scale": (
        "int8 int8",
        lambda m: put(_tensor(m, FC), "quantization", None),
        "without a scale",
    ),
    "a negative scale": ("int8 int8", lambda m: _scale(m, FC, -0.1), "scales"),
    "two scales": (
        "int8 int8",
        lambda m: (
            put(_tensor(m, FC).quantization, "scale", np.ones(2, np.float32)),
            put(_tensor(m, FC).quantization, "zeroPoint", np.zeros(2, np.int64)),
        ),
        "each channel",
    ),
    "a zero point that int8 lacks": (
        "int8 int8",
        lambda m: put(_tensor(m, FC).quantization, "zeroPoint", np.array([200])),
        "zero point",
    ),
    "weights with a zero point": (
        "int8 int8",
        lambda m: put(_tensor(m, FC, "inputs", 1).quantization, "zeroPoint", np.ones(48, np.int64)),
        "zero point",
    ),
    "weights along another dimension": (
        "int8 int8",
        lambda m: put(_tensor(m, FC, "inputs", 1).quantization, "quantizedDimension", 1),
        "dimension",
    ),
    "no options": (
        "float32",
        lambda m: (
            put(_first(m, FC), "builtinOptions", None),
            put(_first(m, FC), "builtinOptionsType", 0),
        ),
        "options",
    ),
    "relu6": (
        "float32",
        lambda m: put(_first(m, FC).builtinOptions, "fusedActivationFunction", 3),
        "activation",
    ),
    "shuffled weights": (
        "int8 int8",
        lambda m: put(_first(m, FC).builtinOptions, "weightsFormat", 1),
        "shuffled",
    ),
    "several rows": (
        "float32",
        lambda m: put(_first(m, FC).builtinOptions, "keepNumDims", True),
        "rows",
    ),
    "beta": ("int8 int8", lambda m: put(_first(m, OP.SOFTMAX).builtinOptions, "beta", 2.0), "beta"),
    "a softmax of other steps": ("int8 int8", lambda m: _scale(m, OP.SOFTMAX, 0.01), "1/256"),
    "unknown metadata": (
        "float32",
        lambda m: put(m.metadata[0], "name", b"what is this"),
        "metadata",
    ),
    "two subgraphs": ("float32", lambda m: m.subgraphs.append(m.subgraphs[0]), "subgraphs"),
    "two outputs": (
        "float32",
        lambda m: put(m.subgraphs[0], "outputs", np.array([0, 1], np.int32)),
        "one output",
    ),
    "an earlier output": (
        "float32",
        lambda m: put(m.subgraphs[0], "outputs", _first(m, FC).outputs),
        "last operator",
    ),
    "a custom operator": (
        "float32",
        lambda m: put(m.operatorCodes[0], "customCode", b"x"),
        "custom",
    ),
    "another operator": (
        "float32",
        lambda m: (put(m.operatorCodes[_first(m, FC).opcodeIndex], "builtinCode", 126), None),
        "operator",
    ),
    "weights of another size": (
        "float32",
        lambda m: put(_tensor(m, FC, "inputs", 1), "shape", np.array([36, 36], np.int32)),
        "than its shape",
    ),
    "NaN": (
        "float32",
        lambda m: put(
            m.buffers[_tensor(m, FC, "inputs", 1).buffer],
            "data",
            np.full(48 * 36, np.nan, np.float32).view(np.uint8),
        ),
        "finite",
    ),
    "a matrix of biases": (
        "float32",
        lambda m: put(_tensor(m, FC, "inputs", 2), "shape", np.array([1, 48], np.int32)),
        "one number an output",
    ),
    "a tensor written twice": (
        "float32",
        lambda m: put(m.subgraphs[0].operators[-1], "outputs", _first(m, FC).outputs),
        "twice|last operator",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_edits_have_no_rules(files: dict[str, bytes], tmp_path: Path, name: str) -> None:
    kind, change, words = REFUSED[name]
    read(edited(files[kind], lambda model: None), tmp_path, **how(kind, "builtin"))
    with pytest.raises(NoRulesError) as caught:
        read(edited(files[kind], change), tmp_path, **how(kind, "builtin"))
    assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)


ALLOWED: dict[str, tuple[str, Edit]] = {
    "larger scales": ("int8 int8", lambda m: _scale(m, FC, 0.2)),
    "a finer input": (
        "int8 int8",
        lambda m: (_scale(m, OP.RESHAPE, 0.003, "inputs"), _scale(m, OP.RESHAPE, 0.003)),
    ),
    "a large bias": ("int8 int8", lambda m: _bias(m, 2**24)),
    "a multiplier below half a step": (
        "int8 int8",
        lambda m: (_scale(m, FC, 2.0**28), _bias(m, 2**30), _scale_weights(m, 1, 2.0**-36)),
    ),
    "a multiplier of over 2^8": (
        "int8 int8",
        lambda m: (
            _scale_weights(m, 0, 10.0),
            _scale(m, FC, 1e-4),
            _bias(m, 2**20),
            _scale_weights(m, 1, 1.0),
        ),
    ),
    "another zero point": (
        "int8 int8",
        lambda m: put(_tensor(m, FC).quantization, "zeroPoint", np.array([-100])),
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_edits_of_numbers_alone_keep_their_rules(
    files: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    kind, change = ALLOWED[name]
    data, images = edited(files[kind], change), hostile_images(36)
    for runtime in ("builtin", "reference"):
        low, high = ranges(read(data, tmp_path, **how(kind, runtime)), images)
        outputs = run(data, runtime, images, softmax_input(data))
        assert (low <= outputs).all()
        assert (outputs <= high).all()


def test_the_int8_softmax_is_off_by_less_than_its_gap_assumes(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    """Two quanta of 1/256 at most, whatever the scale of what it reads, on every runtime."""
    data, images = files["int8 int8"], hostile_images(36)
    for scale in (2.0**-14, 2.0**-7, 0.1, 1.0, 16.0):
        changed = edited(data, partial(_scale, kind=OP.SOFTMAX, scale=scale, side="inputs"))
        for runtime in ("builtin", "reference"):
            logits = run(changed, runtime, images, softmax_input(changed))
            found = run(changed, runtime, images)
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            assert np.abs(powers / powers.sum(axis=1, keepdims=True) - found).max() <= 2 / 256


def test_every_mutated_byte_gives_the_network_or_one_refusal(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    rng, refused = np.random.default_rng(3), 0
    for kind in ("dynamic", "int8 float"):
        for _ in range(300):
            broken = bytearray(files[kind])
            for at in rng.integers(0, len(broken), int(rng.integers(1, 30))):
                broken[at] = int(rng.integers(256))
            try:
                read(bytes(broken), tmp_path, **how(kind, "xnnpack"))
            except NoRulesError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 100
