"""A `.tflite` file with the reals that its integers stand for in their place.

It computes what the quantised file would without the rounding and the ranges of its activations:
weights and biases keep the values that their codes have. Where its outputs are right and those of
the file are not, the codes of activations are the reason, and not what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.content import checked_bytes
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.inside import values_inside
from relrob.networks.litert.interpreter import LiteRt

_TYPES: Final = {
    schema.TensorType.INT8: "<i1",
    schema.TensorType.UINT8: "<u1",
    schema.TensorType.INT16: "<i2",
    schema.TensorType.INT32: "<i4",
    schema.TensorType.INT64: "<i8",
}
# Images a call.
_BATCH: Final = 64


def open_in_reals(network: Network, threads: int) -> LiteRt:
    """The evaluator of the file in reals, on LiteRT's built-in float kernels. Raises
    NetworkError, also where the file has no such form."""
    plain = replace(network, runtime="builtin", scheme="float32")
    try:
        data = in_reals(checked_bytes(network))
    except NotModelledError as error:
        raise NetworkError(f"{network.path} is not computed in reals: {error}") from error
    return LiteRt(plain, data, threads, _BATCH)


def reals_inside(network: Network, names: Sequence[str], images: Floats) -> dict[str, NDArray[Any]]:
    """`values_inside` of the file in reals. Raises NotModelledError and whatever LiteRT raises."""
    return values_inside(network, names, images, in_reals(checked_bytes(network)))


def in_reals(data: bytes) -> bytes:
    """The file with every tensor that has a scale in float32, under its old number, and without the
    operators that quantise. Raises NotModelledError where it is not that simple."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    if len(model.subgraphs) != 1:
        raise NotModelledError("it has several subgraphs")
    model.signatureDefs, model.metadata = [], []
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        _stand_for_reals(model, tensor)
    _without_quantising(model, graph)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _stand_for_reals(model: Any, tensor: Any) -> None:
    """Make a tensor with a scale one of floats; a constant gets the values of its codes."""
    scheme = tensor.quantization
    if scheme is None or scheme.scale is None or not len(scheme.scale):
        return
    if tensor.type == schema.TensorType.FLOAT32:
        tensor.quantization = None
        return
    if tensor.type not in _TYPES or tensor.sparsity is not None:
        raise NotModelledError("a tensor has codes of an unusual type")
    held = model.buffers[tensor.buffer].data
    if held is not None and len(held):
        kind = np.dtype(_TYPES[tensor.type])
        codes = np.frombuffer(np.asarray(held, np.uint8).tobytes(), kind).astype(np.float64)
        buffer: Any = schema.BufferT()
        buffer.data = np.frombuffer(_values(codes, tensor).astype("<f4").tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None


def _values(codes: NDArray[Any], tensor: Any) -> NDArray[Any]:
    """What the codes of a constant stand for, in its shape."""
    scheme = tensor.quantization
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    count, along = len(scheme.scale), int(scheme.quantizedDimension)
    zeros = [0] if scheme.zeroPoint is None else scheme.zeroPoint
    wide = [1] * len(shape)
    if count > 1 and 0 <= along < len(shape):
        wide[along] = shape[along]
    if codes.size != np.prod(shape) or np.prod(wide) != count or len(zeros) not in (1, count):
        raise NotModelledError("a constant does not have the size of its shape or its scales")
    offset, step = (
        np.broadcast_to(np.asarray(each, np.float64), count).reshape(wide)
        for each in (zeros, scheme.scale)
    )
    values: NDArray[Any] = (codes.reshape(shape) - offset) * step
    return values


def _without_quantising(model: Any, graph: Any) -> None:
    """Take out the operators that only change the codes."""
    recoding = (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE)
    now: dict[int, int] = {}
    results = {int(at) for at in graph.outputs}
    kept = []
    for operator in graph.operators:
        operator.inputs = np.array([now.get(int(at), int(at)) for at in operator.inputs], np.int32)
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in recoding:
            source, out = int(operator.inputs[0]), int(operator.outputs[0])
            if graph.tensors[source].type == graph.tensors[out].type:
                now[out] = source
                if out in results:
                    # Users name outputs.
                    graph.tensors[source].name = graph.tensors[out].name
                continue
        kept.append(operator)
    graph.operators = kept
    graph.outputs = np.array([now.get(int(at), int(at)) for at in graph.outputs], np.int32)
