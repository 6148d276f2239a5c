"""A dense `.tflite` file as a chain of layers. A file that is not known to be modelled raises
NotModelledError with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from relrob.networks.litert.dense import dense_layer
from relrob.networks.litert.flat import Flat, NotModelledError, Operator, Tensor
from relrob.networks.litert.layers import (
    Dequantise,
    DynamicFull,
    FloatFull,
    Grid,
    Int8Full,
    Layer,
    Quantise,
    Recode,
    Softmax,
)
from relrob.networks.litert.options import check_options
from relrob.networks.litert.scales import grid_of
from relrob.networks.litert.sizes import BATCH_SIZE, Sizes
from relrob.networks.litert.wiring import check_wiring

FULL: Final = (Int8Full, DynamicFull, FloatFull)
_SOFTMAX_OUT: Final = Grid(1 / 256, -128)


@dataclass(frozen=True, eq=False)
class Node:
    """A `layer` on the way from the input to the output: the operator at `position`, between the
    tensors `source` and `target`."""

    layer: Layer
    position: int
    source: int
    target: int


@dataclass(frozen=True, eq=False)
class Graph:
    """The way from the input to the output.

    `nodes`: in order. `widths`: values an image before each node and after the last. `given`,
    `result`: the grids of the two ends, None for float ones. `path`: the tensors on the way.
    `positions`: the operators on the way. `halves`: float16 weights are unpacked.
    """

    nodes: tuple[Node, ...]
    widths: tuple[int, ...]
    given: Grid | None
    result: Grid | None
    path: tuple[int, ...]
    positions: tuple[int, ...]
    halves: bool

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return tuple(node.layer for node in self.nodes)


def read_graph(flat: Flat) -> Graph:
    """The layers of a `.tflite` file, from the one input to the one output. Raises
    NotModelledError."""
    check_wiring(flat)
    return _Reader(flat).read()


class _Reader:
    """The values of an image, followed from the input on. `_dims`: their shape so far."""

    def __init__(self, flat: Flat) -> None:
        self._flat, self._at = flat, flat.inputs[0]
        self._dims = _image(flat.tensors[self._at])
        self._sizes = Sizes(flat)
        self._halves: dict[int, int] = {}
        self._nodes: list[Node] = []
        self._widths = [prod(self._dims)]
        self._path, self._positions = [self._at], list[int]()

    def read(self) -> Graph:
        """The graph, from every operator in order. Each must take the output of the one before
        it."""
        for operator in self._flat.operators:
            check_options(operator)
            if operator.kind in BATCH_SIZE:
                self._sizes.step(operator, self._path)
            elif (
                operator.kind == "DEQUANTIZE"
                and operator.inputs
                and self._flat.at(operator.inputs[0]).constant
            ):
                self._unpack(operator)
            else:
                self._follow(operator)
        if self._at != self._flat.outputs[0]:
            raise NotModelledError("the output is not the end of the chain")
        if len(self._dims) != 1:
            raise NotModelledError("the output is not one row of scores an image")
        if not self._nodes:
            raise NotModelledError("the file has no layer")
        return Graph(
            tuple(self._nodes),
            tuple(self._widths),
            grid_of(self._flat.tensors[self._path[0]]),
            grid_of(self._flat.tensors[self._at]),
            tuple(self._path),
            tuple(self._positions),
            bool(self._halves),
        )

    def _unpack(self, operator: Operator) -> None:
        """Take in a DEQUANTIZE of a constant, which unpacks float16 weights."""
        if len(operator.inputs) != 1 or len(operator.outputs) != 1:
            raise NotModelledError(f"{operator.name} has other inputs or outputs")
        source, target = self._flat.at(operator.inputs[0]), self._flat.at(operator.outputs[0])
        if source.type != "FLOAT16" or target.type != "FLOAT32" or source.scales is not None:
            raise NotModelledError(
                f"{operator.name} turns {source.type.lower()} weights into float ones"
            )
        self._halves[target.number] = source.number

    def _follow(self, operator: Operator) -> None:
        """Take in an operator on the way."""
        if not operator.inputs or operator.inputs[0] != self._at or len(operator.outputs) != 1:
            raise NotModelledError(f"{operator.name} does not continue the chain")
        before, after = self._flat.tensors[self._at], self._flat.tensors[operator.outputs[0]]
        if operator.kind == "RESHAPE":
            self._dims = self._sizes.reshaped(operator, self._dims)
            if before.type != after.type or grid_of(before) != grid_of(after):
                raise NotModelledError(f"{operator.name} changes the type, scale or zero point")
        else:
            layer = self._layer(operator, before, after)
            self._nodes.append(Node(layer, operator.number, before.number, after.number))
            self._dims = (layer.weights.shape[1],) if isinstance(layer, FULL) else self._dims
            self._widths.append(prod(self._dims))
        _declared(after, self._dims)
        self._at = after.number
        self._path.append(after.number)
        self._positions.append(operator.number)

    def _layer(self, operator: Operator, before: Tensor, after: Tensor) -> Layer:
        """The layer that an operator is, where it may stand there."""
        given, out = grid_of(before), grid_of(after)
        dense = any(isinstance(node.layer, FULL) for node in self._nodes)
        last = self._nodes[-1].layer if self._nodes else None
        if operator.kind == "FULLY_CONNECTED" and not isinstance(last, Softmax):
            tensors = [
                None if place == -1 else self._constant(place) for place in operator.inputs[1:]
            ]
            return dense_layer(operator, tensors, prod(self._dims), given, out)
        if len(operator.inputs) != 1:
            raise NotModelledError(f"{operator.name} has {len(operator.inputs)} inputs")
        if operator.kind == "QUANTIZE":
            return _quantise(operator, given, out, dense, last)
        if operator.kind == "DEQUANTIZE" and given is not None and out is None:
            if given.least != -128 or any(
                isinstance(node.layer, Dequantise) for node in self._nodes
            ):
                raise NotModelledError(f"{operator.name} is a second one, or of uint8")
            return Dequantise(given)
        if operator.kind == "SOFTMAX" and not isinstance(last, Softmax):
            return _softmax(operator, given, out, self._dims)
        raise NotModelledError(f"{operator.name} stands where it is not modelled")

    def _constant(self, place: int) -> Tensor:
        """A constant, before it is unpacked."""
        found = self._flat.at(self._halves.get(place, place))
        if found.type == "FLOAT16" and place not in self._halves:
            raise NotModelledError(f"tensor {place} is float16")
        return found


def _quantise(
    operator: Operator, given: Grid | None, out: Grid | None, dense: bool, last: Layer | None
) -> Layer:
    """QUANTIZE of float pixels, or between uint8 and int8 at one of the ends."""
    if last is not None and not dense:
        raise NotModelledError(f"{operator.name} is a second QUANTIZE")
    if out is None:
        raise NotModelledError(f"{operator.name} gives floats")
    if given is None:
        if dense or out.least != -128:
            raise NotModelledError(f"{operator.name} of floats between layers, or to uint8")
        return Quantise(out)
    to, back = (given.least, out.least) == (0, -128), (given.least, out.least) == (-128, 0)
    if (
        given.scale != out.scale
        or given.zero - given.least != out.zero - out.least
        or not (back if dense else to)
    ):
        raise NotModelledError(f"{operator.name} moves integers to another scale")
    return Recode(given, out)


def _softmax(
    operator: Operator, given: Grid | None, out: Grid | None, dims: tuple[int, ...]
) -> Softmax:
    """SOFTMAX over the classes."""
    if len(dims) != 1:
        raise NotModelledError(f"{operator.name} over part of an image's values")
    if (
        (given is None) != (out is None)
        or out not in (None, _SOFTMAX_OUT)
        or (given is not None and given.least == 0)
    ):
        raise NotModelledError(f"{operator.name} has types or an output scale of its own")
    return Softmax(given, out)


def _image(tensor: Tensor) -> tuple[int, ...]:
    """The shape of one image in the input tensor."""
    shape, signature = tensor.shape, tensor.signature
    if len(shape) < 2 or shape[0] != 1 or min(shape) < 1:
        raise NotModelledError(f"the input of shape {shape} is not a batch of one image")
    if signature is not None and (
        len(signature) != len(shape) or signature[1:] != shape[1:] or signature[0] not in (1, -1)
    ):
        raise NotModelledError(f"the input's shape is open: {signature}")
    return shape[1:]


def _declared(tensor: Tensor, dims: tuple[int, ...]) -> None:
    """Check that the shape that the file gives an activation is the one that it has."""
    if tensor.shape != (1, *dims):
        raise NotModelledError(
            f"tensor {tensor.number} is declared as {tensor.shape} and is {(1, *dims)}"
        )
