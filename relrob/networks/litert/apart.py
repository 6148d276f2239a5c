"""Proof that a `.tflite` graph treats the images of a batch apart, operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, cast

import numpy as np

from relrob.networks.litert.file import LiteRtFile
from relrob.networks.litert.flat import Flat, NotModelledError, Operator
from relrob.networks.litert.sizes import BATCH_SIZE, Sizes

Dims = tuple[int, ...]
_ALONE: Final = frozenset(
    [
        "QUANTIZE",
        "DEQUANTIZE",
        "CAST",
        "ABS",
        "NEG",
        "EXP",
        "LOG",
        "SQRT",
        "RSQRT",
        "SQUARE",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "LEAKY_RELU",
        "ELU",
        "GELU",
        "HARD_SWISH",
        "LOGISTIC",
        "TANH",
    ]
)
_PAIRS: Final = frozenset(
    ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"]
)
_REDUCED: Final = frozenset(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])


class _MixedError(Exception):
    """The graph is not known to treat images apart."""


@dataclass(frozen=True)
class _Rows:
    """One row an image along the first axis, made from that image alone. `dims`: the shape of a
    row."""

    dims: Dims


def treats_apart(file: LiteRtFile) -> bool:
    """Is every output of an image known to depend on that image alone?"""
    try:
        return _Walk(file.flat).apart()
    except (_MixedError, NotModelledError):
        return False


class _Walk:
    """The facts of each tensor, in the order of the operators."""

    def __init__(self, flat: Flat) -> None:
        self._flat, self._rows = flat, dict[int, _Rows]()
        self._sizes, self._written, self._weights = Sizes(flat), set(flat.inputs), set[int]()

    def apart(self) -> bool:
        """Does every operator from the input to the output keep images apart?"""
        if self._flat.odd or len(self._flat.inputs) != 1 or len(self._flat.outputs) != 1:
            return False
        start = self._flat.tensors[self._flat.inputs[0]]
        shape = start.signature or start.shape
        if start.constant or len(shape) < 2 or shape[0] not in (-1, 1) or min(shape[1:]) < 1:
            return False
        self._rows[start.number] = _Rows(shape[1:])
        for operator in self._flat.operators:
            self._step(operator)
        return self._flat.outputs[0] in self._rows

    def _step(self, operator: Operator) -> None:
        """One operator writes one tensor, once."""
        targets = [self._flat.at(place) for place in operator.outputs]
        if (
            len(targets) != 1
            or targets[0].number in self._written
            or targets[0].constant
            or operator.odd
        ):
            raise _MixedError
        self._written.add(targets[0].number)
        if any(
            place >= 0 and self._flat.tensors[place].odd == "is a variable"
            for place in operator.inputs
        ):
            raise _MixedError
        if operator.kind in BATCH_SIZE and not (
            operator.inputs and operator.kind == "PACK" and operator.inputs[0] in self._rows
        ):
            self._sizes.step(operator, list(self._rows))
        elif (
            operator.kind == "DEQUANTIZE"
            and operator.inputs
            and self._flat.at(operator.inputs[0]).constant
        ):
            self._unpacked(operator)
        else:
            rule = _RULES.get(operator.kind)
            if rule is None:
                raise _MixedError
            self._rows[targets[0].number] = _Rows(rule(self, operator))

    def _unpacked(self, operator: Operator) -> None:
        """Take in a constant of another type, whose declared shape must be the constant's."""
        if self._flat.at(operator.inputs[0]).shape != self._flat.at(operator.outputs[0]).shape:
            raise _MixedError
        self._weights.add(operator.outputs[0])

    def first(self, operator: Operator) -> Dims:
        """The row of the first input."""
        return self.row(operator.inputs[0] if operator.inputs else -1)

    def row(self, place: int) -> Dims:
        """The row of a tensor that is computed from images."""
        if place not in self._rows:
            raise _MixedError
        return self._rows[place].dims

    def fixed(self, operator: Operator, position: int) -> Dims:
        """The shape of an input that is a constant, unpacked or not."""
        place = operator.inputs[position] if len(operator.inputs) > position else -1
        tensor = self._flat.at(place)
        if not (tensor.constant or place in self._weights):
            raise _MixedError
        return tensor.shape

    def numbers(self, operator: Operator, position: int) -> Dims:
        """The values of an input that is a constant vector, or scalar, of int32."""
        place = operator.inputs[position] if len(operator.inputs) > position else -1
        tensor = self._flat.at(place)
        if not tensor.constant or tensor.type != "INT32":
            raise _MixedError
        return tuple(int(value) for value in np.ravel(tensor.values()))

    def rest_is_fixed(self, operator: Operator, start: int) -> None:
        """Are the inputs from `start` on constants?"""
        for position in range(start, len(operator.inputs)):
            if operator.inputs[position] != -1:
                self.fixed(operator, position)

    def is_row(self, place: int) -> bool:
        """Is the tensor computed from images?"""
        return place in self._rows

    def reshaped(self, operator: Operator) -> Dims:
        """RESHAPE within an image."""
        return self._sizes.reshaped(operator, self.first(operator))


def _alone(walk: _Walk, operator: Operator) -> Dims:
    if len(operator.inputs) != 1:
        raise _MixedError
    return walk.first(operator)


def _softmax(walk: _Walk, operator: Operator) -> Dims:
    """A softmax over the last axis, which is not the first."""
    if not walk.first(operator):
        raise _MixedError
    return _alone(walk, operator)


def _pair(walk: _Walk, operator: Operator) -> Dims:
    """An operator of two batches, or of a batch and a constant that has no batch of its own."""
    if len(operator.inputs) != 2:
        raise _MixedError
    shapes = []
    for position, place in enumerate(operator.inputs):
        if walk.is_row(place):
            shapes.append(walk.row(place))
            continue
        shape = walk.fixed(operator, position)
        rank = len(walk.row(operator.inputs[1 - position])) + 1
        if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise _MixedError
        shapes.append((1,) * (rank - 1 - len(shape)) + shape if len(shape) < rank else shape[1:])
    if len(shapes[0]) != len(shapes[1]):
        raise _MixedError
    return tuple(_joint(one, other) for one, other in zip(*shapes, strict=True))


def _joint(one: int, other: int) -> int:
    """The length of two broadcast axes."""
    if one != other and 1 not in (one, other):
        raise _MixedError
    return max(one, other)


def _full(walk: _Walk, operator: Operator) -> Dims:
    """FULLY_CONNECTED over all values of an image, or over the last axis where the others are
    kept."""
    dims, weights = walk.first(operator), walk.fixed(operator, 1)
    walk.rest_is_fixed(operator, 2)
    if len(weights) != 2 or not dims:
        raise _MixedError
    if operator.options.get("keepNumDims"):
        if dims[-1] != weights[1]:
            raise _MixedError
        return (*dims[:-1], weights[0])
    if prod(dims) != weights[1]:
        raise _MixedError
    return (weights[0],)


def _window(walk: _Walk, operator: Operator) -> Dims:
    """Convolutions and pools of rank 4, the batch first."""
    dims, option = walk.first(operator), operator.options
    if len(dims) != 3:
        raise _MixedError
    channels, size = dims[2], (_int(option, "filterHeight"), _int(option, "filterWidth"))
    if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        weights = walk.fixed(operator, 1)
        walk.rest_is_fixed(operator, 2)
        if len(weights) != 4:
            raise _MixedError
        size, channels = weights[1:3], weights[0] if operator.kind == "CONV_2D" else weights[3]
    steps = _int(option, "strideH"), _int(option, "strideW")
    gaps = max(1, _int(option, "dilationHFactor")), max(1, _int(option, "dilationWFactor"))
    if min(*steps, *size) < 1:
        raise _MixedError
    same = _int(option, "padding") == 0
    ends = [
        -(-n // step) if same else -(-(n - (k - 1) * gap) // step)
        for n, k, step, gap in zip(dims[:2], size, steps, gaps, strict=True)
    ]
    return (*ends, channels)


def _int(options: Mapping[str, object], name: str) -> int:
    """An option that is a whole number. It is 0 where the operator has none."""
    return int(cast(int, options.get(name) or 0))


def _reduced(walk: _Walk, operator: Operator) -> Dims:
    """A reduction over other axes than the first."""
    dims, axes = walk.first(operator), walk.numbers(operator, 1)
    rank = len(dims) + 1
    gone = {axis % rank for axis in axes if -rank <= axis < rank}
    if not gone or len(gone) != len(axes) or 0 in gone:
        raise _MixedError
    keep = bool(operator.options.get("keepDims"))
    return tuple(
        1 if axis in gone else n for axis, n in enumerate(dims, start=1) if keep or axis not in gone
    )


def _joined(walk: _Walk, operator: Operator) -> Dims:
    """CONCATENATION along another axis than the first."""
    rows = [walk.row(place) for place in operator.inputs]
    rank = len(rows[0]) + 1 if rows else 0
    axis = _int(operator.options, "axis")
    if (
        not rows
        or not -rank <= axis < rank
        or axis % rank == 0
        or any(len(row) != rank - 1 for row in rows)
    ):
        raise _MixedError
    total = sum(row[axis % rank - 1] for row in rows)
    return tuple(total if number == axis % rank else n for number, n in enumerate(rows[0], start=1))


def _padded(walk: _Walk, operator: Operator) -> Dims:
    """PAD of other axes than the first."""
    dims, around = walk.first(operator), walk.numbers(operator, 1)
    walk.rest_is_fixed(operator, 2)
    if len(around) != 2 * len(dims) + 2 or around[0] or around[1] or min(around) < 0:
        raise _MixedError
    return tuple(n + around[2 * i] + around[2 * i + 1] for i, n in enumerate(dims, start=1))


def _turned(walk: _Walk, operator: Operator) -> Dims:
    """TRANSPOSE that leaves the first axis first."""
    dims, order = walk.first(operator), walk.numbers(operator, 1)
    if sorted(order) != list(range(len(dims) + 1)) or order[0] != 0:
        raise _MixedError
    return tuple(dims[axis - 1] for axis in order[1:])


_RULES: Final[Mapping[str, Callable[[_Walk, Operator], Dims]]] = {
    **dict.fromkeys(_ALONE, _alone),
    **dict.fromkeys(_PAIRS, _pair),
    **dict.fromkeys(_REDUCED, _reduced),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), _window),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), _softmax),
    **dict.fromkeys(("PAD", "PADV2"), _padded),
    "RESHAPE": _Walk.reshaped,
    "FULLY_CONNECTED": _full,
    "CONCATENATION": _joined,
    "TRANSPOSE": _turned,
}
