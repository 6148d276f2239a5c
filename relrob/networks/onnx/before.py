"""What an ONNX graph does to values before a layer with weights reads them, and to what a layer
gives: constants added and multiplied, which a converter may fold into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import onnx

from relrob.domain.arrays import Doubles
from relrob.networks import steps
from relrob.networks.onnx.constants import Constant, attributes
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
_TURNING: Final = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")
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


class Step(NamedTuple):
    """The constants of a node, and how far rounding may have moved each of them. `kinds`: of the
    layers whose channels they belong to; () for single numbers, which belong to all. `cut`: may a
    quantiser have taken a ReLU away behind it?"""

    affine: Affine
    off: Affine
    kinds: tuple[str, ...]
    cut: bool = False


class Steps:
    """The steps since the last layer, by the name of the value that they give."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[Step, ...]] = {}
        # Steps before each activation since the last layer or junction, as one.
        self._earlier: dict[str, tuple[tuple[Affine, Affine], ...]] = {}
        # Values before which a step may stand that is not read.
        self._unsure: set[str] = set()

    def take(
        self, node: onnx.NodeProto, source: str, constants: Mapping[str, Constant], floor: bool
    ) -> None:
        """Take in a node that reads the value `source`. `floor`: its codes begin at 0."""
        before, out = self._steps.get(source, ()), node.output[0]
        after, lost = self._behind(node, source, before, constants)
        if floor and after and node.op_type in _CODED:
            after = (*after[:-1], after[-1]._replace(cut=True))
        self._steps[out] = after
        ends = node.op_type in ENDING
        alone = all(name == source or name in constants or not name for name in node.input)
        if alone and not lost:
            ended = (_as_one(before),) if ends and before else ()
            self._earlier[out] = (*self._earlier.get(source, ()), *ended)
        if lost or (not ends and any(name in self._unsure for name in node.input)):
            self._unsure.add(out)

    def _behind(
        self,
        node: onnx.NodeProto,
        source: str,
        before: tuple[Step, ...],
        constants: Mapping[str, Constant],
    ) -> tuple[tuple[Step, ...], bool]:
        """The steps behind a node, and whether one was lost on the way."""
        if node.op_type in _NEUTRAL or _pools(node, constants):
            return before, False
        if node.op_type in ("Flatten", "Reshape"):
            before = tuple(
                step._replace(kinds=_FLAT) if "conv" in step.kinds else step for step in before
            )
            kept = _since(before, [step.kinds in ((), _FLAT) for step in before])
            return kept, len(kept) < len(before)
        if node.op_type in _TURNING:
            # Channels may stand elsewhere behind it.
            kept = _since(before, [not step.kinds for step in before])
            return kept, len(kept) < len(before)
        step = step_of(node, source, constants)
        if step is not None:
            return (*before, step), False
        constant = any(name in constants for name in node.input)
        unread = node.op_type in AFFINE and constant
        return (), unread or (bool(before) and node.op_type not in ENDING)

    def put_before(self, layer: Weighted, source: str) -> Weighted:
        """The layer, which reads the value `source`, with the steps before it."""
        found = tuple(_in_rows(step, layer) for step in self._steps.get(source, ()))
        told = _since(found, [not step.kinds or layer.kind in step.kinds for step in found])
        made = layer.fed_by([step.affine for step in told])
        off = layer.fed_by([step.off for step in told]).before
        made = replace(made, earlier=self._earlier.get(source, ()))
        if len(made.before) < len(found):
            return replace(made, before_off=off[len(off) - len(made.before) :])
        cuts = tuple(number for number, step in enumerate(told, start=1) if step.cut)
        return replace(made, before_off=off, cuts=cuts, known=source not in self._unsure)


def _pools(node: onnx.NodeProto, constants: Mapping[str, Constant]) -> bool:
    """Does it give the mean or the maximum of places in one channel?"""
    if node.op_type not in ("ReduceMean", "ReduceMax"):
        return node.op_type in _POOLING
    settings = attributes(node)
    axes = settings.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in constants:
        axes = constants[node.input[1]].values.ravel().tolist()
    return sorted(axes or ()) in ([2, 3], [-2, -1])


def _as_one(before: tuple[Step, ...]) -> tuple[Affine, Affine]:
    return steps.composed([step.affine for step in before], [step.off for step in before])


def behind(layer: Weighted, step: Step) -> Weighted | None:
    """The layer with a step on its outputs (`relrob.networks.steps.behind`), None where the step is
    one of other channels."""
    if step.kinds and layer.kind not in step.kinds:
        return None
    return steps.behind(layer, step.affine, step.off)


def _in_rows(step: Step, layer: Weighted) -> Step:
    """A step on channels that were flattened, one number a column; as it is where the columns of
    the layer are not such."""
    fan = layer.shape[1]
    if step.kinds != _FLAT or fan % step.affine.factor.size:
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
    coded = node.op_type.startswith("QLinear")
    names = [node.input[0], node.input[3]] if coded else list(node.input)
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
    return None if kinds is None or made is None else Step(*made, kinds)


def _normalised(node: onnx.NodeProto, others: list[Constant]) -> Step:
    """A batch normalisation of gamma, beta, mean and variance."""
    gamma, beta, mean, variance = (each.floats.ravel() for each in others)
    root = np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
    factor = gamma / root
    off = _half(others[0]) / root
    moved = _half(others[1]) + np.abs(mean) * off
    return Step(Affine(factor, beta - mean * factor), Affine(off, moved), (*_ROWS, *_IMAGES))


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
