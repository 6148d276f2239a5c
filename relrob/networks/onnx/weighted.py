"""The weights of an ONNX file: Gemm, MatMul and Conv, their quantised forms, and what follows them:
bias, batch normalisation, codes of the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx

from relrob.domain.network import Network
from relrob.networks.content import checked_bytes
from relrob.networks.lineage import Lineage
from relrob.networks.onnx.before import AFFINE, ENDING, Steps, behind, padded, step_of
from relrob.networks.onnx.blocks import in_blocks
from relrob.networks.onnx.constants import Constant, attributes, derived, held
from relrob.networks.onnx.scaled import biased_times, times
from relrob.networks.weighted import Codes, NotReadError, Weighted, stored_of

# Operators whose weights are not read.
_OTHER: Final = (
    "LSTM",
    "GRU",
    "RNN",
    "ConvTranspose",
    "Einsum",
    "Attention",
    "Gather",
    "QAttention",
)
# The dimensions of an ONNX kernel (out, channels, height, width) in our order.
_TURN: Final = (0, 2, 3, 1)


def read_weighted(network: Network) -> tuple[Weighted, ...]:
    """The layers in the order of the graph. Raises NotReadError."""
    model = onnx.load_model_from_string(checked_bytes(network))
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise NotReadError("weights in other files are not read")
    return Walk(model.graph).layers()


@dataclass(frozen=True)
class _Value:
    """A value that depends on the image: the deepest layer below it, the number of the layer whose
    output it is (None where something else was computed from that), and its codes."""

    depth: int
    owner: int | None = None
    codes: Codes | None = None
    # What follows a ReLU is no part of the layer's linear function.
    linear: bool = False


class Walk:
    """The nodes in order."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: held(tensor) for tensor in graph.initializer}
        self._values: dict[str, _Value] = {}
        self._steps = Steps()
        self._lineage = Lineage[str]()
        self._found: list[Weighted] = []
        self._readers: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                self._readers[name] = self._readers.get(name, 0) + 1
        given = next(each for each in graph.input if each.name not in self._constants)
        self._values[given.name] = _Value(0)

    def layers(self) -> tuple[Weighted, ...]:
        """All layers with weights."""
        for position, node in enumerate(self._graph.node, start=1):
            if self.takes_constant(node):
                continue
            if node.op_type in _OTHER:
                raise NotReadError(f"the weights of node {position} ({node.op_type}) are not read")
            self._visit(node, f"node {position} {node.name or node.output[0]!r} ({node.op_type})")
        return tuple(self._found)

    def takes_constant(self, node: onnx.NodeProto) -> bool:
        """Does a node make a constant, which is kept?"""
        constant = derived(node, self._constants)
        if constant is not None:
            self._constants[node.output[0]] = constant
        return constant is not None

    def layer(self, node: onnx.NodeProto) -> Weighted | None:
        """The weights of one node alone, None where it has none of its own."""
        reader = _LAYERS.get(node.op_type)
        return None if reader is None else reader(self, node)

    def constant(self, name: str) -> Constant | None:
        """A constant of the graph, None where it holds none of that name."""
        return self._constants.get(name)

    def _visit(self, node: onnx.NodeProto, label: str) -> None:
        """One node that depends on the image."""
        depth = max(
            (self._values[name].depth for name in node.input if name in self._values), default=0
        )
        source = next((name for name in node.input if name in self._values), "")
        made = self.layer(node)
        if made is not None:
            before = self._values[source].codes if source else None
            given = made.given if before is None else before.read_by(made.given)
            made = replace(made, label=label, depth=depth + 1, given=given, tensor=node.output[0])
            made = self._lineage.put_before(self._steps.put_before(made, source), node.input)
            held, out = made.result, node.output[0]
            linear = held is None or held.zero != held.least
            self._lineage.put_behind(len(self._found), made, out, activation=not linear)
            self._found.append(made)
            value = _Value(depth + 1, len(self._found) - 1, held, linear)
            self._values[out] = value
            return
        for name in node.output:
            self._values[name] = _Value(depth)
        if not source:
            return
        self._follow(node, source)
        made_of = self._values[node.output[0]]
        codes = made_of.codes
        floor = codes is not None and codes.zero == codes.least
        # Codes of the image begin at 0 as well.
        bends = (floor and depth > 0) or node.op_type in ENDING
        self._lineage.pass_on(node.input, node.output, activation=bends)
        if made_of.owner is None:
            self._steps.take(node, source, self._constants, floor)
        else:
            self._steps.pass_on(source, node.output[0])

    def _follow(self, node: onnx.NodeProto, source: str) -> None:
        """A step on the output of a layer: bias, normalisation, ReLU, codes."""
        value, out = self._values[source], node.output[0]
        alone = self._readers.get(source, 0) <= 1
        if node.op_type == "QuantizeLinear":
            self._coded(out, value, self.codes(out, node.input[1], "".join(node.input[2:3])))
            return
        if node.op_type == "DequantizeLinear":
            read = self.codes(out, node.input[1], "".join(node.input[2:3]))
            codes = None if value.codes is None else value.codes.read_by(read)
            self._values[out] = replace(value, codes=codes, linear=value.linear and alone)
            if value.owner is not None and codes is not None:
                self._found[value.owner] = replace(self._found[value.owner], result=codes)
            return
        owner = value.owner
        if alone and owner is not None and value.linear and node.op_type in AFFINE:
            self._combined(node, source, value, owner)
        if node.op_type in ("QLinearAdd", "QLinearMul"):
            self._coded(out, self._values[out], self.codes(out, node.input[6], node.input[7]))
        elif owner is None or not alone:
            if node.op_type in _PASSING:
                self._values[out] = replace(value, owner=None)
        elif node.op_type in ("Relu", "Clip"):
            self._found[owner] = replace(
                self._found[owner], relu=True, capped=node.op_type == "Clip", tensor=out
            )
            self._values[out] = replace(value, linear=False)
        elif node.op_type in ("Cast", "Identity"):
            self._values[out] = value
        elif node.op_type in _PASSING:
            self._values[out] = replace(value, owner=None)

    def _combined(self, node: onnx.NodeProto, source: str, value: _Value, owner: int) -> None:
        """Constants added to a layer's output, or multiplied with it."""
        out, layer = node.output[0], self._found[owner]
        if node.op_type == "Mul" and not any(name in self._constants for name in node.input):
            # MatMulInteger times the scales of image and weights, which is read with it.
            self._values[out] = value
            return
        step = step_of(node, source, self._constants)
        made = None if step is None else behind(layer, step)
        if made is not None:
            self._found[owner] = replace(made, tensor=out)
            self._values[out] = replace(value, codes=None)

    def _coded(self, out: str, value: _Value, codes: Codes | None) -> None:
        """The codes of a value."""
        # Their zero may be the floor of a ReLU that was taken away.
        floor = codes is not None and codes.zero == codes.least
        if value.owner is not None:
            layer = self._found[value.owner]
            self._found[value.owner] = replace(
                layer, result=codes, tensor=out, relu=layer.relu or floor
            )
        self._values[out] = replace(value, codes=codes, linear=value.linear and not floor)

    def codes(self, name: str, scale: str, zero: str) -> Codes | None:
        """The codes that scale and zero point describe."""
        if scale not in self._constants or (zero and zero not in self._constants):
            return None
        held_zero = self._constants[zero] if zero else Constant(np.zeros((), np.uint8), "uint8")
        if self._constants[scale].values.size != 1:
            return None
        return Codes(
            name,
            float(self._constants[scale].values.ravel()[0]),
            int(held_zero.values.ravel()[0]),
            *held_zero.ends,
        )

    def _scaled(self, name: str, scale: str, zero: str, axis: int = -1) -> Constant:
        """An integer constant with the scales that stand in other inputs."""
        for each in (name, scale):
            if each not in self._constants:
                raise NotReadError(f"{each!r} is no constant")
        zeros = self._constants.get(zero) if zero else None
        return self._constants[name].scaled(self._constants[scale], zeros, axis)

    # One reader a kind of node. None for a node without constant weights.

    def gemm(self, node: onnx.NodeProto) -> Weighted | None:
        """Gemm: alpha x (B or B^T) + beta c."""
        if node.input[1] not in self._constants:
            return None
        settings = attributes(node)
        if settings.get("transA", 0):
            raise NotReadError("a Gemm with transA")
        made = _dense(self._constants[node.input[1]], bool(settings.get("transB", 0)))
        made = times(made, settings.get("alpha", 1.0))
        if len(node.input) < 3 or not node.input[2]:
            return made
        biased = self._with_bias(made, self._constants.get(node.input[2]))
        # Only without factors has a bias the scale of input times weights.
        plain = settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0
        biased = replace(biased, tied=biased.tied and plain)
        return biased_times(biased, settings.get("beta", 1.0))

    def matmul(self, node: onnx.NodeProto) -> Weighted | None:
        """MatMul with constant weights."""
        if node.input[1] not in self._constants:
            return None
        return _dense(self._constants[node.input[1]], False)

    def conv(self, node: onnx.NodeProto) -> Weighted | None:
        """Conv over images."""
        if node.input[1] not in self._constants:
            return None
        made = replace(_convolution(self._constants[node.input[1]]), padded=padded(node))
        if len(node.input) < 3 or not node.input[2]:
            return made
        return self._with_bias(made, self._constants.get(node.input[2]))

    def integer(self, node: onnx.NodeProto) -> Weighted | None:
        """MatMulInteger and ConvInteger, whose scales are in a Mul that follows."""
        name = node.input[1]
        if name not in self._constants:
            return None
        scale = self._scale_behind(node.output[0])
        zero = node.input[3] if len(node.input) > 3 else ""
        conv = node.op_type == "ConvInteger"
        made = self._scaled(name, scale, zero, 0 if conv else -1)
        return _convolution(made) if conv else _dense(made, False)

    def _scale_behind(self, name: str) -> str:
        """The constant scale that the integer sums of a node are multiplied with."""
        makers = {out: node for node in self._graph.node for out in node.output}
        for _ in range(4):
            reader = next((n for n in self._graph.node if name in n.input), None)
            if reader is None:
                break
            if reader.op_type == "Mul":
                other = next(each for each in reader.input if each != name)
                parts = [other, *(makers[other].input if other in makers else ())]
                found = [each for each in parts if each in self._constants]
                if found:
                    return str(found[0])
            name = reader.output[0]
        raise NotReadError("integer sums without a constant scale")

    def dynamic(self, node: onnx.NodeProto) -> Weighted | None:
        """DynamicQuantizeMatMul and MatMulIntegerToFloat of onnxruntime."""
        fused = node.op_type == "MatMulIntegerToFloat"
        weight, scale, zero, bias = (1, 3, 5, 6) if fused else (1, 2, 3, 4)
        names = [*node.input, *([""] * 7)]
        if names[weight] not in self._constants:
            return None
        made = _dense(self._scaled(names[weight], names[scale], names[zero]), False)
        return self._with_bias(made, self._constants.get(names[bias]))

    def qlinear(self, node: onnx.NodeProto) -> Weighted | None:
        """QLinearMatMul, QLinearConv and QGemm."""
        names = [*node.input, *([""] * 9)]
        if names[3] not in self._constants:
            return None
        conv, gemm = node.op_type == "QLinearConv", node.op_type == "QGemm"
        turned = gemm and bool(attributes(node).get("transB", 0))
        weights = self._scaled(names[3], names[4], names[5], 0 if conv or turned else -1)
        made = _convolution(weights) if conv else _dense(weights, turned)
        alpha = float(attributes(node).get("alpha", 1.0)) if gemm else 1.0
        made = times(made, alpha)
        bias, scale, zero = (6, 7, 8) if gemm else (8, 6, 7)
        given = self.codes(names[0], names[1], names[2])
        result = self.codes(node.output[0], names[scale], names[zero])
        if (conv or gemm) and names[bias] in self._constants and given is not None:
            steps = np.broadcast_to(
                alpha * given.scale * (np.ones(1) if weights.scales is None else weights.scales),
                (made.shape[0],),
            )
            made = replace(
                made, bias=self._constants[names[bias]].values.astype(np.float64) * steps
            )
            made = replace(made, bias_steps=steps)
        return replace(made, given=given, result=result)

    def nbits(self, node: onnx.NodeProto) -> Weighted | None:
        """MatMulNBits of onnxruntime: 2, 4 or 8 bits in blocks along the inputs."""
        names = [*node.input, *([""] * 6)]
        if names[4] or any(name not in self._constants for name in names[1:3]):
            raise NotReadError("a MatMulNBits with an index of groups, or without constants")
        zeros = self._constants[names[3]] if names[3] else None
        packed, scales = (self._constants[name] for name in names[1:3])
        made = in_blocks(attributes(node), packed, scales, zeros)
        return self._with_bias(made, self._constants.get(names[5]))

    def _with_bias(self, layer: Weighted, bias: Constant | None) -> Weighted:
        if bias is None:
            return layer
        values = np.broadcast_to(bias.floats.ravel(), (layer.shape[0],)).astype(np.float64)
        steps = None
        if bias.scales is not None:
            steps = np.broadcast_to(bias.scales, values.shape).astype(np.float64)
        return replace(layer, bias=values, bias_steps=steps, tied=bias.kind == "int32")


_LAYERS: Final[dict[str, Callable[[Walk, onnx.NodeProto], Weighted | None]]] = {
    "Gemm": Walk.gemm,
    "MatMul": Walk.matmul,
    "Conv": Walk.conv,
    "MatMulInteger": Walk.integer,
    "ConvInteger": Walk.integer,
    "DynamicQuantizeMatMul": Walk.dynamic,
    "MatMulIntegerToFloat": Walk.dynamic,
    "QLinearMatMul": Walk.qlinear,
    "QLinearConv": Walk.qlinear,
    "QGemm": Walk.qlinear,
    "MatMulNBits": Walk.nbits,
}
_PASSING: Final = (
    *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Cast", "Identity"),
    "Dropout",
)


def _dense(weights: Constant, turned: bool) -> Weighted:
    """Weights (in, out), or (out, in) where `turned`."""
    if weights.values.ndim != 2:
        raise NotReadError(f"a product with weights of shape {weights.values.shape}")
    return _layer("dense", weights, (0, 1) if turned else (1, 0))


def _convolution(weights: Constant) -> Weighted:
    """A kernel (out, channels, height, width)."""
    if weights.values.ndim != 4:
        raise NotReadError(f"a convolution with weights of shape {weights.values.shape}")
    return _layer("conv" if weights.values.shape[1] > 1 else "depthwise", weights, _TURN)


def _layer(kind: str, weights: Constant, turn: tuple[int, ...]) -> Weighted:
    """The layer of a constant in our order."""
    window = tuple(weights.values.shape[place] for place in turn[1:])
    if weights.scales is None:
        turned = weights.floats.transpose(turn)
        values = turned.reshape(len(turned), -1)
        return Weighted("", kind, values, window, weights.kind, 0)
    zeros = np.zeros(1, np.int64) if weights.zeros is None else weights.zeros
    stored = stored_of(
        weights.values.astype(np.int64),
        weights.scales,
        zeros,
        weights.along,
        weights.ends,
        weights.kind,
        turn,
    )
    return Weighted("", kind, stored.values, window, stored.scheme, 0, stored)
