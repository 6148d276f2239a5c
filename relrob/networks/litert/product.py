"""Exact integer products by NumPy's BLAS or, several times faster, by XNNPACK's int8 kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from relrob.domain.arrays import Floats
from relrob.networks.exact_dot import SINGLE, ExactDot
from relrob.networks.litert.layers import Int8s
from relrob.system.quiet import quiet_native

Dot = Callable[[Floats, Floats | None], Floats]
# Numbers of rows in one call of XNNPACK.
_ROWS = (8, 256)


def dot(weights: Int8s, most: int, threads: int = 0) -> Dot:
    """A function (rows, zero) -> float32((rows - zero) @ weights), one rounding of the exact sum.
    It may change `rows`.

    `rows`: integers -128..127 as float32 (n, n_in). `zero`: the zero point of each row (n, 1) or
    None. `most`: the largest |rows - zero|. `threads`: of XNNPACK, 0 for NumPy.
    """
    wide = weights.astype(np.int64)
    size = int(np.abs(wide).sum(axis=0).max(initial=0))
    # Every sum below is then exact in float32.
    if threads and size * 256 < SINGLE:
        return _on_litert(SelfQuantised(weights, threads), wide.sum(axis=0).astype(np.float32))
    return _on_numpy(ExactDot(wide, np.zeros(weights.shape[1], np.int64), -most, most))


def _on_numpy(exact: ExactDot) -> Dot:
    def run(rows: Floats, zero: Floats | None) -> Floats:
        if zero is not None:
            rows -= zero
        return exact(rows).astype(np.float32, copy=False)

    return run


def _on_litert(raw: SelfQuantised, columns: Floats) -> Dot:
    def run(rows: Floats, zero: Floats | None) -> Floats:
        sums = raw(rows)
        if zero is not None:
            sums -= zero * columns
        return sums

    return run


@final
class SelfQuantised:
    """rows -> rows @ weights for integer rows -128..127, on XNNPACK's dynamic-range
    FULLY_CONNECTED.

    Two columns of -128 and 127 that meet zero weights make it choose scale 1 and zero point 0. It
    then quantises every row to itself, and returns the float32 nearest to the int32 sum.
    """

    def __init__(self, weights: Int8s, threads: int = 1) -> None:
        self._width, self._outputs = weights.shape
        self._file, self._threads = one_layer_file(np.pad(weights, ((0, 2), (0, 0)))), threads
        self._interpreters: dict[int, tuple[Interpreter, int, int]] = {}

    def __call__(self, rows: Floats) -> Floats:
        """(n, n_in) float32 integers -> (n, n_out) float32."""
        sums = np.empty((len(rows), self._outputs), np.float32)
        for start in range(0, len(rows), _ROWS[-1]):
            part = rows[start : start + _ROWS[-1]]
            interpreter, given, result = self._sized(
                next(size for size in _ROWS if size >= len(part))
            )
            interpreter.tensor(given)()[: len(part), : self._width] = part
            interpreter.invoke()
            sums[start : start + len(part)] = interpreter.tensor(result)()[: len(part)]
        return sums

    def _sized(self, size: int) -> tuple[Interpreter, int, int]:
        """(the interpreter of so many rows, its input, its output), made when first needed."""
        if size not in self._interpreters:
            with quiet_native():
                interpreter = Interpreter(model_content=self._file, num_threads=self._threads)
                given = interpreter.get_input_details()[0]["index"]
                interpreter.resize_tensor_input(given, (size, self._width + 2))
                interpreter.allocate_tensors()
            interpreter.tensor(given)()[:] = 0
            interpreter.tensor(given)()[:, self._width :] = (-128, 127)
            self._interpreters[size] = (
                interpreter,
                given,
                interpreter.get_output_details()[0]["index"],
            )
        return self._interpreters[size]


def one_layer_file(weights: Int8s, asymmetric: bool = False) -> bytes:
    """A `.tflite` file of one dynamic-range FULLY_CONNECTED: `weights` (n_in, n_out) with scale 1,
    no bias; `asymmetric` as in `DynamicFull`."""
    stored = np.ascontiguousarray(weights.T)
    model: Any = schema.ModelT()
    buffer: Any = schema.BufferT()
    buffer.data = stored.reshape(-1).view(np.uint8)
    model.version, model.buffers = 3, [schema.BufferT(), buffer]
    code: Any = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version, model.operatorCodes = 5, [code]
    graph: Any = schema.SubGraphT()
    graph.tensors = [
        _tensor(b"rows", (1, stored.shape[1]), schema.TensorType.FLOAT32, 0),
        _tensor(b"weights", stored.shape, schema.TensorType.INT8, 1),
        _tensor(b"sums", (1, stored.shape[0]), schema.TensorType.FLOAT32, 0),
    ]
    scale: Any = schema.QuantizationParametersT()
    scale.scale, scale.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    graph.tensors[1].quantization = scale
    operator: Any = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1, -1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    options: Any = schema.FullyConnectedOptionsT()
    options.asymmetricQuantizeInputs = asymmetric
    operator.builtinOptions = options
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [2]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: bytes, shape: tuple[int, ...], kind: int, buffer: int) -> Any:
    """A tensor without scales."""
    tensor: Any = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    return tensor
