"""The graph that onnxruntime executes after all its fusions, as onnxruntime itself tells it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.errors import NetworkError
from relrob.networks.batches import one_line
from relrob.system.temporary import temporary_folder

_ERRORS_ONLY: Final = 3
_MICROSOFT: Final = "com.microsoft"
_INT16: Final = 2**15 - 1
Array = NDArray[Any]


def optimised(data: bytes) -> onnx.ModelProto:
    """The model after onnxruntime's default optimisations for this processor. Raises NetworkError
    when it refuses the file."""
    with temporary_folder() as folder:
        options = _options()
        target = folder / "optimised.onnx"
        options.optimized_model_filepath = str(target)
        _session(data, options)
        return onnx.load(target)


def run_node(node: onnx.NodeProto, name: str, values: Array, constants: dict[str, Array]) -> Array:
    """One operator on `values` for its input `name`, the others constant, as onnxruntime computes
    it."""
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info(name, kind, values.shape)],
        [helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)],
        [numpy_helper.from_array(constants[key], key) for key in node.input if key and key != name],
    )
    graph.output[0].ClearField("type")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    return np.asarray(_session(model.SerializeToString(), _options()).run(None, {name: values})[0])


def may_saturate(model: onnx.ModelProto) -> bool:
    """Could a sum of two products of 8-bit codes with int8 weights of this graph leave 16 bits?

    Where `products_saturate`, the processor adds the products of two inputs in int16, with inputs
    as codes 0 to 255 (onnxruntime, "Quantize ONNX Models", on U8S8 saturation). Products with uint8
    weights are wider.
    """
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1:
            ordered = np.sort(numpy_helper.to_array(tensor), axis=None).astype(np.int64)
            if 255 * ordered[-2:].sum() > _INT16 or 255 * ordered[:2].sum() < -_INT16 - 1:
                return True
    return False


def products_saturate() -> bool:
    """Do 8-bit products saturate at 16 bits on this processor, as on x86 without VNNI? Sums are
    then not those of integers."""
    weights = np.full((64, 16), 127, np.int8)
    weights[:, 8:] = -128
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    for rows in (1, 8):
        values = np.full((rows, 64), 255, np.uint8)
        found = run_node(node, "a", values, {"b": weights})
        if not np.array_equal(found, values.astype(np.int64) @ weights.astype(np.int64)):
            return True
    return False


def _options() -> Any:
    """One thread, errors only."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _session(data: bytes, options: Any) -> Any:
    """A session on the CPU provider."""
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    # The exceptions of onnxruntime have no base class of their own.
    except Exception as error:
        raise NetworkError(
            f"onnxruntime refuses the graph: {one_line(error)}", "a model it runs"
        ) from error
