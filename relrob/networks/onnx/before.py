"""What an ONNX graph does to values before a layer with weights reads them, and to what a layer
gives: constants added and multiplied, which a converter may fold into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx

from relrob.domain.arrays import Doubles
from relrob.networks import steps
from relrob.networks.onnx.constants import Constant, attributes
from relrob.networks.steps import Earlier, Step
from relrob.networks.weighted import Affine, Weighted

# Operators that make a step of their constants.
AFFINE: Final = ("BatchNormalization", "Add", "Sub", "Mul", "Div", "QLinearAdd", "QLinearMul")
_CODED: Final = ("QuantizeLinear", "QLinearAdd", "QLinearMul")
_NEUTRAL: Final = (
    *("Cast", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"),
    "DynamicQuantizeLinear",
)
# Each of their outputs is of one channel. A quantiser leaves steps on the side where they are.
_POOLING: Final = (
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "QLinearAveragePool"),
    "QLinearGlobalAveragePool",
)
_FLATTENING: Final = ("Reshape", "Flatten")
_TURNING: Final = (*_FLATTENING, "Transpose", "Squeeze", "Unsqueeze")
# Functions behind which no step goes into the next layer, and which no optimiser moves.
ENDING: Final = (
    *("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Sigmoid", "Tanh", "Softmax"),
    *("HardSigmoid", "HardSwish", "Erf"),
)
# The kinds of layers that read rows, and those that read images, channels first.
_ROWS: Final = ("dense",)
_IMAGES: Final = ("conv", "depthwise")
# Of a step on the channels of an image that was flattened, one channel after the other.
_FLAT: Final = ("flat",)


class Steps:
    """The steps since the last layer, by the name of the value that they give."""

    def __init__(self) -> None:
        self._trail = steps.Trail[str]()

    def pass_on(self, source: str, out: str) -> None:
        """A value that a node makes of a layer's own output."""
        self._trail.pass_on(source, out)

    def take(
        self, node: onnx.NodeProto, source: str, constants: Mapping[str, Constant], floor: bool
    ) -> None:
        """Take in a node that reads the value `source`. `floor`: its codes begin at 0."""
        out, kept = node.output[0], self._kept(node, source, constants)
        if kept is not None:
            cut = floor and kept and node.op_type in _CODED
            last = (kept[-1]._replace(cut=True),) if cut else kept[-1:]
            earlier = _turned(self._trail.earlier(source), node.op_type)
            self._trail.pass_on(source, out, (*kept[:-1], *last), earlier)
            return
        step = step_of(node, source, constants)
        if step is not None:
            cut = floor and node.op_type in _CODED
            self._trail.add(source, out, step._replace(cut=cut))
            return
        operands = _operands(node)
        given = [name for name in operands if name not in constants]
        unread = node.op_type in AFFINE and len(given) < len(operands)
        self._trail.end(given, out, sure=node.op_type in ENDING, unread=unread)

    def _kept(
        self, node: onnx.NodeProto, source: str, constants: Mapping[str, Constant]
    ) -> tuple[Step, ...] | None:
        """The steps that stand behind a node which gives the same values, None of another."""
        before = self._trail.at(source)
        if node.op_type in _NEUTRAL or _pools(node, constants):
            return before
        if node.op_type in _FLATTENING:
            before = tuple(map(_flattened, before))
            return _since(before, [step.kinds in ((), _FLAT) for step in before])
        if node.op_type in _TURNING:
            # Channels may stand elsewhere behind it.
            return _since(before, [not step.kinds for step in before])
        return None

    def put_before(self, layer: Weighted, source: str) -> Weighted:
        """The layer, which reads the value `source`, with the steps before it."""
        found = tuple(_in_rows(step, layer) for step in self._trail.at(source))
        told = _since(found, [not step.kinds or layer.kind in step.kinds for step in found])
        earlier = self._trail.earlier(source)
        ended = tuple(tuple(_in_rows(step, layer) for step in each) for each in earlier)
        return self._trail.put_before(layer, source, told, ended)


def _flattened(step: Step) -> Step:
    """A step on an image, whose channels stand one after the other in a row of its values."""
    return step._replace(kinds=_FLAT) if "conv" in step.kinds else step


def _turned(earlier: Earlier, kind: str) -> Earlier:
    """Steps before activations, behind a node of this kind, which may put channels last."""
    if kind not in _TURNING:
        return earlier
    return tuple(
        tuple(_flattened(s) if kind in _FLATTENING else s._replace(kinds=()) for s in steps)
        for steps in earlier
    )


def _operands(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node but for the scales and zero points of codes."""
    coded = node.op_type in ("QLinearAdd", "QLinearMul")
    return [name for name in (node.input[:6:3] if coded else node.input) if name]


def _pools(node: onnx.NodeProto, constants: Mapping[str, Constant]) -> bool:
    """Does it give the mean or the maximum of places in one channel?"""
    if node.op_type not in ("ReduceMean", "ReduceMax"):
        return node.op_type in _POOLING
    settings = attributes(node)
    axes = settings.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in constants:
        axes = constants[node.input[1]].values.ravel().tolist()
    return sorted(axes or ()) in ([2, 3], [-2, -1])


def behind(layer: Weighted, step: Step) -> Weighted | None:
    """The layer with a step on its outputs (`relrob.networks.steps.behind`), None where the step is
    one of other channels."""
    if step.kinds and layer.kind not in step.kinds:
        return None
    return steps.behind(layer, step)


def _in_rows(step: Step, layer: Weighted) -> Step:
    """A step on channels that were flattened, one number a column; as it is where the columns of
    the layer are not such."""
    fan = layer.shape[1]
    if step.kinds != _FLAT or layer.kind != "dense" or fan % step.affine.factor.size:
        return step
    affine, off = (
        Affine(*(np.repeat(each, fan // each.size) for each in pair)) for pair in step[:2]
    )
    return step._replace(affine=affine, off=off, kinds=_ROWS)


def padded(node: onnx.NodeProto) -> bool:
    """Does a convolution put zeros around what it reads?"""
    settings = attributes(node)
    return any(settings.get("pads", ())) or settings.get("auto_pad", b"NOTSET") in (
        b"SAME_UPPER",
        b"SAME_LOWER",
    )


def _since(steps: tuple[Step, ...], fit: list[bool]) -> tuple[Step, ...]:
    """The last steps, all of which fit."""
    return steps[len(fit) - fit[::-1].index(False) :] if False in fit else steps


def step_of(node: onnx.NodeProto, source: str, constants: Mapping[str, Constant]) -> Step | None:
    """The step of a node that reads the value `source`, None of one that is none."""
    if node.op_type not in AFFINE:
        return None
    coded, names = node.op_type.startswith("QLinear"), _operands(node)
    others = [constants[name] for name in names if name in constants]
    if node.op_type == "BatchNormalization":
        return _normalised(node, others) if len(others) == 4 else None
    if len(others) != 1 or len(names) != 2:
        return None
    first = names[0] == source
    held = others[0]
    if coded:
        places = (4, 5) if first else (1, 2)
        scale, zero = (constants.get(node.input[place]) for place in places)
        if scale is None or (held.values.size > 1 and scale.values.size > 1):
            return None
        held = held.scaled(scale, zero, -1)
    values = held.floats
    kinds = _kinds(values)
    operator = node.op_type.removeprefix("QLinear")
    made = steps.step_of(operator, values.ravel(), _half(held), first=first)
    return None if kinds is None or made is None else made._replace(kinds=kinds)


def _normalised(node: onnx.NodeProto, others: list[Constant]) -> Step:
    """A batch normalisation of gamma, beta, mean and variance."""
    epsilon = float(attributes(node).get("epsilon", 1e-5))
    gamma, beta, mean, variance = (each.floats.ravel() for each in others)
    off = _half(others[0]) / np.sqrt(variance + epsilon)
    moved = _half(others[1]) + np.abs(mean) * off
    made = steps.normalised(gamma, beta, mean, variance, epsilon)
    return Step(made, Affine(off, moved), (*_ROWS, *_IMAGES))


def _half(constant: Constant) -> Doubles:
    """Half a step of each number of a constant, 0 for floats."""
    values = np.zeros(constant.values.size)
    return values if constant.scales is None else values + float(constant.scales.max()) / 2


def _kinds(values: Doubles) -> tuple[str, ...] | None:
    """The kinds of layers whose channels constants of this shape belong to, None where that is not
    known."""
    wide = [place - values.ndim for place, count in enumerate(values.shape) if count > 1]
    if not wide:
        return ()
    if wide == [-3]:
        return _IMAGES
    return _ROWS if wide == [-1] and values.ndim <= 2 else None
