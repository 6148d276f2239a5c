"""Dense networks in fixed point Q(m.n): integer weights and biases, a rounding right shift, a clip.
Exact in integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles, Floats, Ints, read_only
from relrob.domain.network import Dense
from relrob.errors import NetworkError, QuantiseError, ShapeError
from relrob.networks.exact_dot import DOUBLE, SINGLE, ExactDot, Numbers

BATCH: Final = 1024
_MOST_BITS: Final = 32


@dataclass(frozen=True, eq=False)
class FixedLayer:
    """clip((x W + bias 2^bias_shift + 2^(shift-1)) >> shift, low, high), an arithmetic shift:
    halves go up. ReLU: `low` 0.

    `weights` (n_in, n_out), `bias` (n_out,): integers. `shift` 0 rounds nothing. Raises
    NetworkError for what is no such layer.
    """

    weights: Ints
    bias: Ints
    bias_shift: int
    shift: int
    low: int
    high: int

    def __post_init__(self) -> None:
        weights, bias = np.asarray(self.weights), np.asarray(self.bias)
        if (
            weights.ndim != 2
            or bias.shape != weights.shape[1:]
            or {weights.dtype.kind, bias.dtype.kind} - set("iu")
        ):
            raise NetworkError(
                f"a fixed-point layer has weights {weights.dtype} {weights.shape} and bias {bias.dtype} {bias.shape}",
                "integers (n_in, n_out), (n_out,)",
            )
        if not (0 <= self.shift < 63 and 0 <= self.bias_shift < 63 and self.low < self.high):
            raise NetworkError(
                f"a fixed-point layer shifts by {self.shift} (bias {self.bias_shift}) and clips to [{self.low}, {self.high}]",
                "shifts of 0 to 62 bits, a range that is not empty",
            )
        top = max((abs(int(b)) for b in bias), default=0) << self.bias_shift
        if top >= 2**62:
            raise NetworkError(
                f"a fixed-point bias of {top.bit_length()} bits after its shift", "at most 62"
            )
        largest = max(-int(weights.min(initial=0)), int(weights.max(initial=0)))
        if largest >= 2**62:
            raise NetworkError(f"a fixed-point weight of {largest.bit_length()} bits", "at most 62")
        object.__setattr__(self, "weights", read_only(weights.astype(np.int64)))
        object.__setattr__(self, "bias", read_only(bias.astype(np.int64)))

    @property
    def relu(self) -> bool:
        """Does the clip end in a ReLU?"""
        return self.low == 0

    @property
    def offset(self) -> Ints:
        """What is added to x W before the shift: the shifted bias and half a unit, (n_out,)."""
        half = 1 << (self.shift - 1) if self.shift else 0
        return np.asarray((self.bias << self.bias_shift) + half, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class FixedNetwork:
    """Layers over integer codes `low` <= x <= `high`; a pixel p in [0, 1] has the code floor(p
    `pixel_scale` + 1/2), clipped.

    The label is the first index of the largest output. Raises NetworkError when layers do not fit
    or could overflow 64 bits.

    >>> layer = FixedLayer(np.array([[3], [1]]), np.array([1]), bias_shift=1, shift=2, low=-8, high=7)
    >>> FixedNetwork((layer,), 0, 255).evaluate(np.array([[1, 1], [2, 0], [0, 0]])).tolist()
    [[2], [2], [1]]
    """

    layers: tuple[FixedLayer, ...]
    low: int
    high: int
    pixel_scale: int = 255
    dots: tuple[ExactDot, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.layers or self.low >= self.high or self.pixel_scale < 1:
            raise NetworkError(
                f"{len(self.layers)} fixed-point layers over [{self.low}, {self.high}]",
                "one or more, a range",
            )
        dots, low, high, width = [], self.low, self.high, self.inputs
        for layer in self.layers:
            if layer.weights.shape[0] != width:
                raise NetworkError(
                    f"a fixed-point layer of {layer.weights.shape[0]} inputs is fed {width} values"
                )
            dots.append(ExactDot(layer.weights, layer.offset, low, high))
            low, high, width = layer.low, layer.high, layer.weights.shape[1]
        object.__setattr__(self, "dots", tuple(dots))

    @property
    def inputs(self) -> int:
        """Number of input codes."""
        return int(self.layers[0].weights.shape[0])

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weights.shape[1])

    @property
    def runtime(self) -> str:
        """ "fixed": this arithmetic is the network; no other program executes it."""
        return "fixed"

    @property
    def best_batch(self) -> int:
        """Images at a time."""
        return BATCH

    def codes(self, images: Floats) -> Ints:
        """Integer codes (n, d) of float32 images (n, d) in [0, 1]."""
        if images.ndim != 2 or images.shape[1] != self.inputs:
            raise ShapeError(f"images of shape {images.shape}", f"(n, {self.inputs})")
        exact = np.floor(images.astype(np.float64) * self.pixel_scale + 0.5)
        return np.asarray(np.clip(exact, self.low, self.high), dtype=np.int64)

    def evaluate(self, codes: Ints) -> Ints:
        """Integer outputs (n, classes) of integer codes (n, inputs). Raises ShapeError for codes
        out of range."""
        if codes.ndim != 2 or codes.shape[1] != self.inputs or codes.dtype.kind not in "iu":
            raise ShapeError(
                f"codes {codes.dtype} of shape {codes.shape}", f"integers (n, {self.inputs})"
            )
        if codes.size and (codes.min() < self.low or codes.max() > self.high):
            raise ShapeError(
                f"codes from {codes.min()} to {codes.max()}", f"{self.low} to {self.high}"
            )
        outputs = np.empty((len(codes), self.classes), np.int64)
        for start in range(0, len(codes), BATCH):
            values: Numbers = codes[start : start + BATCH].astype(_carrier(self.low, self.high))
            for layer, dot in zip(self.layers, self.dots, strict=True):
                values = _shifted(dot(values), layer)
            outputs[start : start + BATCH] = values
        return outputs

    def outputs(self, images: Floats) -> Floats:
        """The outputs of float32 images (n, d) in [0, 1] as float32 (exact up to 24 bits)."""
        return self.evaluate(self.codes(images)).astype(np.float32)


def _shifted(sums: Numbers, layer: FixedLayer) -> Numbers:
    """The shift and the clip; a power of two times an exact sum is exact, and its floor is the
    arithmetic shift."""
    kind = _carrier(layer.low, layer.high)
    if np.int64 in (sums.dtype, kind):
        whole = sums.astype(np.int64) >> layer.shift
        return np.asarray(np.clip(whole, layer.low, layer.high)).astype(kind)
    values = sums.astype(np.promote_types(sums.dtype, kind), copy=False)
    if layer.shift:
        values *= values.dtype.type(2.0**-layer.shift)
        np.floor(values, out=values)
    np.maximum(values, values.dtype.type(layer.low), out=values)
    np.minimum(values, values.dtype.type(layer.high), out=values)
    return values.astype(kind, copy=False)


def _carrier(low: int, high: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    """The smallest type that holds every integer from `low` to `high`."""
    most = max(abs(low), abs(high))
    return np.float32 if most <= SINGLE else np.float64 if most <= DOUBLE else np.int64


def from_float(
    dense: Dense, *, bits: int, weight_fraction: int, bias_fraction: int, activation_fraction: int,
    input_bits: int = 8, input_fraction: int = 8, pixel_scale: int | None = None,
) -> FixedNetwork:  # fmt: skip
    """A float MLP in fixed point of `bits` bits; `*_fraction`: bits after the point.

    Weights and biases: signed, rounded half away from zero, clipped; hidden activations: unsigned
    (the clip is the ReLU); outputs: signed; inputs: unsigned, `input_bits` wide. `pixel_scale`:
    codes of a white pixel, the largest code by default. Raises QuantiseError when the bits do not
    fit together.
    """
    fractions = (weight_fraction, bias_fraction, activation_fraction, input_fraction)
    if not (
        2 <= bits <= _MOST_BITS
        and 1 <= input_bits <= _MOST_BITS
        and all(0 <= n <= _MOST_BITS for n in fractions)
    ):
        raise QuantiseError(
            f"fixed point of {bits} bits, input {input_bits}",
            f"2 to {_MOST_BITS} bits, fractions too",
        )
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    layers, fraction = [], input_fraction
    for layer in dense.layers:
        total = fraction + weight_fraction
        if total < max(bias_fraction, activation_fraction):
            raise QuantiseError(
                f"a product with {total} bits after the point, a bias with {bias_fraction}, an output with "
                f"{activation_fraction}",
                "products at least as fine as both",
                "more bits in weight_fraction",
            )
        low, high = (0, 2**bits - 1) if layer.relu else (least, most)
        weights = np.clip(away(layer.weights, weight_fraction), least, most).astype(np.int64)
        bias = np.clip(away(layer.bias, bias_fraction), least, most).astype(np.int64)
        layers.append(
            FixedLayer(weights, bias, total - bias_fraction, total - activation_fraction, low, high)
        )
        fraction = activation_fraction
    top = 2**input_bits - 1
    return FixedNetwork(tuple(layers), 0, top, top if pixel_scale is None else pixel_scale)


def away(values: Floats | Doubles, fraction: int) -> Numbers:
    """values 2^fraction to whole numbers, halves away from zero; exact for float32."""
    scaled = values.astype(np.float64) * 2.0**fraction
    return np.asarray(np.copysign(np.floor(np.abs(scaled) + 0.5), scaled))
