"""A chain of operators (reshape, scale, dense, ReLU, softmax) as a `Dense` value: the file's own
layers, or a model of them.

Steps on constants before or after a dense layer are modelled as what they are. For inputs h in [0,
magnitude] a step v * a + c is done in some float32 roundings, each of which costs at most u times
the step's majorant M(h) = A h + C, formed with absolute constants. By induction k roundings cost
((1 + u)^k - 1) M(h), whatever their order, and the layer behind them multiplies each term by (1 +
u)^(n + 2 + k) at most. A layer is hence real weights W = diag(a) W', a real bias, k more roundings,
and as slack what the majorant of its constant terms exceeds |bias|. Two layers in a row are one,
whose |W1| |W2| exceeds |W1 W2|: slack too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Dense, Layer
from relrob.domain.rounding import TERMS, gamma
from relrob.errors import NetworkError, ShapeError
from relrob.networks.feed import ROUNDINGS, Entry

Array = NDArray[Any]

# Constants beyond it, and values that may get beyond the second, are not modelled: no step then
# comes near float32's ends.
_LARGE: Final = 2.0**60
_LARGEST: Final = 2.0**100
# More than a step loses where subnormal numbers count as 0, those among its constants too, a value
# of at most 1.
_LOST: Final = 2.0**-100
# More than float64 loses in a few products here, or float32 in a step.
_LOOSE: Final = 1 + 2.0**-16
# Roundings that cover those of float64, and constants that a runtime multiplies together itself.
_SPARE: Final = 2


class NotDenseError(Exception):
    """This chain is not a float MLP that we can read; the file may still run as a black box. Never
    leaves this package."""


@dataclass(frozen=True, eq=False)
class _Steps:
    """A value v = h * scale + shift of inputs h, element by element, after `roundings` float32
    roundings.

    `size`: the majorant's constant, at least |shift|; `magnitude`: at least |v|, |h|, and every
    value on the way; `lost`: by underflow.
    """

    scale: Doubles
    shift: Doubles
    size: Doubles
    magnitude: Doubles
    lost: Doubles
    roundings: int = 0

    def then(self, scale: Doubles, shift: Doubles, size: Doubles, roundings: int) -> _Steps:
        """v * scale + shift."""
        grown = np.maximum(np.abs(scale), 1.0)
        return _Steps(
            self.scale * scale,
            self.shift * scale + shift,
            self.size * np.abs(scale) + size,
            self.magnitude * grown * _LOOSE + size,
            self.lost * grown * _LOOSE + _LOST * (1 + self.magnitude * grown),
            self.roundings + roundings,
        )


def _nothing(magnitude: Doubles) -> _Steps:
    """No steps on inputs in [0, magnitude]."""
    zeros = np.zeros(magnitude.shape)
    return _Steps(np.ones(magnitude.shape), zeros, zeros, np.maximum(magnitude, 1.0), zeros + _LOST)


@dataclass(frozen=True, eq=False)
class _Linear:
    """A layer under construction, in float64; `steps`: of its outputs, whose `size` and `shift` are
    majorant and bias.

    `given` (n_in,): the largest inputs h; `extra`: roundings more than a plain layer's. A plain one
    has none, and no `modelled`.
    """

    weights: Doubles
    steps: _Steps
    given: Doubles
    extra: int = 0
    modelled: bool = False
    relu: bool = False

    def magnitude(self) -> Doubles:
        """What its outputs do not exceed."""
        grown = gamma(len(self.weights) + 2 + self.extra + self.steps.roundings + _SPARE)
        return (self.given @ np.abs(self.weights) + self.steps.size) * (
            1 + grown
        ) * _LOOSE + self.steps.lost

    def made(self) -> Layer:
        """The value. Raises NotDenseError where it cannot be modelled."""
        bias = self.steps.shift
        if not self.modelled:
            return Layer(self.weights.astype(np.float32), bias.astype(np.float32), self.relu)
        extra = self.extra + self.steps.roundings + _SPARE
        terms = len(self.weights) + 2 + extra
        if terms >= TERMS:
            raise NotDenseError("more inputs than errors of float32 are known for")
        slack = (
            gamma(terms) * (np.maximum(self.steps.size - np.abs(bias), 0.0) + _LOST)
            + self.steps.lost
        )
        return Layer(
            cast(Floats, self.weights), cast(Floats, bias), self.relu, extra, slack * _LOOSE
        )


@dataclass
class OperatorChain:
    """Collects the operators of one chain, in order, from an input of shape `dims` (no batch
    dimension) with values in [0, 1].

    A layer without steps keeps its float32 weights to the bit. `folded` tells whether the chain
    does more than plain dense layers, so that the result is a model of it. Each method raises
    NotDenseError for what an MLP cannot hold, NetworkError or ShapeError for what no network can.

    `entry`: steps before the chain, (scale, shift) of each value in the order of the input, flat.
    """

    dims: tuple[int, ...]
    entry: Entry = ()
    folded: bool = field(default=False, init=False)
    _pixels: Ints = field(init=False)
    _value: _Steps = field(init=False)
    _layers: list[_Linear] = field(default_factory=list, init=False)
    _softmax: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._pixels = np.arange(prod(self.dims), dtype=np.int64).reshape(self.dims)
        self._value = _nothing(np.ones(self.dims))
        for scale, shift in self.entry:
            offset = shift.reshape(self.dims)
            self.affine(scale.reshape(self.dims), offset, np.abs(offset), ROUNDINGS)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the current value, no batch dimension."""
        return self._value.scale.shape

    def reshape(self, dims: tuple[int, ...]) -> None:
        """A new shape in the same order; one dimension may be -1."""
        try:
            self._view(lambda array: array.reshape(dims))
        except ValueError as error:
            raise ShapeError(
                f"a reshape from {self.shape} to {dims}", "as many values after as before"
            ) from error

    def transpose(self, axes: tuple[int, ...]) -> None:
        """Axes in a new order, counted from 0 without the batch."""
        if sorted(axes) != list(range(len(self.shape))):
            raise ShapeError(f"a transpose of {self.shape} by {axes}", "a permutation of its axes")
        self._view(lambda array: array.transpose(axes))

    def affine(
        self,
        scale: Array | float = 1.0,
        shift: Array | float = 0.0,
        size: Array | float | None = None,
        roundings: int = 16,
    ) -> None:
        """value * scale + shift over the reals, broadcast to the current shape; the file does it in
        up to `roundings` roundings.

        `size`: sum of the magnitudes of the constant terms that make `shift`, itself when None. A
        scale of 1 without `size` stands for the addition of exactly `shift`: the bias of a layer
        that has none, or nothing at all.
        """
        self._no_softmax("a scale or an offset")
        parts = (scale, shift, np.abs(shift) if size is None else size)
        try:
            factor, offset, most = (
                np.broadcast_to(np.asarray(a, np.float64), self.shape) for a in parts
            )
        except ValueError as error:
            raise NotDenseError(
                "a constant that is larger than the value it is applied to"
            ) from error
        if not all(bool((np.abs(part) <= _LARGE).all()) for part in (factor, offset, most)):
            raise NotDenseError(
                "a constant of a normalisation that is NaN, infinite or beyond 2^60"
            )
        sums = size is None and bool((factor == 1).all())
        if sums and not offset.any():
            return
        last = self._layers[-1] if self._layers else None
        if last is None or last.relu:
            self._value = self._modelled(
                self._value.then(factor, offset, np.maximum(most, np.abs(offset)), roundings)
            )
            return
        factor, offset, most = (
            factor.reshape(-1),
            offset.reshape(-1),
            np.maximum(most, np.abs(offset)).reshape(-1),
        )
        plain = (
            not last.modelled
            and not last.steps.shift.any()
            and np.array_equal(offset, offset.astype(np.float32))
        )
        steps = last.steps.then(factor, offset, most, 0 if sums and plain else roundings)
        self._layers[-1] = replace(
            last, weights=last.weights * factor, steps=steps, modelled=not (sums and plain)
        )
        self._modelled(steps, self._layers[-1].modelled)

    def dense(self, weights: Array, bias: Array) -> None:
        """A dense layer: `weights` (n_in, n_out), `bias` (n_out,)."""
        self._no_softmax("a dense layer")
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise NetworkError(
                f"a dense layer has weights {weights.shape} and bias {bias.shape}",
                "(n_in, n_out), (n_out,)",
            )
        if len(self.shape) != 1:
            raise NotDenseError(f"a dense layer over the last axis of {self.shape}")
        if self.shape[0] != weights.shape[0]:
            raise ShapeError(
                f"a dense layer of {weights.shape[0]} inputs is fed {self.shape[0]} values",
                "equal numbers",
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise NetworkError(
                "a dense layer has NaN or infinite weights",
                "finite values",
                "train or export again",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            self._append(weights.astype(np.float64), bias.astype(np.float64))

    def relu(self) -> None:
        """max(value, 0)."""
        self._no_softmax("a ReLU")
        if not self._layers:
            raise NotDenseError("a ReLU before the first dense layer")
        self._no_steps()
        last = self._layers[-1]
        if not last.relu:
            self._layers[-1] = replace(last, relu=True)
            with np.errstate(over="ignore", invalid="ignore"):
                self._value = _nothing(last.magnitude().reshape(self.shape))

    def softmax(self) -> None:
        """The softmax over all the values; the last operator but for reshapes."""
        self._no_softmax("a second softmax")
        if not self._layers or len(self.shape) != 1:
            raise NotDenseError("a softmax that is not over a dense layer's outputs")
        self._softmax = True

    def sigmoid(self) -> None:
        """The logistic function of the one value: the softmax over 0 and it."""
        if self.shape != (1,):
            raise NotDenseError("a sigmoid over several values")
        self.softmax()

    def finish(self) -> Dense:
        """The network, rows in the order of the chain's own input. Raises NotDenseError when it
        does not end in logits."""
        if not self._layers:
            raise NotDenseError("no dense layer")
        self._no_steps()
        if self._layers[-1].relu:
            raise NotDenseError("a ReLU after the last dense layer")
        first = self._layers[0]
        rows = np.zeros_like(first.weights)
        rows[self._pixels.reshape(-1)] = first.weights
        layers = (layer.made() for layer in (replace(first, weights=rows), *self._layers[1:]))
        return Dense(tuple(layers), softmax=self._softmax)

    def _append(self, weights: Doubles, bias: Doubles) -> None:
        """Add a layer to the value; two without a ReLU between them are one."""
        size, value = np.abs(weights), self._value
        last = self._layers[-1] if self._layers else None
        through = last is not None and not last.relu
        if last is not None and through:
            value = last.steps
            value = replace(value, magnitude=np.maximum(value.magnitude, last.magnitude()))
        steps = _Steps(
            np.ones(len(bias)),
            bias + value.shift @ weights,
            np.abs(bias) + value.size @ size,
            np.maximum((value.magnitude @ size + np.abs(bias)) * _LOOSE, 1.0),
            (value.lost @ size) * _LOOSE
            + _LOST * (len(size) + value.magnitude.sum() + size.sum(axis=0)),
        )
        if last is not None and through:
            product, whole = last.weights @ weights, np.abs(last.weights) @ size
            excess = last.given @ np.maximum(whole - np.abs(product), 0.0)
            extra = last.extra + last.steps.roundings + len(size) + 2 + _SPARE
            steps = replace(steps, size=steps.size + excess)
            made = _Linear(product, steps, last.given, extra, modelled=True)
            self._layers.pop()
        else:
            moved = value.roundings > 0
            rows, extra = value.scale[:, None] * weights, value.roundings
            made = _Linear(rows, steps, self._given(), extra, modelled=moved)
        self._modelled(steps, made.modelled)
        self._layers.append(made)
        self._value = _nothing(np.ones(len(bias)))

    def _given(self) -> Doubles:
        """The largest inputs of the layer to come, in the order of its rows."""
        return self._layers[-1].magnitude() if self._layers else np.ones(self._value.scale.size)

    def _modelled(self, steps: _Steps, modelled: bool = True) -> _Steps:
        """The same, if values keep away from float32's ends. Raises NotDenseError otherwise."""
        if modelled:
            self.folded = True
            if not bool((steps.magnitude < _LARGEST).all()):
                raise NotDenseError(
                    "values of more than plain dense layers that may get beyond 2^100"
                )
        return steps

    def _no_steps(self) -> None:
        """Steps after a ReLU are a layer of their own, which MLPs here lack."""
        if self._layers and self._value.roundings:
            raise NotDenseError(
                "a scale or an offset between a ReLU and the next activation or the end"
            )

    def _view(self, change: Any) -> None:
        """Apply a change of shape or order to all that follows the value."""
        after = bool(self._layers)
        order = change(np.arange(self._value.scale.size).reshape(self.shape))
        if after and not np.array_equal(order.reshape(-1), np.arange(self._value.scale.size)):
            raise NotDenseError("a transpose after a dense layer")
        names = ("scale", "shift", "size", "magnitude", "lost")
        self._value = replace(
            self._value, **{name: change(getattr(self._value, name)) for name in names}
        )
        if not after:
            self._pixels = change(self._pixels)

    def _no_softmax(self, what: str) -> None:
        """Nothing but a reshape may follow the softmax."""
        if self._softmax:
            raise NotDenseError(f"{what} after the softmax")
