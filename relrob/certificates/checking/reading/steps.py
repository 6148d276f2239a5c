"""The layers of a float network, collected from its steps in their order.

A step is elementwise arithmetic, a dense layer, a ReLU or a last softmax.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import Deployed, Facts, NoRulesError
from relrob.certificates.checking.reading.linear import Linear, Map, Open, facts_of, linear

Reals = NDArray[np.float64]
# roundings of scale / sqrt(variance + epsilon), times and plus: 1/2 ulp each, 2 of an inverse root
BATCH_NORM: Final = 10


class Steps:
    """Takes the steps of a network in order, for one image of `shape`; `Deployed` comes out."""

    def __init__(self, shape: tuple[int, ...], real: bool = False) -> None:
        self.shape = shape
        self._real = real
        self._places: NDArray[np.int64] | None = np.arange(prod(shape)).reshape(shape)
        self._map = Map.identity(shape)
        self._open: Open | None = None
        self._layers: list[Facts] = []
        self._end = ""
        self._first: NDArray[np.int64] | None = None

    def reshape(self, shape: tuple[int, ...]) -> None:
        """The values of an image in another shape; after a softmax in the same one."""
        if self._end and shape == self.shape:
            return
        self._going()
        if prod(shape) != prod(self.shape) or min(shape, default=1) < 1:
            raise NoRulesError(f"a reshape from {self.shape} to {shape}")
        self._turn(shape, None)

    def transpose(self, axes: tuple[int, ...]) -> None:
        """The axes of an image exchanged (0: the first behind the batch)."""
        self._going()
        if sorted(axes) != list(range(len(self.shape))):
            raise NoRulesError(f"axes {axes} of values of shape {self.shape}")
        if self._places is None and len(axes) > 1:
            raise NoRulesError("a transposition behind a dense layer")
        self._turn(tuple(self.shape[axis] for axis in axes), axes)

    def _turn(self, shape: tuple[int, ...], axes: tuple[int, ...] | None) -> None:
        if self._places is not None:
            self._places = (
                self._places.reshape(shape) if axes is None else self._places.transpose(axes)
            )
        if self._open is None:
            self._map = self._map.turned(shape, axes)
        else:
            self._open.after = self._open.after.turned(shape, axes)
        self.shape = shape

    def multiply(self, by: NDArray[np.generic], roundings: int = 1) -> None:
        """v * by in float32."""
        self._affine().times(self._constant(by), roundings)

    def divide(self, by: NDArray[np.generic], roundings: int = 2) -> None:
        """v / by in float32. (A runtime may take the inverse first: a rounding more.)"""
        numbers = self._constant(by)
        with np.errstate(divide="ignore", over="ignore"):
            self._affine().times(1 / numbers, roundings)

    def add(
        self,
        more: NDArray[np.generic],
        negative: bool = False,
        turned: bool = False,
        roundings: int = 1,
    ) -> None:
        """v + more, or v - more, or (`turned`) more - v, in float32. The first constant added to a
        dense layer is its bias."""
        self._going()
        made = self._open
        plain = roundings == 1 and not (negative or turned)
        if plain and made is not None and made.bias is None and made.after.plain():
            made.bias = self._whole(more).reshape(-1)
            return
        numbers = self._constant(more)
        if turned:
            self._affine().times(np.full(self.shape, -1.0), 0)
        self._affine().plus(-numbers if negative else numbers, roundings)

    def batch_norm(
        self,
        scale: Reals,
        shift: Reals,
        mean: Reals,
        variance: Reals,
        epsilon: float,
        axis: int = -1,
    ) -> None:
        """(v - mean) / sqrt(variance + epsilon) * scale + shift, computed in whatever order."""
        form = [1] * len(self.shape)
        form[axis] = self.shape[axis]
        held = [self._constant(values.reshape(form)) for values in (scale, shift, mean, variance)]
        root = np.sqrt(np.maximum(held[3] + float(np.float32(epsilon)), 0))
        if not (np.all(held[3] >= 0) and np.all(root > 2.0**-40)):
            raise NoRulesError("a batch normalisation of a variance below 0, or that divides by 0")
        self._affine().plus(-held[2], 0)
        self._affine().times(held[0] / root, BATCH_NORM)
        self._affine().plus(held[1], 0)

    def dense(
        self,
        weights: NDArray[np.generic],
        bias: NDArray[np.generic] | None,
        more_terms: int = 2,
        share: Fraction = Fraction(0),
        levels: bool = True,
    ) -> None:
        """x @ weights + bias: weights (n_in, n_out), exact in float64; n_in + `more_terms`
        roundings on the way to an output."""
        self._going()
        if weights.ndim != 2 or self.shape != weights.shape[:1] or 0 in weights.shape:
            raise NoRulesError(
                f"a dense layer of weights {weights.shape} over values of shape {self.shape}"
            )
        width = weights.shape[1]
        held, real = None if bias is None else bias.astype(np.float64), weights.astype(np.float64)
        right = held is None or (held.shape == (width,) and bool(np.isfinite(held).all()))
        if not (right and np.isfinite(real).all()):
            raise NoRulesError(
                "a dense layer whose weights are not finite, or whose bias is not one number an "
                "output"
            )
        before = self._entering(bool(share))
        terms = 0 if self._real else len(weights) + more_terms
        if self._places is not None:
            self._first, self._places = self._places.reshape(-1), None
        self._open = Open(real, held, terms, before, share, levels, Map.identity((width,)))
        self._map = Map.identity((width,))
        self.shape = (width,)

    def _entering(self, quantised: bool) -> Map | Linear:
        """The inputs of the next dense layer: pixels after elementwise steps, or the outputs of a
        layer without a ReLU."""
        made = self._open
        if quantised and not (made is None and self._map.plain()):
            raise NoRulesError("rows that are quantised after other arithmetic")
        if made is None:
            return self._map
        if self._real or made.share:
            raise NoRulesError("two dense layers without a ReLU between them that are not float32")
        return linear(made)

    def relu(self) -> None:
        self._going()
        if self._open is None:
            if self._layers and self._map.plain():
                # A second ReLU changes nothing.
                return
            raise NoRulesError("a ReLU that follows no dense layer")
        self._open.after = self._open.after.turned((prod(self.shape),))
        self._close(True)

    def softmax(self) -> None:
        self._going()
        if self._open is None or len(self.shape) != 1:
            raise NoRulesError("a softmax that follows no dense layer")
        self._end = "float softmax"

    def finish(self, raster: NDArray[np.int64]) -> Deployed:
        """The network; `raster`: for each value that the file reads the pixel of the (H, W, C)
        raster."""
        if self._open is None or len(self.shape) != 1:
            raise NoRulesError("no dense layer at the end")
        self._close(False)
        first = self._layers[0]
        if self._first is None or sorted(self._first.tolist()) != list(range(len(raster))):
            raise NoRulesError("a first layer that does not read every pixel")
        placed = np.empty_like(first.weights)
        placed[raster[self._first]] = first.weights
        layers = (_with_weights(first, placed), *self._layers[1:])
        return Deployed(layers, "logits" if self._real else self._end or "logits")

    @property
    def untouched(self) -> bool:
        """Has nothing happened but reshaping?"""
        return self._open is None and not self._layers and self._map.plain()

    def _going(self) -> None:
        if self._end:
            raise NoRulesError("operators after a softmax")

    def _affine(self) -> Map:
        self._going()
        if self._real:
            raise NoRulesError("real arithmetic of a file that computes between its dense layers")
        return self._map if self._open is None else self._open.after

    def _constant(self, given: NDArray[np.generic]) -> Reals:
        """Numbers for each value, none of them so small that it could count as 0."""
        whole = self._whole(given)
        size = np.abs(whole)
        if not np.all((size == 0) | (size >= 2.0**-126)):
            raise NoRulesError("constants so small that they may count as 0")
        return whole

    def _whole(self, given: NDArray[np.generic]) -> Reals:
        """Float32 numbers that broadcast to the values without enlarging them."""
        try:
            whole = np.broadcast_to(given.astype(np.float64), self.shape)
        except ValueError as error:
            raise NoRulesError(
                f"constants of shape {given.shape} for values of shape {self.shape}"
            ) from error
        if not np.isfinite(whole).all():
            raise NoRulesError("constants that are not finite")
        return whole

    def _close(self, relu: bool) -> None:
        """The open dense layer, with the elementwise steps before and after it, becomes Facts."""
        made = self._open
        if made is None:
            return
        self._layers.append(facts_of(made, relu))
        self._open, self._map = None, Map.identity(self.shape)


def _with_weights(facts: Facts, weights: Reals) -> Facts:
    return Facts(**{**vars(facts), "weights": weights})
