"""LiteRT's int8 SOFTMAX, bit for bit: a table of float32 exponentials, or gemmlowp's fixed point on
`reference`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from relrob.domain.arrays import Floats, Ints
from relrob.networks.litert.layers import Grid
from relrob.networks.litert.requantise import multipliers

Integers = Ints | np.int64
# The largest number of Q0.31, which stands for 1.
_ONE: Final = 2**31 - 1
# Integer bits of scaled differences (Q5.26).
_DIFFERENCE_BITS: Final = 5
# Integer bits of the sum of exponentials (Q12.19).
_SUM_BITS: Final = 12
# exp(-2^k) in Q0.31 for k = -2 .. 4
_POWERS: Final = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def int8_softmax(given: Grid, runtime: str) -> Callable[[Floats], Floats]:
    """int8 rows (n, classes) to int8 rows with scale 1/256 and zero point -128; integers as
    float32."""
    return _fixed(given) if runtime == "reference" else _tabled(given)


def _tabled(given: Grid) -> Callable[[Floats], Floats]:
    """The softmax from a float32 table of exp for 256 differences: a float32 sum in order, one
    reciprocal, halves away from zero."""
    step = -given.scale32
    table = np.array(
        [math.exp(float(step * np.float32(difference))) for difference in range(256)], np.float32
    )

    def run(values: Floats) -> Floats:
        powers = table[(values.max(axis=1, keepdims=True) - values).astype(np.intp)]
        total = np.zeros(len(values), np.float32)
        for column in powers.T:
            total = total + column
        shares = powers * (np.float32(1) / (total * np.float32(1 / 256)))[:, None]
        levels = np.floor(shares.astype(np.float64) + 0.5) - 128
        return np.asarray(np.clip(levels, -128, 127), np.float32)

    return run


def _fixed(given: Grid) -> Callable[[Floats], Floats]:
    """The softmax in gemmlowp's fixed point, int64 here."""
    scale = multipliers(np.array([min(given.scale * 2.0 ** (31 - _DIFFERENCE_BITS), 2.0**31 - 1)]))
    left = int(scale.exponent[0])
    radius = math.floor((2**_DIFFERENCE_BITS - 1) * 2.0 ** (31 - _DIFFERENCE_BITS - left))
    differences = np.arange(-255, 1, dtype=np.int64)
    seen = differences >= -radius
    scaled = _product(np.where(seen, differences, 0) << left, scale.factor)
    powers = np.where(seen, exponential(scaled), 0)
    parts = _divided(powers, np.int64(_SUM_BITS))

    def run(values: Floats) -> Floats:
        places = (values - values.max(axis=1, keepdims=True)).astype(np.intp) + 255
        share, bits = reciprocal(parts[places].sum(axis=1))
        levels = _divided(_product(share[:, None], powers[places]), (bits + 31 - 8)[:, None]) - 128
        return np.asarray(np.where(seen[places], np.clip(levels, -128, 127), -128), np.float32)

    return run


def _product(a: Integers, b: Integers) -> Ints:
    """Q0.31 product with rounding, halves away from zero (gemmlowp:
    SaturatingRoundingDoublingHighMul)."""
    product = np.multiply(a, b)
    total = product + np.where(product >= 0, 2**30, 1 - 2**30)
    return np.asarray(np.sign(total) * (np.abs(total) >> 31))


def _divided(values: Ints, bits: Integers) -> Ints:
    """values / 2^bits for values >= 0, halves up (gemmlowp: RoundingDivideByPOT)."""
    mask = (np.int64(1) << bits) - 1
    return np.asarray((values >> bits) + ((values & mask) > (mask >> 1)))


def exponential(values: Ints) -> Ints:
    """exp of Q5.26 values <= 0 in Q0.31 (gemmlowp: exp_on_negative_values).

    >>> [round(int(exponential(np.array([-(2**26)]))[0]) / 2**31, 5), round(math.exp(-1), 5)]
    [0.36788, 0.36788]
    """
    quarter = 1 << 24
    rest = (values & (quarter - 1)) - quarter
    result = _near_zero(rest << _DIFFERENCE_BITS)
    for exponent, power in zip(range(-2, 5), _POWERS, strict=True):
        bit = 1 << (26 + exponent)
        result = np.where((rest - values) & bit, _product(result, np.int64(power)), result)
    return np.where(values == 0, _ONE, result)


def _near_zero(values: Ints) -> Ints:
    """exp on [-1/4, 0) in Q0.31: a Taylor polynomial around -1/8."""
    # exp(-1/8), 1/3.
    base, third = np.int64(1895147668), np.int64(715827883)
    x = values + (1 << 28)
    square = _product(x, x)
    cube, fourth = _product(square, x), _product(square, square)
    tail = _divided(_product(_divided(fourth, np.int64(2)) + cube, third) + square, np.int64(1))
    return base + _product(base, x + tail)


def reciprocal(sums: Ints) -> tuple[Ints, Ints]:
    """1 / sums of Q12.19 values >= 1: a Q0.31 value and the bits to shift it right by (gemmlowp:
    GetReciprocal)."""
    zeros = 32 - np.frexp(sums.astype(np.float64))[1].astype(np.int64)
    half = (sums << zeros) >> 1
    # 48/17 - 32/17 x in Q2.29.
    guess = 1515870810 + _product(half, np.int64(-1010580540))
    for _ in range(3):
        guess = guess + (_product(guess, 2**29 - _product(half, guess)) << 2)
    return np.minimum(guess << 1, _ONE), _SUM_BITS - zeros
