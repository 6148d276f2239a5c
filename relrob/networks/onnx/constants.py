"""Constants of an ONNX graph as weights: floats, or integers with their scales, through the nodes
that only turn or convert them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from relrob.domain.arrays import Doubles, Ints
from relrob.networks.weighted import NotReadError

_ENDS: Final = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int32": (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant: floats or integers in `values`, of the type `kind`.

    `scales`, `zeros`: with the dimension `along`, or None for floats and for integers whose scales
    stand elsewhere. `block`: weights along that dimension that share a scale, 0 for all.
    """

    values: NDArray[Any]
    kind: str
    scales: Doubles | None = None
    zeros: Ints | None = None
    along: int | None = None
    block: int = 0

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the largest integer of the type."""
        return _ENDS[self.kind]

    @property
    def floats(self) -> Doubles:
        """The values as reals."""
        if self.scales is None:
            return self.values.astype(np.float64)
        zeros = np.zeros(len(self.scales), np.int64) if self.zeros is None else self.zeros
        shape = [1] * self.values.ndim
        if len(self.scales) > 1 and self.along is not None:
            shape[self.along] = len(self.scales)
        if len(self.scales) == 1:
            shape = [1] * self.values.ndim
        lost = self.values.astype(np.float64) - zeros.reshape(shape)
        return np.asarray(lost * self.scales.reshape(shape), np.float64)

    def scaled(self, scale: Constant, zero: Constant | None, axis: int, block: int = 0) -> Constant:
        """The same integers with their scales. Raises NotReadError for scales in blocks."""
        scales = scale.values.astype(np.float64).ravel()
        if block or (scale.values.ndim > 1 and len(scales) > 1):
            raise NotReadError("scales in blocks")
        zeros = None if zero is None else zero.values.astype(np.int64).ravel()
        along = axis % max(self.values.ndim, 1)
        return replace(self, scales=scales, zeros=zeros, along=along)

    def turned(self, order: tuple[int, ...]) -> Constant:
        """The transpose."""
        along = None if self.along is None else order.index(self.along)
        return replace(self, values=self.values.transpose(order), along=along)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as plain values."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def held(tensor: onnx.TensorProto) -> Constant:
    """An initialiser."""
    try:
        values = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise NotReadError(f"the constant {tensor.name!r} cannot be read") from error
    kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    if kind in ("int4", "uint4"):
        values = values.astype(np.int64)
    return Constant(values, {"float": "float32"}.get(kind, kind))


def derived(node: onnx.NodeProto, constants: dict[str, Constant]) -> Constant | None:
    """The constant that a node makes of constants, None where it is none."""
    settings = attributes(node)
    if node.op_type == "Constant":
        value = settings.get("value")
        if isinstance(value, onnx.TensorProto):
            return held(value)
        numbers = next((settings[name] for name in settings if name.startswith("value_")), None)
        return None if numbers is None else Constant(np.asarray(numbers), "float32")
    if not node.input or any(name and name not in constants for name in node.input):
        return None
    first = constants[node.input[0]]
    match node.op_type:
        case "DequantizeLinear":
            zero = constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
            return first.scaled(
                constants[node.input[1]],
                zero,
                int(settings.get("axis", 1)),
                int(settings.get("block_size", 0)),
            )
        case "Identity":
            return first
        case "Cast" if first.kind in ("float16", "float32", "bfloat16"):
            return first
        case "Transpose":
            rank = first.values.ndim
            return first.turned(tuple(settings.get("perm", range(rank)[::-1])))
        case "Reshape" if first.scales is None:
            shape = constants[node.input[1]].values.astype(np.int64)
            return replace(first, values=first.values.reshape(tuple(shape)))
    return None
