"""What an ONNX graph does to values before a layer with weights reads them: constants added and
multiplied, which a converter may fold into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import onnx

from relrob.domain.arrays import Doubles
from relrob.networks.onnx.constants import Constant, attributes
from relrob.networks.weighted import Affine, Weighted

_NEUTRAL: Final = ("Cast", "Identity", "Dropout")
_TURNING: Final = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")
# The kinds of layers that read rows, and those that read images, channels first.
_ROWS: Final = ("dense",)
_IMAGES: Final = ("conv", "depthwise")


class Step(NamedTuple):
    """The constants of a node. `kinds`: of the layers whose channels they belong to; () for single
    numbers, which belong to all."""

    affine: Affine
    kinds: tuple[str, ...]


class Steps:
    """The steps since the last layer, by the name of the value that they give."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[Step, ...]] = {}

    def take(self, node: onnx.NodeProto, source: str, constants: Mapping[str, Constant]) -> None:
        """Take in a node that reads the value `source`."""
        before, out = self._steps.get(source, ()), node.output[0]
        if node.op_type in _NEUTRAL:
            self._steps[out] = before
        elif node.op_type in _TURNING:
            # Channels may stand elsewhere behind it.
            self._steps[out] = _since(before, [not step.kinds for step in before])
        else:
            step = _step(node, source, constants)
            if step is not None:
                self._steps[out] = (*before, step)

    def put_before(self, layer: Weighted, source: str) -> Weighted:
        """The layer, which reads the value `source`, with the steps before it."""
        steps = self._steps.get(source, ())
        told = _since(steps, [not step.kinds or layer.kind in step.kinds for step in steps])
        return layer.fed_by([step.affine for step in told])


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


def _step(node: onnx.NodeProto, source: str, constants: Mapping[str, Constant]) -> Step | None:
    """The step of a node, None of one that is none."""
    others = [constants[name].floats for name in node.input if name in constants]
    if node.op_type == "BatchNormalization" and len(others) == 4:
        gamma, beta, mean, variance = (each.ravel() for each in others)
        factor = gamma / np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
        return Step(Affine(factor, beta - mean * factor), (*_ROWS, *_IMAGES))
    if len(others) != 1 or len(node.input) != 2:
        return None
    values, first = others[0], node.input[0] == source
    kinds = _kinds(values)
    made = _affine(node.op_type, values.ravel(), first)
    return None if kinds is None or made is None else Step(made, kinds)


def _kinds(values: Doubles) -> tuple[str, ...] | None:
    """The kinds of layers whose channels constants of this shape belong to, None where that is not
    known."""
    wide = [place - values.ndim for place, count in enumerate(values.shape) if count > 1]
    if not wide:
        return ()
    if wide == [-3]:
        return _IMAGES
    return _ROWS if wide == [-1] and values.ndim <= 2 else None


def _affine(operator: str, constants: Doubles, first: bool) -> Affine | None:
    """x + c, x - c, c - x, x * c or x / c; `first`: x stands first."""
    one, zero = np.ones(1), np.zeros(1)
    match operator:
        case "Add":
            return Affine(one, constants)
        case "Sub":
            return Affine(one, -constants) if first else Affine(-one, constants)
        case "Mul":
            return Affine(constants, zero)
        case "Div" if first and constants.all():
            return Affine(1 / constants, zero)
        case _:
            return None
