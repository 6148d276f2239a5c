"""Proof that an ONNX graph treats the images of a batch apart, from a list of operators. An
operator that is not listed may mix images.

A value is a constant, a shape, which depends on the number of images alone, or one row an image
along its first axis. The shapes are those that onnx infers. Where it infers none, only operators
that need none are known to keep images apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final, final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from relrob.networks.onnx.graph import DOMAINS, OPSETS
from relrob.networks.onnx.shape_steps import Lengths, numbers, stepped

# The list lacks Acos, Asin, Atan, Celu, Cos, Elu, Log, Selu, Sin and Softplus, whose last bits
# depend on the place in a batch, in whole vectors or in the rest. It also lacks Gelu, Mish and
# Swish, of which that is not known.
_UNARY: Final = (
    "Abs Acosh Asinh Atanh Cast CastLike Ceil Clip Cosh Erf Exp Floor HardSigmoid HardSwish "
    "Identity IsInf IsNaN LeakyRelu Neg "
    "Not Reciprocal Relu Round Shrink Sigmoid Sign Sinh Softsign Sqrt Tan Tanh ThresholdedRelu"
)
_NARY: Final = (
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod "
    "Mul Or PRelu Pow Sub Sum Where Xor"
)
# Their first input is a batch of images or channels by the standard; all others must be constants.
_SPATIAL: Final = (
    "AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace "
    "GlobalAveragePool GlobalLpPool GlobalMaxPool "
    "InstanceNormalization LRN LpPool MaxPool SpaceToDepth"
)
_REDUCTIONS: Final = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare"
)
_CLASSES: Final = {
    name: names for names in (_UNARY, _NARY, _SPATIAL, _REDUCTIONS) for name in names.split()
}
# Operators along one axis, and the axis where they name none.
_ALONG: Final = {
    "Concat": None,
    "Softmax": -1,
    "LogSoftmax": -1,
    "Hardmax": -1,
    "ArgMax": 0,
    "ArgMin": 0,
    "LpNormalization": -1,
    "LayerNormalization": -1,
    "Gather": 0,
    "Split": 0,
    "TopK": -1,
}
# Before opset 13 these run over all axes from the given one on, by default 1.
_FLATTENED: Final = (
    "Softmax",
    "LogSoftmax",
    "Hardmax",
)
_QDQ: Final = ("QuantizeLinear", "DequantizeLinear")


def treats_apart(model: onnx.ModelProto) -> bool:
    """Is the graph known to compute each image's outputs from that image alone?"""
    try:
        return _known(model)
    # A node or an attribute of another form raises one of these.
    except (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        StopIteration,
    ):
        return False


def _known(model: onnx.ModelProto) -> bool:
    """The answer for a graph whose nodes have the inputs and attributes of their kind."""
    versions = [each.version for each in model.opset_import if each.domain in DOMAINS]
    graph = model.graph
    if (
        len(versions) != 1
        or versions[0] not in OPSETS
        or len(graph.output) != 1
        or len(model.functions)
    ):
        return False
    held = {tensor.name for tensor in graph.initializer} | {
        each.values.name for each in graph.sparse_initializer
    }
    given = next(value.name for value in graph.input if value.name not in held)
    kept = _Kept(int(versions[0]), _shapes(model))
    kept.constants.update({tensor.name: tensor for tensor in graph.initializer})
    kept.constants.update({each.values.name: None for each in graph.sparse_initializer})
    kept.images.add(given)
    return (
        kept.rank(given) > 0
        and all(kept.visit(node) for node in graph.node)
        and graph.output[0].name in kept.images
    )


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes by name, -1 where a length is open."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (
        onnx.shape_inference.InferenceError,
        DecodeError,
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
    ):
        graph = model.graph
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            found[value.name] = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
    found.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    return found


@dataclass(frozen=True, eq=False)
class _Node:
    """A node: its kind, the inputs that it has, its attributes."""

    kind: str
    inputs: list[str]
    at: dict[str, Any]


@final
class _Kept:
    """The constants, shapes and rows of images that are known so far."""

    def __init__(self, opset: int, shapes: dict[str, tuple[int, ...]]) -> None:
        self._opset, self._shapes = opset, shapes
        self.constants: dict[str, onnx.TensorProto | None] = {}
        self.images: set[str] = set()
        # Shapes, in which None stands for the number of images.
        self._sizes: dict[str, Lengths] = {}

    def rank(self, name: str) -> int:
        """Number of axes of a value. It is 0 where that is not known."""
        return len(self._shapes.get(name, ()))

    def visit(self, node: onnx.NodeProto) -> bool:
        """Take the node's outputs in. False where they may mix images."""
        if any(
            a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
            for a in node.attribute
        ):
            return False
        found = _Node(
            node.op_type,
            list(node.input),
            {a.name: helper.get_attribute_value(a) for a in node.attribute},
        )
        own = node.domain in DOMAINS
        if own and self._size(found, node.output[0]):
            return True
        if all(not name or name in self.constants for name in found.inputs):
            tensor = found.at.get("value") if found.kind == "Constant" else None
            self.constants.update(dict.fromkeys(node.output, tensor))
            if found.kind in ("Constant", "Identity") and tensor is None:
                source = self.constants.get(found.inputs[0]) if found.inputs else numbers(found.at)
                self.constants[node.output[0]] = source
            return own
        several = found.kind in ("Split", "TopK", "Dropout") or not any(node.output[1:])
        if not several or not (self._apart(found) if own else self._quantised(found, node.domain)):
            return False
        self.images.update(name for name in node.output if name)
        return True

    def _size(self, node: _Node, output: str) -> bool:
        """Is it a step in the arithmetic of shapes? Then its value is kept."""
        if node.kind == "Shape" and node.inputs[0] in self.images and self.rank(node.inputs[0]):
            rest = self._shapes[node.inputs[0]][1:]
            whole: Lengths = [None, *rest]
            found = whole[node.at.get("start", 0) : node.at.get("end", len(whole))]
        elif not any(name in self._sizes for name in node.inputs):
            return False
        else:
            parts = [self._sizes.get(name, self._whole(name)) for name in node.inputs]
            step = (
                None
                if any(part is None for part in parts)
                else stepped(node.kind, node.at, [part or [] for part in parts])
            )
            if step is None:
                return False
            found = step
        self._sizes[output] = found
        return True

    def _whole(self, name: str) -> Lengths | None:
        """The values of a constant of whole numbers, else None."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_type not in (
            onnx.TensorProto.INT64,
            onnx.TensorProto.INT32,
        ):
            return None
        try:
            return [int(value) for value in numpy_helper.to_array(tensor).reshape(-1)]
        except (ValueError, TypeError):
            return None

    def _constant(self, name: str, rank: int) -> bool:
        """Is it a constant that is the same for every row of a value of this rank, 0 where
        unknown?"""
        dims = self._dims(name)
        return dims is not None and (len(dims) < rank or (len(dims) == rank and dims[:1] == (1,)))

    def _dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant."""
        tensor = self.constants.get(name)
        return (
            tuple(tensor.dims)
            if tensor is not None
            else self._shapes.get(name)
            if name in self.constants
            else None
        )

    def _inner(self, axis: Any, rank: int) -> bool:
        """Is the axis not that of the images?"""
        return isinstance(axis, int) and (
            0 < axis < rank if axis >= 0 else rank > 0 and -rank < axis
        )

    def _apart(self, node: _Node) -> bool:
        """Does one of ONNX's own operators keep images apart?"""
        kind, inputs, at = node.kind, node.inputs, node.at
        first, rest = inputs[0], [name for name in inputs[1:] if name]
        rank, fixed = self.rank(first), all(name in self.constants for name in rest)
        if _CLASSES.get(kind) == _NARY:
            return self._elementwise([name for name in inputs if name])
        if kind in ("MatMul", "Gemm") or first not in self.images:
            return self._product(node, rank)
        if _CLASSES.get(kind) == _UNARY:
            return fixed
        if kind == "Dropout":
            # A Dropout that trains is refused before.
            return fixed
        if _CLASSES.get(kind) == _SPATIAL:
            return (
                fixed
                and rank > 2 - (kind == "BatchNormalization")
                and not at.get("training_mode", 0)
                and at.get("spatial", 1) == 1
            )
        if _CLASSES.get(kind) == _REDUCTIONS:
            axes: list[Any] = at.get("axes") or (self._whole(rest[0]) if rest else None) or []
            inner = bool(axes) and all(self._inner(axis, rank) for axis in axes)
            # Sums along other axes than the last ones have last bits that depend on the place in a
            # batch.
            last = inner and {axis % rank for axis in axes} == {*range(rank - len(axes), rank)}
            return inner and (last or kind in ("ReduceMax", "ReduceMin"))
        if kind in _ALONG:
            return self._along(node, rank)
        if kind == "QLinearConv":
            return fixed and rank > 2
        if kind == "QLinearMatMul":
            return fixed and rank > 1 and len(self._dims(inputs[3]) or ()) == 2
        if kind in _QDQ:
            scalar = all(
                (dims := self._dims(name)) is not None and prod(dims) == 1 for name in rest
            )
            return (
                fixed
                and (scalar or self._inner(at.get("axis", 1), rank))
                and not at.get("block_size", 0)
            )
        return self._moved(node, rank)

    def _quantised(self, node: _Node, domain: str) -> bool:
        """Does a quantised operator of onnxruntime's own domain keep images apart? They are a dense
        layer, and sums and products of two values."""
        first, second = node.inputs[0], node.inputs[3] if len(node.inputs) > 3 else ""
        rest = [name for name in node.inputs if name and name not in (first, second)]
        if (
            domain != "com.microsoft"
            or first not in self.images
            or not all(name in self.constants for name in rest)
        ):
            return False
        if node.kind == "QGemm":
            return second in self.constants and not node.at.get("transA", 0)
        return node.kind in ("QLinearAdd", "QLinearMul") and self._elementwise([first, second])

    def _elementwise(self, names: list[str]) -> bool:
        """Are the inputs values of one rank, and constants that are the same for every image?"""
        ranks = {self.rank(name) for name in names if name in self.images}
        if len(ranks) != 1 or 0 in ranks:
            return False
        rank = ranks.pop()
        return all(name in self.images or self._constant(name, rank) for name in names)

    def _product(self, node: _Node, rank: int) -> bool:
        """Is it a product of rows and a constant matrix?"""
        first, second = node.inputs[:2] if len(node.inputs) > 1 else ("", "")
        matrix = len(self._dims(second) or ()) == 2
        if node.kind not in ("MatMul", "Gemm") or first not in self.images or not matrix:
            return False
        added = [name for name in node.inputs[2:] if name]
        biased = all(self._constant(name, 2) for name in added)
        return rank > 1 and not node.at.get("transA", 0) and biased

    def _along(self, node: _Node, rank: int) -> bool:
        """Does the operator work along one axis that is not that of the images?"""
        kind = node.kind
        axis = node.at.get("axis", 1 if kind in _FLATTENED and self._opset < 13 else _ALONG[kind])
        if kind == "Concat":
            same = len({self.rank(name) for name in node.inputs}) == 1
            return (
                same
                and all(name in self.images for name in node.inputs)
                and self._inner(axis, rank)
            )
        if kind == "LayerNormalization" and not all(
            self._constant(name, rank) for name in node.inputs[1:] if name
        ):
            return False
        return all(name in self.constants for name in node.inputs[1:] if name) and self._inner(
            axis, rank
        )

    def _moved(self, node: _Node, rank: int) -> bool:
        """Does the operator change shape or order, or take parts, within each image?"""
        kind, at, rest = node.kind, node.at, [name for name in node.inputs[1:] if name]
        whole = [self._whole(name) for name in rest]
        match kind:
            case "Flatten":
                return bool(at.get("axis", 1) == 1 or at.get("axis", 1) == 1 - rank < 0)
            case "Transpose":
                return list(at.get("perm", [-1]))[:1] == [0]
            case "Squeeze":
                axes = at.get("axes") or (whole[0] if whole else None)
                return bool(axes) and all(self._inner(axis, rank) for axis in axes or [])
            case "Unsqueeze":
                axes = at.get("axes") or (whole[0] if whole else None)
                return (
                    bool(axes)
                    and rank > 0
                    and all(self._inner(axis, rank + len(axes or [])) for axis in axes or [])
                )
            case "Reshape" if rest:
                return self._reshaped(node, self._sizes.get(rest[0], whole[0]))
            case "Pad" if whole and whole[0] and len(node.inputs) < 4:
                return rank > 0 and len(whole[0]) == 2 * rank and whole[0][0] == whole[0][rank] == 0
            case "Slice" if len(node.inputs) > 3 and all(name in self.constants for name in rest):
                axes = self._whole(node.inputs[3])
                return bool(axes) and all(self._inner(axis, rank) for axis in axes or [])
        return False

    def _reshaped(self, node: _Node, target: Lengths | None) -> bool:
        """Does the new shape keep the first axis?"""
        shape = self._shapes.get(node.inputs[0], ())
        if not target or len(target) < 2 or node.at.get("allowzero", 0):
            return False
        if target[0] in (0, None):
            return all(n is not None for n in target[1:])
        inner = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(target) if i]
        sizes = [n for n in (*shape[1:], *inner) if n is not None and n > 0]
        if target[0] != -1 or len(shape) < 2 or len(sizes) != len(shape) - 1 + len(inner):
            return False
        return prod(shape[1:]) == prod(n for n in inner if n is not None)
