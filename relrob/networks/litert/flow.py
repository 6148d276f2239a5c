"""A `.tflite` file as steps for gradients: FULLY_CONNECTED, convolutions, pools, sums, and what
stands between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.flow import (
    Affine,
    Clip,
    Convolution,
    Flow,
    Mean,
    Padded,
    Pair,
    Pool,
    Product,
    Rounded,
    RowRounded,
    Shaped,
    Step,
    Sum,
)
from relrob.networks.litert.file import litert_file
from relrob.networks.litert.flat import Flat, NotModelledError, Operator, Tensor
from relrob.networks.litert.sizes import BATCH_SIZE
from relrob.networks.litert.weighted import codes_of, read_weighted
from relrob.networks.weighted import NotReadError, Weighted

_SAME: Final = 0
# Fused activations: ReLU, ReLU from -1 to 1, ReLU to 6.
_FUSED: Final = {1: (0.0, float("inf")), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_CLIPS: Final = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_ENDS: Final = ("SOFTMAX", "LOGISTIC")
_INTEGERS: Final = ("INT8", "UINT8", "INT16")


def read_flow(network: Network) -> Flow:
    """The steps, up to a softmax or sigmoid at the end. Raises NotReadError."""
    try:
        flat = litert_file(network).flat
        if len(flat.inputs) != 1 or len(flat.outputs) != 1:
            raise NotReadError(f"{len(flat.inputs)} inputs and {len(flat.outputs)} outputs")
        return _Walk(flat, network).flow()
    except NotModelledError as error:
        raise NotReadError(str(error)) from error


class _Walk:
    """The operators in order. `_value`: the number of the value that a tensor is."""

    def __init__(self, flat: Flat, network: Network) -> None:
        self._flat, self._runtime = flat, network.runtime
        self._layers = {layer.label: layer for layer in read_weighted(network)}
        self._steps: list[Step] = []
        self._value = {flat.inputs[0]: 0}
        self._ended: int | None = None

    def flow(self) -> Flow:
        given = self._flat.tensors[self._flat.inputs[0]]
        self._rounded(given)
        for operator in self._flat.operators:
            first = operator.inputs[0] if operator.inputs else -1
            if operator.kind in BATCH_SIZE or (first >= 0 and self._flat.at(first).constant):
                self._constant(operator)
            elif operator.kind in _ENDS:
                self._end(operator)
            elif self._ended is not None:
                self._behind_end(operator)
            else:
                self._visit(operator)
        if self._value.get(self._flat.outputs[0]) != len(self._steps):
            raise NotReadError("the output is not the last value")
        return Flow(given.shape[1:], tuple(self._steps))

    def _visit(self, operator: Operator) -> None:
        """An operator on values."""
        reader = _READERS.get(operator.kind)
        if reader is None or len(operator.outputs) != 1:
            raise NotReadError(f"{operator.name} is not read")
        reader(self, operator)
        out = self._flat.tensors[operator.outputs[0]]
        self._activated(operator)
        self._value[out.number] = len(self._steps)
        if operator.kind not in ("RESHAPE", "MAX_POOL_2D", "DEQUANTIZE", "TRANSPOSE"):
            self._rounded(out)

    def _activated(self, operator: Operator) -> None:
        """The activation that is fused with an operator."""
        kind = operator.options.get("fusedActivationFunction") or 0
        if isinstance(kind, int) and kind in _FUSED:
            self._add(Clip(len(self._steps), *_FUSED[kind]))
        elif kind:
            raise NotReadError(f"{operator.name} has another activation than ReLU")

    def _constant(self, operator: Operator) -> None:
        """A step on sizes or constants, which gives no value."""
        if operator.kind not in (*BATCH_SIZE, "DEQUANTIZE"):
            raise NotReadError(f"{operator.name} of a constant is not read")

    def _end(self, operator: Operator) -> None:
        """A softmax or sigmoid: its input holds the logits."""
        self._ended = self._of(operator, 0)
        self._value[operator.outputs[0]] = self._ended

    def _behind_end(self, operator: Operator) -> None:
        """What follows it may only change the type or the shape."""
        if operator.kind not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE"):
            raise NotReadError(f"{operator.name} stands behind the softmax")
        self._value[operator.outputs[0]] = self._of(operator, 0)

    def _add(self, step: Step) -> None:
        self._steps.append(step)

    def _rounded(self, tensor: Tensor) -> None:
        """The codes of a tensor of integers, the value last added."""
        if tensor.type == "FLOAT32":
            return
        codes = codes_of(tensor)
        if tensor.type not in _INTEGERS or codes is None:
            raise NotReadError(f"tensor {tensor.number} of type {tensor.type.lower()}")
        self._add(Rounded(len(self._steps), codes))
        self._value[tensor.number] = len(self._steps)

    def _of(self, operator: Operator, place: int) -> int:
        """The number of the value that an input is."""
        number = operator.inputs[place]
        if number not in self._value:
            raise NotReadError(f"{operator.name} reads tensor {number}, which is no value")
        return self._value[number]

    def _weights(self, operator: Operator) -> tuple[Weighted, Floats]:
        """A layer and its bias."""
        layer = self._layers[operator.name]
        given = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        if given and layer.bias is None:
            raise NotReadError(f"{operator.name} has a bias that is not read")
        bias = np.zeros(layer.shape[0]) if layer.bias is None else layer.bias
        return layer, bias.astype(np.float32)

    def _hybrid(self, operator: Operator) -> int:
        """The value that a layer with weights reads, whose rows are quantised at run time where
        weights are integers and values are not."""
        source = self._of(operator, 0)
        given = self._flat.at(operator.inputs[0])
        if given.type != "FLOAT32" or self._flat.at(operator.inputs[1]).type == "FLOAT32":
            return source
        asymmetric = self._runtime == "xnnpack" or operator.options.get("asymmetricQuantizeInputs")
        self._add(RowRounded(source, not asymmetric))
        return len(self._steps)

    # One reader a kind of operator.

    def full(self, operator: Operator) -> None:
        """FULLY_CONNECTED."""
        layer, bias = self._weights(operator)
        flat = not operator.options.get("keepNumDims")
        weights = np.ascontiguousarray(layer.values.T, np.float32)
        self._add(Product(self._hybrid(operator), weights, bias, flat))

    def convolution(self, operator: Operator) -> None:
        """CONV_2D and DEPTHWISE_CONV_2D."""
        layer, bias = self._weights(operator)
        height, width, depth = layer.window
        kernel = layer.values.reshape(-1, height, width, depth).transpose(1, 2, 3, 0)
        inputs = self._flat.at(operator.inputs[0]).shape
        apart = layer.kind == "depthwise"
        dilations = _pair(operator, "dilation{}Factor")
        strides, size = _pair(operator, "stride{}"), (height, width)
        pads = _pads(operator, inputs[1:3], size, strides, dilations)
        groups = inputs[3] if apart else inputs[3] // depth
        source = self._hybrid(operator)
        self._add(Convolution(source, _floats(kernel), bias, strides, dilations, pads, groups))

    def pool(self, operator: Operator) -> None:
        """MAX_POOL_2D and AVERAGE_POOL_2D."""
        inputs = self._flat.at(operator.inputs[0]).shape
        window, strides = _pair(operator, "filter{}", long=True), _pair(operator, "stride{}")
        pads = _pads(operator, inputs[1:3], window, strides, (1, 1))
        largest = operator.kind == "MAX_POOL_2D"
        self._add(Pool(self._of(operator, 0), largest, window, strides, pads))

    def arithmetic(self, operator: Operator) -> None:
        """ADD, SUB and MUL: of two values (ADD alone), or of a value and a constant."""
        if all(place in self._value for place in operator.inputs):
            if operator.kind != "ADD" or len({self._flat.at(i).shape for i in operator.inputs}) > 1:
                raise NotReadError(f"{operator.name} of two values is not read")
            self._add(Sum(self._of(operator, 0), self._of(operator, 1)))
            return
        constant = self._flat.at(operator.inputs[1])
        values = constant.values().astype(np.float64)
        if constant.type in _INTEGERS:
            codes = codes_of(constant)
            if codes is None:
                raise NotReadError(f"{operator.name} has a constant without a scale")
            values = (values - codes.zero) * codes.scale
        whole = values.reshape(values.shape[1:] if values.ndim > 1 else values.shape)
        one, none = np.ones((), np.float32), np.zeros((), np.float32)
        source = self._of(operator, 0)
        if operator.kind == "MUL":
            self._add(Affine(source, _floats(whole), none))
        else:
            self._add(Affine(source, one, _floats(whole if operator.kind == "ADD" else -whole)))

    def mean(self, operator: Operator) -> None:
        """MEAN over dimensions of an image."""
        axes = self._flat.at(operator.inputs[1]).values().ravel()
        rank = len(self._flat.at(operator.inputs[0]).shape)
        places = tuple(int(axis) % rank - 1 for axis in axes)
        if min(places) < 0:
            raise NotReadError(f"{operator.name} mixes images")
        self._add(Mean(self._of(operator, 0), places, bool(operator.options.get("keepDims"))))

    def pad(self, operator: Operator) -> None:
        """PAD with zeros."""
        pads = self._flat.at(operator.inputs[1]).values()
        if pads[0].any():
            raise NotReadError(f"{operator.name} adds images")
        self._add(Padded(self._of(operator, 0), tuple((int(a), int(b)) for a, b in pads[1:])))

    def shaped(self, operator: Operator) -> None:
        """RESHAPE and TRANSPOSE."""
        out = self._flat.at(operator.outputs[0])
        turn: tuple[int, ...] = ()
        if operator.kind == "TRANSPOSE":
            order = [int(place) for place in self._flat.at(operator.inputs[1]).values().ravel()]
            if order[0] != 0:
                raise NotReadError(f"{operator.name} turns the batch")
            turn = tuple(place - 1 for place in order[1:])
        self._add(Shaped(self._of(operator, 0), out.shape[1:], turn))

    def clip(self, operator: Operator) -> None:
        """A ReLU of its own."""
        self._add(Clip(self._of(operator, 0), *_FUSED[_CLIPS[operator.kind]]))

    def same(self, operator: Operator) -> None:
        """QUANTIZE, whose codes follow, and DEQUANTIZE: the same reals."""
        one, none = np.ones((), np.float32), np.zeros((), np.float32)
        source = self._of(operator, 0)
        if source != len(self._steps):
            self._add(Affine(source, one, none))


_READERS: Final[dict[str, Callable[[_Walk, Operator], None]]] = {
    "FULLY_CONNECTED": _Walk.full,
    "CONV_2D": _Walk.convolution,
    "DEPTHWISE_CONV_2D": _Walk.convolution,
    "MAX_POOL_2D": _Walk.pool,
    "AVERAGE_POOL_2D": _Walk.pool,
    "ADD": _Walk.arithmetic,
    "SUB": _Walk.arithmetic,
    "MUL": _Walk.arithmetic,
    "MEAN": _Walk.mean,
    "PAD": _Walk.pad,
    "RESHAPE": _Walk.shaped,
    "TRANSPOSE": _Walk.shaped,
    "RELU": _Walk.clip,
    "RELU6": _Walk.clip,
    "RELU_N1_TO_1": _Walk.clip,
    "QUANTIZE": _Walk.same,
    "DEQUANTIZE": _Walk.same,
}


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, np.float32)


def _pair(operator: Operator, name: str, long: bool = False) -> Pair:
    """An option of rows and of columns, 1 where absent."""
    words = ("Height", "Width") if long else ("H", "W")
    found = [operator.options.get(name.format(word)) or 1 for word in words]
    return int(str(found[0])), int(str(found[1]))


def _pads(
    operator: Operator, inputs: tuple[int, ...], window: Pair, strides: Pair, dilations: Pair
) -> tuple[Pair, Pair]:
    """Zeros before and after the rows and the columns."""
    if operator.options.get("padding") != _SAME:
        return (0, 0), (0, 0)
    found = []
    for size, reach, stride, dilation in zip(inputs, window, strides, dilations, strict=True):
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + (reach - 1) * dilation + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return found[0], found[1]
