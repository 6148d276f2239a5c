"""Faults planted in quantised files: a changed weight, bias, scale or zero point, layers or classes
that change places, inputs in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from tests.make_litert import OP, edited

Array = NDArray[Any]
_KINDS = (OP.FULLY_CONNECTED, OP.CONV_2D, OP.DEPTHWISE_CONV_2D)
_STORED = {0: np.float32, 2: np.int32, 4: np.int64, 7: np.int16, 9: np.int8}


class Lite:
    """The tensors of a flat buffer, by the layers that hold weights."""

    def __init__(self, model: Any, graph: Any) -> None:
        self.model, self.graph = model, graph
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
        self.layers = [o for o in graph.operators if codes[o.opcodeIndex] in _KINDS]

    def tensor(self, layer: int, place: int) -> Any:
        """The tensor at a place among the inputs of a layer; -1 for its output."""
        found = self.layers[layer]
        number = found.outputs[0] if place < 0 else found.inputs[place]
        return self.graph.tensors[int(number)]

    def values(self, layer: int, place: int) -> Array:
        """A copy of the values of a constant."""
        tensor = self.tensor(layer, place)
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8).tobytes()
        return np.frombuffer(data, _STORED[tensor.type]).reshape(tensor.shape).copy()

    def put(self, layer: int, place: int, values: Array) -> None:
        """Other values of the same type."""
        tensor = self.tensor(layer, place)
        self.model.buffers[tensor.buffer].data = np.frombuffer(
            values.astype(_STORED[tensor.type]).tobytes(), np.uint8
        )

    def scales(self, layer: int, place: int) -> Array:
        """A copy of the scales."""
        return np.array(self.tensor(layer, place).quantization.scale, np.float32)

    def put_scales(self, layer: int, place: int, scales: Array) -> None:
        """Other scales."""
        self.tensor(layer, place).quantization.scale = np.asarray(scales, np.float32)


def lite(data: bytes, plant: Callable[[Lite], None]) -> bytes:
    """A `.tflite` file with a fault."""
    return edited(data, lambda model, graph: plant(Lite(model, graph)))


def weight(layer: int, steps: int, index: int = 5) -> Callable[[Lite], None]:
    """One weight, so many steps away from an end of the codes."""

    def plant(file: Lite) -> None:
        values = file.values(layer, 1)
        flat = values.reshape(-1)
        flat[index] += steps if flat[index] < 0 else -steps
        file.put(layer, 1, values)

    return plant


def bias(layer: int, real: float, index: int = 1) -> Callable[[Lite], None]:
    """One bias, by a real."""

    def plant(file: Lite) -> None:
        values = file.values(layer, 2)
        step = 1.0
        if values.dtype != np.float32:
            scales = file.scales(layer, 2)
            step = float(scales[index % len(scales)])
        values[index] += values.dtype.type(real / step)
        file.put(layer, 2, values)

    return plant


def scale(layer: int, factor: float, channel: int | None = None) -> Callable[[Lite], None]:
    """The scale of one channel of the weights, or all of them."""

    def plant(file: Lite) -> None:
        scales = file.scales(layer, 1)
        scales[slice(None) if channel is None else channel] *= np.float32(factor)
        file.put_scales(layer, 1, scales)

    return plant


def activation_scale(layer: int, factor: float) -> Callable[[Lite], None]:
    """The scale of a layer's output, and of nothing else."""

    def plant(file: Lite) -> None:
        file.put_scales(layer, -1, file.scales(layer, -1) * np.float32(factor))

    return plant


def zero_point(layer: int, steps: int, place: int = -1) -> Callable[[Lite], None]:
    """The zero point of a layer's output, or of its input."""

    def plant(file: Lite) -> None:
        quantisation = file.tensor(layer, place).quantization
        quantisation.zeroPoint = np.asarray(quantisation.zeroPoint) + steps

    return plant


def calibrated(factor: float) -> Callable[[Lite], None]:
    """All hidden activations and outputs on a range that is `factor` times as wide, as another
    calibration gives it: the biases follow."""

    def plant(file: Lite) -> None:
        widened: set[int] = set()
        for number, layer in enumerate(file.layers):
            if number and len(layer.inputs) > 2 and int(layer.inputs[0]) in widened:
                file.put(number, 2, np.rint(file.values(number, 2) / factor))
                file.put_scales(number, 2, file.scales(number, 2) * np.float32(factor))
            file.put_scales(number, -1, file.scales(number, -1) * np.float32(factor))
            widened.add(int(layer.outputs[0]))

    return plant


def swapped_layers(one: int, other: int) -> Callable[[Lite], None]:
    """Weights, scales and biases of two layers of one shape change places. The biases keep the
    scales that their inputs demand."""

    def plant(file: Lite) -> None:
        a, b = file.layers[one], file.layers[other]
        ours, theirs = list(a.inputs), list(b.inputs)
        a.inputs = np.array([ours[0], *theirs[1:]], np.int32)
        b.inputs = np.array([theirs[0], *ours[1:]], np.int32)
        for layer in (one, other):
            given = file.tensor(layer, 0).quantization
            if given is None or given.scale is None:
                continue
            old = file.scales(layer, 2)
            new = file.scales(layer, 1) * np.float32(file.scales(layer, 0)[0])
            file.put(layer, 2, np.rint(file.values(layer, 2) * (old / new)))
            file.put_scales(layer, 2, new)

    return plant


def swapped_classes(one: int, other: int, layer: int = -1) -> Callable[[Lite], None]:
    """Two outputs change places."""

    def plant(file: Lite) -> None:
        for place in range(1, len(file.layers[layer].inputs)):
            if int(file.layers[layer].inputs[place]) < 0:
                continue
            values = file.values(layer, place)
            values[[one, other]] = values[[other, one]]
            file.put(layer, place, values)
            quantisation = file.tensor(layer, place).quantization
            if quantisation is not None and quantisation.scale is not None:
                scales = file.scales(layer, place)
                if len(scales) > 1:
                    scales[[one, other]] = scales[[other, one]]
                    file.put_scales(layer, place, scales)

    return plant


def inputs_reordered(order: Array, layer: int = 0) -> Callable[[Lite], None]:
    """The first layer reads its inputs in another order."""

    def plant(file: Lite) -> None:
        values = file.values(layer, 1)
        flat = values.reshape(len(values), -1)
        file.put(layer, 1, flat[:, order].reshape(values.shape))

    return plant


def graph(data: bytes, plant: Callable[[dict[str, Array]], None]) -> bytes:
    """An `.onnx` file whose constants, by name, were changed."""
    model = onnx.load_model_from_string(data)
    arrays = {each.name: np.array(numpy_helper.to_array(each)) for each in model.graph.initializer}
    before = {name: array.copy() for name, array in arrays.items()}
    plant(arrays)
    for each in model.graph.initializer:
        if not np.array_equal(before[each.name], arrays[each.name]):
            each.CopyFrom(
                onnx.helper.make_tensor(
                    each.name, each.data_type, list(each.dims), arrays[each.name].ravel()
                )
            )
    return bytes(model.SerializeToString())
