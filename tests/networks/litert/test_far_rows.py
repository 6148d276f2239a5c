"""Dynamic-range layers at the ends of their arithmetic, against LiteRT's own kernels: weights of
-128, and rows so large or so small that a product on the way leaves float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.domain.arrays import Floats
from relrob.networks.enclose import enclosure_of
from relrob.networks.litert.layers import Int8s
from relrob.networks.litert.product import one_layer_file
from relrob.networks.load import load_network
from tests.certificates.test_reading_litert_rows import packed
from tests.reading_cases import RUNTIMES, ranges, read, run

SIZE, HIDDEN, CLASSES = 16, 20, 3


def _tensor(shape: tuple[int, ...], kind: int, buffer: int) -> Any:
    tensor: Any = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), kind, buffer
    return tensor


def behind_floats(first: Floats, rows: Int8s, scale: float, asymmetric: bool) -> bytes:
    """A float layer (n_out, n_in) with a ReLU, then a dynamic-range layer (n_out, n_in)."""
    model: Any = schema.ModelT()
    model.version, code = 3, schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version, model.operatorCodes = 9, [code]
    buffers: list[Any] = [schema.BufferT() for _ in range(3)]
    buffers[1].data, buffers[2].data = (
        values.reshape(-1).view(np.uint8) for values in (first, rows)
    )
    kinds = schema.TensorType
    tensors = [
        _tensor((1, first.shape[1]), kinds.FLOAT32, 0),
        _tensor(first.shape, kinds.FLOAT32, 1),
        _tensor((1, first.shape[0]), kinds.FLOAT32, 0),
        _tensor(rows.shape, kinds.INT8, 2),
        _tensor((1, rows.shape[0]), kinds.FLOAT32, 0),
    ]
    quantisation: Any = schema.QuantizationParametersT()
    quantisation.scale = np.array([scale], np.float32)
    quantisation.zeroPoint = np.zeros(1, np.int64)
    tensors[3].quantization = quantisation
    operators = []
    for places, relu in (([0, 1, -1, 2], 1), ([2, 3, -1, 4], 0)):
        operator: Any = schema.OperatorT()
        operator.inputs, operator.outputs = np.array(places[:3], np.int32), [places[3]]
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        options: Any = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = relu
        options.asymmetricQuantizeInputs = asymmetric and not relu
        operator.builtinOptions = options
        operators.append(operator)
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [0], [4]
    model.subgraphs, model.buffers = [graph], buffers
    return packed(model)


def described(runtime: str) -> dict[str, Any]:
    return {
        "kind": "tflite",
        "runtime": runtime,
        "shape": (4, 4, 1),
        "classes": CLASSES,
        "arithmetic": "integer",
    }


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_weight_of_minus_128_is_modelled_where_every_kernel_multiplies_by_it(
    tmp_path: Path, runtime: str, asymmetric: bool
) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (SIZE, CLASSES)).astype(np.int8)
    images = rng.random((40, SIZE), dtype=np.float32)
    path = tmp_path / "n.tflite"
    for least in (-127, -128):
        weights[rng.random(weights.shape) < 0.5] = least
        path.write_bytes(one_layer_file(weights, asymmetric))
        network = load_network(path, image_shape=(4, 4, 1), classes=CLASSES, runtime=runtime)
        if least == -128 and runtime != "xnnpack":
            assert f"a weight of -128 on {runtime}" in network.black_box
            assert enclosure_of(network) is None
            with pytest.raises(NoRulesError, match=r"a weight of -128"):
                read(path.read_bytes(), tmp_path, **described(runtime))
            continue
        assert not network.black_box
        found = read(path.read_bytes(), tmp_path, **described(runtime))
        outputs = run(path.read_bytes(), runtime, images)
        low, high = ranges(found, images)
        assert (low <= outputs).all()
        assert (outputs <= high).all()


@pytest.mark.parametrize("power", [-146, -135, -128, -122, -118, -60, 0, 60, 88, 100, 120, 125])
@pytest.mark.parametrize("scale", [-60, -30, 0, 20, 21])
def test_far_rows_stay_within_the_enclosure_or_have_none(
    tmp_path: Path, power: int, scale: int
) -> None:
    rng = np.random.default_rng(power + 1000 * scale + 90_000)
    first = np.ldexp(rng.uniform(-1, 1, (HIDDEN, SIZE)), power).astype(np.float32)
    rows = rng.integers(-127, 128, (CLASSES, HIDDEN)).astype(np.int8)
    images = rng.random((20, SIZE), dtype=np.float32)
    real = rows.astype(np.float64).T * 2.0**scale
    hidden = np.maximum(images.astype(np.float64) @ first.T.astype(np.float64), 0)
    for runtime in RUNTIMES:
        for asymmetric in (False, True):
            data = behind_floats(first, rows, 2.0**scale, asymmetric)
            path = tmp_path / "n.tflite"
            path.write_bytes(data)
            network = load_network(path, image_shape=(4, 4, 1), classes=CLASSES, runtime=runtime)
            enclosure = enclosure_of(network)
            assert (enclosure is None) == (scale > 20)
            if enclosure is None:
                assert "a weight scale above 2^20" in network.black_box
                with pytest.raises(NoRulesError, match=r"a weight scale above 2\^20"):
                    read(data, tmp_path, **described(runtime))
                continue
            outputs = run(data, runtime, images).astype(np.float64)
            before, after = enclosure.layers
            error = before.deviation(images.astype(np.float64)).total(before.size)
            given = hidden + error
            bound = after.deviation(given).total(after.size) + error @ after.size
            assert np.isinf(bound).all() == (power >= 92)
            with np.errstate(invalid="ignore"):
                off = np.abs(outputs - hidden @ real)
            assert (np.isinf(bound) | (off <= bound)).all(), (runtime, asymmetric)
            found = read(data, tmp_path, **described(runtime))
            if power >= 92:
                with pytest.raises(InvalidError, match="could overflow"):
                    ranges(found, images)
                continue
            low, high = ranges(found, images)
            assert (low <= outputs).all()
            assert (outputs <= high).all()


@pytest.mark.parametrize("power", [-140, -127, -124, -122, -121, -120, -119, -117, -110])
@pytest.mark.parametrize("asymmetric", [False, True])
def test_rows_without_an_inverse_stay_within_the_enclosure(
    tmp_path: Path, power: int, asymmetric: bool
) -> None:
    """A kernel may take such a row for 0, or for its opposite."""
    rng = np.random.default_rng(-power)
    weights = rng.integers(60, 128, (SIZE, CLASSES)).astype(np.int8)
    data = one_layer_file(weights, asymmetric)
    path = tmp_path / "n.tflite"
    path.write_bytes(data)
    images = np.ldexp(rng.uniform(0.5, 1, (20, SIZE)), power).astype(np.float32)
    pixels = images.astype(np.float64)
    for runtime in RUNTIMES:
        network = load_network(path, image_shape=(4, 4, 1), classes=CLASSES, runtime=runtime)
        enclosure = enclosure_of(network)
        assert enclosure is not None
        (layer,) = enclosure.layers
        outputs = run(data, runtime, images).astype(np.float64)
        off = np.abs(outputs - pixels @ weights)
        assert (off <= layer.deviation(pixels).total(layer.size)).all(), runtime
        low, high = ranges(read(data, tmp_path, **described(runtime)), images)
        assert (low <= outputs).all()
        assert (outputs <= high).all()
