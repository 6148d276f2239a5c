"""From a chain of operators (reshape, scale, dense, ReLU, softmax) to a `Dense` value; scales fold into the weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Ints
from relrob.domain.network import Dense, Layer
from relrob.errors import NetworkError, ShapeError

Array = NDArray[Any]


class NotDenseError(Exception):
    """This chain is not a float MLP that we can read; the file may still run as a black box. Never leaves this package."""


@dataclass
class _Linear:
    """A layer under construction, in float64."""

    weights: Doubles
    bias: Doubles
    relu: bool = False


class Chain:
    """Collects the operators of one chain, in order, from an input of shape `dims` (no batch dimension).

    Scales and offsets are folded in float64; a layer that nothing is folded into keeps its float32 weights to the bit.
    `folded` tells whether anything was, so that the result is the chain's function only up to rounding.
    Each method raises NotDenseError for what an MLP cannot hold, NetworkError or ShapeError for what no network can.
    """

    def __init__(self, dims: tuple[int, ...]) -> None:
        self._pixels: Ints = np.arange(prod(dims), dtype=np.int64).reshape(dims)
        self._inputs = prod(dims)
        self._scale: Doubles = np.ones(dims)
        self._shift: Doubles = np.zeros(dims)
        self._layers: list[_Linear] = []
        self._softmax = False
        self.folded = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the current value, no batch dimension."""
        return self._scale.shape

    def reshape(self, dims: tuple[int, ...]) -> None:
        """A new shape in the same order; one dimension may be -1."""
        try:
            self._view(lambda array: array.reshape(dims))
        except ValueError as error:
            raise ShapeError(f"a reshape from {self.shape} to {dims}", "as many values after as before") from error

    def transpose(self, axes: tuple[int, ...]) -> None:
        """Axes in a new order, counted from 0 without the batch."""
        if sorted(axes) != list(range(len(self.shape))):
            raise ShapeError(f"a transpose of {self.shape} by {axes}", "a permutation of its axes")
        self._view(lambda array: array.transpose(axes))

    def affine(self, scale: Array | float = 1.0, shift: Array | float = 0.0) -> None:
        """value * scale + shift, both broadcast to the current shape."""
        self._no_softmax("a scale or an offset")
        try:
            factor, offset = (np.broadcast_to(np.asarray(a, np.float64), self.shape) for a in (scale, shift))
        except ValueError as error:
            raise NotDenseError("a constant that is larger than the value it is applied to") from error
        if not self._identity() and ((factor != 1).any() or (offset != 0).any()):
            self.folded = True  # two in a row, which the file rounds one by one: x 255 / 255 is not x
        with np.errstate(over="ignore", invalid="ignore"):
            self._scale, self._shift = self._scale * factor, self._shift * factor + offset
        if not (np.isfinite(self._scale).all() and np.isfinite(self._shift).all()):
            raise NetworkError("a normalisation constant is NaN, infinite or too large", "finite float32 values")

    def dense(self, weights: Array, bias: Array) -> None:
        """A dense layer: `weights` (n_in, n_out), `bias` (n_out,)."""
        self._no_softmax("a dense layer")
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise NetworkError(
                f"a dense layer has weights {weights.shape} and bias {bias.shape}", "(n_in, n_out), (n_out,)"
            )
        if len(self.shape) != 1:
            raise NotDenseError(f"a dense layer over the last axis of {self.shape}")
        if self.shape[0] != weights.shape[0]:
            raise ShapeError(
                f"a dense layer of {weights.shape[0]} inputs is fed {self.shape[0]} values", "equal numbers"
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise NetworkError("a dense layer has NaN or infinite weights", "finite values", "train or export again")
        layer = _Linear(weights.astype(np.float64), bias.astype(np.float64))
        if not self._identity():
            self.folded = True
            layer.bias = layer.bias + self._shift @ layer.weights
            layer.weights = self._scale[:, None] * layer.weights
        self._append(layer)
        self._pending(weights.shape[1])

    def relu(self) -> None:
        """max(value, 0)."""
        self._no_softmax("a ReLU")
        if not self._layers:
            raise NotDenseError("a ReLU before the first dense layer")
        self._settle()
        self._layers[-1].relu = True

    def softmax(self) -> None:
        """The softmax over all the values; the last operator but for reshapes."""
        self._no_softmax("a second softmax")
        if not self._layers or len(self.shape) != 1:
            raise NotDenseError("a softmax that is not over a dense layer's outputs")
        self._softmax = True

    def finish(self) -> Dense:
        """The network, rows in the order of the chain's own input. Raises NotDenseError when it does not end in logits."""
        if not self._layers:
            raise NotDenseError("no dense layer")
        self._settle()
        if self._layers[-1].relu:
            raise NotDenseError("a ReLU after the last dense layer")
        first = self._layers[0].weights
        self._layers[0].weights = np.zeros((self._inputs, first.shape[1]))
        self._layers[0].weights[self._pixels.reshape(-1)] = first
        layers = (Layer(_narrow(at.weights), _narrow(at.bias), at.relu) for at in self._layers)
        return Dense(tuple(layers), softmax=self._softmax)

    def _append(self, layer: _Linear) -> None:
        """Add a layer; two without a ReLU between them are one."""
        if self._layers and not self._layers[-1].relu:
            self.folded = True
            before = self._layers.pop()
            layer = _Linear(before.weights @ layer.weights, before.bias @ layer.weights + layer.bias)
        self._layers.append(layer)

    def _settle(self) -> None:
        """Fold a pending scale into the layer before it; after a ReLU that is a layer of its own, which MLPs here lack."""
        if self._identity():
            return
        last = self._layers[-1]
        if last.relu:
            raise NotDenseError("a scale or an offset between a ReLU and the next activation or the end")
        scale, shift = self._scale.reshape(-1), self._shift.reshape(-1)
        self.folded = self.folded or bool((scale != 1).any() or last.bias.any())  # a bias added to none folds nothing
        last.weights, last.bias = last.weights * scale, last.bias * scale + shift
        self._pending(scale.size, self.shape)

    def _pending(self, size: int, shape: tuple[int, ...] | None = None) -> None:
        """No scale waits any more."""
        self._scale, self._shift = np.ones(shape or (size,)), np.zeros(shape or (size,))

    def _identity(self) -> bool:
        """Does no scale or offset wait?"""
        return bool((self._scale == 1).all() and (self._shift == 0).all())

    def _view(self, change: Any) -> None:
        """Apply a change of shape or order to all that follows the value."""
        after = bool(self._layers)
        order = change(np.arange(self._scale.size).reshape(self.shape))
        if after and not np.array_equal(order.reshape(-1), np.arange(self._scale.size)):
            raise NotDenseError("a transpose after a dense layer")
        self._scale, self._shift = change(self._scale), change(self._shift)
        if not after:
            self._pixels = change(self._pixels)

    def _no_softmax(self, what: str) -> None:
        """Nothing but a reshape may follow the softmax."""
        if self._softmax:
            raise NotDenseError(f"{what} after the softmax")


def _narrow(array: Doubles) -> NDArray[np.float32]:
    """float32; NetworkError (through Layer) when folding overflowed."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
