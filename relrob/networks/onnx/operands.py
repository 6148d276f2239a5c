"""What operators of an ONNX graph are given: constants, scales, codes, weights, shapes; or why they
are not emulated."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints, read_only
from relrob.networks.onnx.steps import Codes

Array = NDArray[Any]
Shape = tuple[int, ...]
RANGES: Final = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}
Constants = dict[str, Array]


class NotEmulatedError(Exception):
    """The sentence that says why this graph is not emulated. Never leaves this package."""


def need(true: bool, otherwise: str) -> None:
    """Raise NotEmulatedError unless it is so."""
    if not true:
        raise NotEmulatedError(otherwise)


def get(constants: Constants, node: onnx.NodeProto, index: int) -> Array | None:
    """A constant input, None when it is left out."""
    name = node.input[index] if len(node.input) > index else ""
    return constants[name] if name else None


def scale_of(constants: Constants, node: onnx.NodeProto, index: int) -> Floats:
    """A positive, finite float32 scale (k,)."""
    array = get(constants, node, index)
    need(
        array is not None and array.dtype == np.float32 and array.ndim <= 1,
        "a scale that is no float32 row",
    )
    flat = np.asarray(array, dtype=np.float32).reshape(-1)
    need(
        bool(np.isfinite(flat).all() and (flat > 0).all()),
        "a scale that is not positive and finite",
    )
    return flat


def codes_of(constants: Constants, node: onnx.NodeProto, scale: int, zero: int) -> Codes:
    """One scale and one 8-bit zero point; uint8 with zero point 0 when it is left out."""
    point = get(constants, node, zero)
    point = np.zeros((), np.uint8) if point is None else point
    need(point.size == 1 and point.dtype in RANGES, "codes that are not 8 bits with one zero point")
    step = scale_of(constants, node, scale)
    need(step.size == 1, "activations with a scale a channel")
    return Codes(step[0], int(point.reshape(-1)[0]), *RANGES[point.dtype])


def plain(at: dict[str, Any]) -> None:
    """Attributes of newer operator sets that change the arithmetic are refused."""
    changed = [name for name in ("output_dtype", "precision", "block_size") if at.get(name)]
    need(not changed, f"the attribute {', '.join(changed)}")


def weights_of(
    constants: Constants,
    node: onnx.NodeProto,
    dims: Shape,
    b: int,
    b_zero: int,
    transposed: bool = False,
) -> Ints:
    """8-bit weights less their zero points, (n_in, n_out) int64."""
    held, zero = get(constants, node, b), get(constants, node, b_zero)
    need(
        held is not None and held.ndim == 2 and held.dtype in RANGES, "weights that are not 8 bits"
    )
    array = np.asarray(held).astype(np.int64)
    array = array.T if transposed else array
    points = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64).reshape(-1)
    need(points.size in (1, array.shape[1]), "zero points that are neither one nor one a column")
    need(dims == array.shape[:1], f"weights {array.shape} for values {dims}")
    return np.asarray(array - points, dtype=np.int64)


def viewed(
    constants: Constants, node: onnx.NodeProto, at: dict[str, Any], dims: Shape
) -> tuple[Shape, Ints | None]:
    """Shape of one image after an operator that moves values only, and their new order if it
    changes; the batch stays in front."""
    size, moved = prod(dims), None
    shape = (0, *dims)  # 0 marks the batch
    match node.op_type:
        case "Flatten":
            need(at.get("axis", 1) in (1, -len(dims)), "it mixes the images of a batch")
            dims = (size,)
        case "Reshape":
            dims = reshaped(
                [int(n) for n in np.asarray(get(constants, node, 1)).reshape(-1)], dims, size
            )
        case "Squeeze" | "Unsqueeze":
            given = at["axes"] if "axes" in at else np.asarray(get(constants, node, 1)).reshape(-1)
            new = node.op_type == "Unsqueeze"
            rank = len(shape) + (len(given) if new else 0)
            places = {int(n) % rank for n in given}
            need(0 not in places, "it moves the batch")
            rest = iter(dims)
            dims = tuple(
                (1 if i in places else next(rest)) if new else shape[i]
                for i in range(1, rank)
                if new or i not in places
            )
        case "Transpose":
            order = [int(n) for n in at.get("perm", range(len(dims), -1, -1))]
            need(order[0] == 0, "it moves the batch")
            index = (
                np.arange(size, dtype=np.int64).reshape(dims).transpose([n - 1 for n in order[1:]])
            )
            dims = index.shape
            moved = read_only(index.reshape(-1))
    need(prod(dims) == size, "it changes the number of values")
    return dims, moved


def reshaped(target: list[int], dims: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The shape of one image after a Reshape; only one dimension, the batch or another, may be
    open."""
    need(len(target) > 1, "it drops the batch")
    rest = (
        [dims[i] if n == 0 else n for i, n in enumerate(target[1:])]
        if 0 in target[1:]
        else target[1:]
    )
    if target[0] == -1:
        need(min(rest) > 0 and prod(rest) == size, "it mixes the images of a batch")
    if -1 in rest:
        rest[rest.index(-1)] = size // max(prod(n for n in rest if n > 0), 1)
    return tuple(rest)
