"""The weights of a `.tflite` file: dense layers and convolutions, with their scales and the codes
of activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles, Ints
from relrob.domain.network import Network
from relrob.networks.lineage import Lineage
from relrob.networks.litert.file import litert_file
from relrob.networks.litert.flat import Flat, NotModelledError, Operator, Tensor
from relrob.networks.litert.options import RELU
from relrob.networks.steps import Step, Trail, behind, step_of
from relrob.networks.weighted import Codes, NotReadError, Stored, Weighted, stored_of

_KINDS: Final = {
    "FULLY_CONNECTED": "dense",
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "depthwise",
}
# Operators whose weights are not read.
_OTHER: Final = (
    *("TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE", "LSTM", "RNN", "SVDF", "EMBEDDING_LOOKUP"),
    *("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BATCH_MATMUL"),
)
# The dimensions of the file's weights in the order (out, height, width, channels).
_TURNS: Final = {"dense": (0, 1), "conv": (0, 1, 2, 3), "depthwise": (3, 1, 2, 0)}
_RELU6: Final = 3
# Operators whose inputs have the codes of the output.
_JOINING: Final = ("CONCATENATION", "MAXIMUM", "MINIMUM")
# The converter's calibrator gives the first operand the range of the sum, which is written over it.
_SUMS: Final = ("ADD",)
# How far float16 may have moved a number, as a share of it.
_HALF: Final = 2.0**-11
_RECTIFIERS: Final = ("RELU", "RELU6")
# Operators that make a step of their constant.
_STEPS: Final = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}
# Operators that keep the channels last, and each value as it is.
_PASSING: Final = (
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE"),
    *("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
)
# Each of their outputs is of one channel. The converter leaves steps on the side where they are.
_POOLING: Final = ("MAX_POOL_2D", "AVERAGE_POOL_2D")
_REDUCING: Final = ("MEAN", "REDUCE_MAX")
# Functions that no converter moves a step through.
_ENDING: Final = (
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "ELU", "LOGISTIC", "TANH"),
    *("SOFTMAX", "HARD_SWISH", "GELU"),
)
_ENDS: Final = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "INT4": (-8, 7),
}


def read_weighted(network: Network) -> tuple[Weighted, ...]:
    """The layers in the order of the file. Raises NotReadError."""
    try:
        flat = litert_file(network).flat
        return _Walk(flat).layers()
    except NotModelledError as error:
        raise NotReadError(str(error)) from error


class _Walk:
    """The operators in order: the depth of every tensor, and constants behind DEQUANTIZE."""

    def __init__(self, flat: Flat) -> None:
        self._flat = flat
        self._depth = dict.fromkeys(flat.inputs, 0)
        self._behind: dict[int, int] = {}
        self._joined = _joined(flat, _JOINING)
        self._summed = _joined(flat, _SUMS, self._joined)
        # The number of the layer whose plain output a tensor is, in another order or not.
        self._plain: dict[int, int] = {}
        self._trail = Trail[int]()
        self._lineage = Lineage[int]()
        self._readers = Counter(place for each in flat.operators for place in each.inputs)
        self._found: list[Weighted] = []

    def layers(self) -> tuple[Weighted, ...]:
        """All layers with weights."""
        for operator in self._flat.operators:
            if operator.kind in _OTHER:
                raise NotReadError(f"the weights of {operator.name} are not read")
            first = operator.inputs[0] if operator.inputs else -1
            if operator.kind == "DEQUANTIZE" and self._flat.at(first).constant:
                self._behind[operator.outputs[0]] = first
                continue
            depth = max((self._depth.get(place, 0) for place in operator.inputs), default=0)
            bends = operator.kind in _ENDING
            bends = bends or bool(operator.options.get("fusedActivationFunction"))
            if operator.kind in _KINDS:
                depth += 1
                made = self._trail.put_before(self._layer(operator, depth), first)
                made, out = self._lineage.put_before(made, [first]), operator.outputs[0]
                self._lineage.put_behind(len(self._found), made, out, activation=bends)
                self._found.append(made)
                if not made.relu:
                    self._plain[operator.outputs[0]] = len(self._found) - 1
            else:
                self._lineage.pass_on(operator.inputs, operator.outputs, activation=bends)
                self._follow(operator)
            self._depth.update(dict.fromkeys(operator.outputs, depth))
        return tuple(self._found)

    def _follow(self, operator: Operator) -> None:
        """An operator without weights: a step, an activation, another order of values."""
        given = [place for place in operator.inputs if self._constant(place) is None and place >= 0]
        if not given or not operator.outputs:
            return
        source, out = given[0], operator.outputs[0]
        owner = self._plain.get(source) if self._readers[source] == 1 else None
        if operator.kind in _PASSING:
            self._trail.pass_on(source, out)
            if owner is not None:
                self._plain[out] = owner
            return
        if self._pools(operator):
            if operator.options.get("fusedActivationFunction"):
                self._trail.end([source], out, sure=True)
            else:
                self._trail.pass_on(source, out)
            return
        step = self._step(operator, source)
        if step is not None:
            self._take(operator, source, step, owner)
            return
        found = self._found
        if operator.kind in _RECTIFIERS and found and found[-1].tensor == str(source):
            found[-1] = self._ending_at(found[-1], out, operator.kind == "RELU6", relu=True)
        unread = operator.kind in _STEPS and len(given) < len(operator.inputs)
        self._trail.end(given, out, sure=operator.kind in _ENDING, unread=unread)

    def _pools(self, operator: Operator) -> bool:
        """Does it give the mean or the maximum of places in one channel?"""
        if operator.kind not in _REDUCING:
            return operator.kind in _POOLING
        axes = self._constant(operator.inputs[1])
        return axes is not None and sorted(axes.values().ravel().tolist()) == [1, 2]

    def _take(self, operator: Operator, source: int, step: Step, owner: int | None) -> None:
        """A step on the output of a layer, or on the way to the next."""
        out, activation = operator.outputs[0], operator.options.get("fusedActivationFunction")
        rectified = activation in (RELU, _RELU6)
        made = None if owner is None else behind(self._found[owner], step)
        if owner is not None and made is not None:
            ended = self._ending_at(made, out, activation == _RELU6, relu=rectified)
            self._found[owner] = ended
            if not activation:
                self._plain[out] = owner
        else:
            self._trail.add(source, out, step)
            if activation:
                self._trail.end([out], out, sure=True)

    def _step(self, operator: Operator, source: int) -> Step | None:
        """What an operator with one constant adds, or multiplies by; None where that is one number
        of another dimension than the channels."""
        if operator.kind not in _STEPS or len(operator.inputs) != 2:
            return None
        first = operator.inputs[0] == source
        held = self._constant(operator.inputs[1 if first else 0])
        if held is None or any(count != 1 for count in held.shape[:-1]):
            return None
        if held.type not in ("FLOAT32", "FLOAT16", "INT8", "UINT8", "INT16", "INT32"):
            return None
        values, steps = _reals(held)
        if values is None:
            return None
        rounding = _HALF if held.type == "FLOAT16" else 0.0
        half = np.abs(values) * rounding if steps is None else steps / 2
        return step_of(_STEPS[operator.kind], values, half, first=first)

    def _layer(self, operator: Operator, depth: int) -> Weighted:
        kind = _KINDS[operator.kind]
        held = self._constant(operator.inputs[1])
        if held is None or len(held.shape) != len(_TURNS[kind]):
            raise NotReadError(f"{operator.name} has weights that are computed")
        stored = _stored(held, kind) if held.type in _ENDS else None
        values = _floats(held, kind) if stored is None else stored.values
        bias, steps = self._bias(operator)
        given, result = self._flat.at(operator.inputs[0]), self._flat.at(operator.outputs[0])
        scheme = stored.scheme if stored is not None else held.type.lower()
        activation = operator.options.get("fusedActivationFunction")
        return Weighted(
            operator.name,
            kind,
            values,
            tuple(held.shape[place] for place in _TURNS[kind][1:]),
            scheme,
            depth,
            stored,
            bias,
            steps,
            given=codes_of(given),
            result=self._own_codes(result, relu=activation in (RELU, _RELU6)),
            relu=activation in (RELU, _RELU6),
            capped=activation == _RELU6,
            tied=steps is not None,
            tensor=str(operator.outputs[0]),
        )

    def _ending_at(self, layer: Weighted, out: int, capped: bool, *, relu: bool) -> Weighted:
        """The layer with its output in another tensor, behind a ReLU or not."""
        return replace(
            layer,
            relu=relu,
            capped=capped,
            result=self._own_codes(self._flat.at(out), relu=relu),
            tensor=str(out),
        )

    def _own_codes(self, tensor: Tensor, *, relu: bool) -> Codes | None:
        """Its codes, None where values of others have a say in them."""
        others = self._joined | self._summed if relu else self._joined
        return None if tensor.number in others else codes_of(tensor)

    def _constant(self, place: int) -> Tensor | None:
        """The constant that an operator reads, behind a DEQUANTIZE or not."""
        found = self._flat.at(self._behind.get(place, place))
        return found if found.constant else None

    def _bias(self, operator: Operator) -> tuple[Doubles | None, Doubles | None]:
        """The bias as reals, and its scales where it is integer."""
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return None, None
        held = self._constant(operator.inputs[2])
        if held is None:
            raise NotReadError(f"{operator.name} has a bias that is computed")
        return _reals(held)


def _joined(flat: Flat, kinds: tuple[str, ...], others: Collection[int] = ()) -> set[int]:
    """The tensors that operators of these kinds make one of, and that have its codes, as they are
    or passed on without weights; where the codes of that one have changed since, as those of the
    tensors `others`, whatever their codes are."""
    found: set[int] = set()
    for operator in reversed(flat.operators):
        given = [flat.at(place) for place in operator.inputs if place >= 0]
        values = [each for each in given if not each.constant]
        weighted = any(each.constant and each.scales is not None for each in given)
        ends = operator.kind in kinds and len(values) > 1
        if ends or (operator.outputs[0] in found and not weighted):
            out = flat.at(operator.outputs[0])
            changed = ends and out.number in others
            found.update(each.number for each in values if changed or _alike(each, out))
    return found


def _alike(one: Tensor, other: Tensor) -> bool:
    """Do two activations have the same scale and zero point?"""
    codes, others = codes_of(one), codes_of(other)
    if codes is None or others is None:
        return False
    return (codes.scale, codes.zero, codes.least) == (others.scale, others.zero, others.least)


def _reals(held: Tensor) -> tuple[Doubles | None, Doubles | None]:
    """A constant as reals, and the scale of each where it is integer; None where it has none."""
    values = held.values(every=True).astype(np.float64).ravel()
    if held.type in ("FLOAT32", "FLOAT16"):
        return values, None
    if held.scales is None or len(held.scales) not in (1, len(values)):
        return None, None
    steps = np.broadcast_to(held.scales.astype(np.float64), values.shape)
    zeros = np.zeros(1) if held.zeros is None else held.zeros.astype(np.float64)
    return (values - zeros) * steps, steps


def _floats(held: Tensor, kind: str) -> Doubles:
    """Float weights (out, fan)."""
    turned = held.values().astype(np.float64).transpose(_TURNS[kind])
    return turned.reshape(len(turned), -1)


def _stored(held: Tensor, kind: str) -> Stored:
    """Integer weights with their scales."""
    if held.scales is None or held.odd:
        raise NotReadError(f"tensor {held.number} {held.odd or 'has no scale'}")
    zeros = held.zeros if held.zeros is not None else np.zeros(len(held.scales), np.int64)
    return stored_of(
        _integers(held),
        held.scales.astype(np.float64),
        zeros,
        held.dimension,
        _ENDS[held.type],
        held.type.lower(),
        _TURNS[kind],
    )


def _integers(held: Tensor) -> Ints:
    """The codes of a constant; two of 4 bits share a byte, the low half first."""
    if held.type != "INT4":
        return held.values().astype(np.int64)
    count = int(np.prod(held.shape))
    if held.data is None or len(held.data) != (count + 1) // 2:
        raise NotReadError(f"tensor {held.number} does not hold 4 bits a weight")
    packed = np.frombuffer(held.data, np.uint8).astype(np.int64)
    halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count]
    codes: Ints = np.where(halves > 7, halves - 16, halves).reshape(held.shape)
    return codes


def codes_of(tensor: Tensor) -> Codes | None:
    """The codes of an activation, None for floats."""
    if tensor.type not in _ENDS or tensor.scales is None or len(tensor.scales) != 1:
        return None
    zero = 0 if tensor.zeros is None else int(tensor.zeros[0])
    return Codes(str(tensor.number), float(tensor.scales[0]), zero, *_ENDS[tensor.type])
