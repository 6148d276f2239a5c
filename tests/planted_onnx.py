"""ONNX networks to plant faults in: a network of dense layers and convolutions as a graph, and its
quantisation by onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from relrob.networks.weighted import Weighted

Array = NDArray[Any]


def cnn(layers: Sequence[Weighted], side: int) -> bytes:
    """Convolutions of stride 1 with "same" padding, the first followed by a mean over 2x2, then
    dense layers that read (H, W, C), all with ReLU but the last; images (1, side, side)."""
    nodes, constants = [], dict[str, Array]()
    value, flat = "x", False
    for number, layer in enumerate(layers):
        name = f"w{number}"
        if layer.kind != "dense":
            kernel = layer.values.reshape(layer.shape[0], *layer.window).transpose(0, 3, 1, 2)
            constants[name] = np.ascontiguousarray(kernel, dtype=np.float32)
            constants[f"b{number}"] = np.asarray(layer.bias, np.float32)
            nodes.append(
                helper.make_node(
                    "Conv", [value, name, f"b{number}"], [f"c{number}"], pads=[1, 1, 1, 1]
                )
            )
        else:
            if not flat:
                flat = True
                nodes.append(helper.make_node("Transpose", [value], ["t"], perm=[0, 2, 3, 1]))
                nodes.append(helper.make_node("Flatten", ["t"], ["f"]))
                value = "f"
            constants[name] = np.ascontiguousarray(layer.values, dtype=np.float32)
            zero = np.zeros(layer.shape[0])
            constants[f"b{number}"] = np.asarray(
                zero if layer.bias is None else layer.bias, np.float32
            )
            nodes.append(
                helper.make_node("Gemm", [value, name, f"b{number}"], [f"c{number}"], transB=1)
            )
        value = f"c{number}"
        if number < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"r{number}"]))
            value = f"r{number}"
        if layer.kind != "dense" and layers[number + 1].kind == "dense":
            nodes.append(
                helper.make_node(
                    "AveragePool", [value], [f"p{number}"], kernel_shape=[2, 2], strides=[2, 2]
                )
            )
            value = f"p{number}"
    return _model(nodes, constants, value, [1, side, side], layers[-1].shape[0])


def _model(
    nodes: list[Any], constants: dict[str, Array], value: str, dims: list[int], classes: int
) -> bytes:
    found = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *dims])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(found, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Images (n, ...) one at a time."""

    def __init__(self, images: Array) -> None:
        self._left = iter(images.astype(np.float32))

    def get_next(self) -> Any:
        """The next image, None at the end."""
        image = next(self._left, None)
        return None if image is None else {"x": image[None]}


def quantised(
    data: bytes,
    images: Array,
    operators: bool = False,
    per_channel: bool = True,
    fold: bool = False,
) -> bytes:
    """The model with int8 weights, calibrated on `images` (n, ...): QDQ, or QOperator nodes."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(data)
        if fold:
            quant_pre_process(source, source)
        quantize_static(
            source,
            out,
            _Images(images),
            quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
        )
        return out.read_bytes()


def constants_of(data: bytes) -> dict[str, Array]:
    """The constants of a model by name."""
    model = onnx.load_model_from_string(data)
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
