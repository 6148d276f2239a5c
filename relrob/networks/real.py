"""A float MLP as a function over the reals, which is the subject of other verifiers.

No runtime computes it. This module evaluates rows in float64 with a running error bound (Higham,
Accuracy and Stability of Numerical Algorithms, Sec. 3.1, with u = 2^-53). A row whose largest
output the bound leaves open is evaluated again in exact integers. Labels and ties are therefore
exact.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Layer, Network
from relrob.errors import NetworkError
from relrob.networks.batches import run_in_batches

_U64: Final = 2.0**-53
# Absolute slack, more than float64 loses where a product is subnormal.
_TINY: Final = 2.0**-1000
# Relative slack, because the bound itself is computed in float64.
_LOOSE: Final = 1 + 2.0**-20
_BITS: Final = 24
_LARGEST: Final = np.finfo(np.float32).max


def open_real(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> RealDense:
    """The evaluator. It is exact: batches and threads change nothing. Raises NetworkError for a
    network without weights."""
    if network.dense is None:
        raise NetworkError(f"{network.path} has no weights that could be read", "a float MLP")
    if not network.dense.plain:
        raise NetworkError(
            f"{network.path} does more than its dense layers", "a float MLP of plain dense layers"
        )
    return RealDense(network)


@final
class RealDense:
    """`network.dense` in real arithmetic. It leaves the softmax out, which changes no label over
    the reals."""

    runtime = "real"
    best_batch = 256

    def __init__(self, network: Network) -> None:
        assert network.dense is not None  # noqa: S101 - open_real saw to it
        self._network, self._layers = network, network.dense.layers
        self._wide = [_Wide(layer) for layer in network.dense.layers]
        self._exact: list[_Exact] | None = None

    def outputs(self, images: Floats) -> Floats:
        """Logits (n, classes), rounded to float32 in their exact order.

        The first largest is the label over the reals. Another output equals it only where the two
        tie. A logit beyond float32 becomes its largest number.
        """
        return run_in_batches(images, self._network, self.best_batch, self._run, None)

    def _run(self, images: Floats) -> Floats:
        """Up to `best_batch` images."""
        found = np.empty((len(images), self._network.classes), np.float32)
        for row, (value, doubt) in enumerate(zip(*self._bounded(images), strict=True)):
            known = _surely_largest(value, doubt)
            found[row] = (
                self._one(images[row])
                if known is None
                else _in_order(value, known, value == value[known])
            )
        return found

    def _bounded(self, images: Floats) -> tuple[Doubles, Doubles]:
        """Outputs (n, classes) in float64, and the most by which they are off. The bound of a row
        that overflows is not finite."""
        values, error = images.astype(np.float64), np.zeros(images.shape)
        with np.errstate(all="ignore"):
            for layer in self._wide:
                terms = (len(layer.weights) + 2) * _U64 * 1.01
                reach = (np.abs(values) + error) @ layer.size + layer.magnitude
                error = (error @ layer.size + terms * reach) * _LOOSE + _TINY * len(layer.weights)
                values = values @ layer.weights + layer.bias
                values = np.maximum(values, 0.0) if layer.relu else values
        return values, error

    def _one(self, image: Floats) -> Floats:
        """One image (d,) in integers."""
        if self._exact is None:
            self._exact = [_Exact(layer) for layer in self._layers]
        values, unit = _whole(image.astype(np.float64))
        for layer in self._exact:
            values, unit = layer.passed(values, unit)
        largest = max(values)
        rounded = np.array([_nearest(value, unit) for value in values])
        return _in_order(rounded, values.tolist().index(largest), values == largest)


class _Wide:
    """A layer in float64, and the magnitudes of its numbers."""

    def __init__(self, layer: Layer) -> None:
        self.weights, self.bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
        self.size, self.magnitude = np.abs(self.weights), np.abs(self.bias)
        self.relu = layer.relu


class _Exact:
    """A layer in integers: weights (n_in, n_out) and bias (n_out,) times powers of two."""

    def __init__(self, layer: Layer) -> None:
        self._weights, self._unit = _whole(layer.weights.astype(np.float64))
        self._bias, self._bias_unit = _whole(layer.bias.astype(np.float64))
        self._relu = layer.relu

    def passed(self, values: NDArray[Any], unit: int) -> tuple[NDArray[Any], int]:
        """Integers (n_in,) in units of 2^unit to integers (n_out,) and their unit."""
        product = unit + self._unit
        least = min(product, self._bias_unit)
        sums = (values @ self._weights) * (1 << (product - least)) + self._bias * (
            1 << (self._bias_unit - least)
        )
        return (np.maximum(sums, 0) if self._relu else sums), least


def _whole(values: Doubles) -> tuple[NDArray[Any], int]:
    """float32 values as Python's integers times 2^unit."""
    mantissa, exponent = np.frexp(values)
    powers = np.where(values == 0, 0, exponent - _BITS).astype(np.int64)
    unit = int(powers[values != 0].min(initial=0))
    whole = np.ldexp(mantissa, _BITS).astype(np.int64).astype(object)
    shifts = np.where(values == 0, 0, powers - unit).astype(object)
    return np.asarray(np.left_shift(whole, shifts)), unit


def _nearest(value: int, unit: int) -> float:
    """value * 2^unit as a float, the largest float32 beyond it."""
    exact = Fraction(value) * Fraction(2) ** unit
    most = Fraction(float(_LARGEST))
    return float(min(max(exact, -most), most))


def _surely_largest(values: Doubles, error: Doubles) -> int | None:
    """The index of the one largest output, if values (classes,) up to `error` tell."""
    first = int(values.argmax())
    lead = values[first] - error[first] - np.delete(values + error, first)
    return first if bool((lead > _LOOSE * _U64 * 4 * np.abs(values).max()).all()) else None


def _in_order(values: Doubles, first: int, equal: NDArray[Any]) -> Floats:
    """The values as float32, with none as large as the one at `first` but those that are `equal` to
    it."""
    with np.errstate(over="ignore"):
        rounded = np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)
        below = np.nextafter(rounded[first], np.float32(-np.inf))
    lower = np.where(~np.asarray(equal, dtype=np.bool_), np.minimum(rounded, below), rounded[first])
    return np.asarray(lower, dtype=np.float32)
