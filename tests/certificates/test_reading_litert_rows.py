"""The checker's steps of the rows of a dynamic-range layer, against LiteRT itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reading_cases import RUNTIMES, ranges, read, run


def hybrid(size: int, version: int, dimension: int, per_channel: bool) -> bytes:
    """One dynamic-range layer, built by hand."""
    model: Any = schema.ModelT()
    model.version, code = 3, schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = version
    model.operatorCodes, model.buffers = [code], [schema.BufferT() for _ in range(2)]
    weights = np.random.default_rng(1).integers(-127, 128, (size, size)).astype(np.int8)
    held: Any = model.buffers[1]
    held.data = weights.reshape(-1).view(np.uint8)
    tensors = []
    for shape, kind, buffer in (([1, size], 0, 0), ([size, size], 9, 1), ([1, size], 0, 0)):
        tensor: Any = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), kind, buffer
        tensors.append(tensor)
    scales = size if per_channel else 1
    quantisation: Any = schema.QuantizationParametersT()
    quantisation.scale, quantisation.zeroPoint = (
        np.full(scales, 0.01, np.float32),
        np.zeros(scales, np.int64),
    )
    quantisation.quantizedDimension, tensors[1].quantization = dimension, quantisation
    operator: Any = schema.OperatorT()
    operator.inputs, operator.outputs = np.array([0, 1], np.int32), np.array([2], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = 8, schema.FullyConnectedOptionsT()
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators = tensors, [operator]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([2], np.int32)
    model.subgraphs = [graph]
    return packed(model)


def packed(model: Any) -> bytes:
    """The bytes of a model."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("version", range(1, 14))
@pytest.mark.parametrize(
    ("dimension", "per_channel"), [(0, False), (0, True), (1, True), (1, False)]
)
def test_which_kernel_runs_a_row_is_never_guessed_too_fine(
    tmp_path: Path, version: int, dimension: int, per_channel: bool
) -> None:
    """A row whose pixels lie half way between the levels of one kernel: what LiteRT makes of it is
    within what is claimed, and the finer step is claimed only where the delegate's own levels come
    out."""
    size, data = 16, hybrid(16, version, dimension, per_channel)
    rng = np.random.default_rng(2)
    images = rng.random((30, size), dtype=np.float32)
    images[:, 0] = 1
    weights = np.random.default_rng(1).integers(-127, 128, (size, size)) * np.float64(
        np.float32(0.01)
    )
    for runtime in RUNTIMES:
        network: dict[str, Any] = {
            "kind": "tflite",
            "runtime": runtime,
            "shape": (4, 4, 1),
            "classes": size,
            "arithmetic": "integer",
        }
        deployed = read(data, tmp_path, **network)
        (facts,) = deployed.layers
        outputs = run(data, runtime, images)
        low, high = ranges(deployed, images)
        assert (low <= outputs).all()
        assert (outputs <= high).all()
        fine = np.rint(images.astype(np.float64) * 255) / 255 @ weights.T
        asymmetric = bool(np.abs(fine - outputs).max() < 1e-4)
        assert (facts.share < Fraction(1, 500)) <= asymmetric, runtime
        assert facts.levels or runtime == "xnnpack"
        assert not (facts.levels and runtime == "xnnpack" and not asymmetric)
