"""Exact pixels: rationals over one common denominator, and the float32 nearest to each."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.errors import RegionError

_LARGEST_EXPONENT: Final = 400
# After a number of 8-bit levels, of which white has 255.
LEVELS: Final = "lv"


def parse_fraction(text: str, what: str) -> Fraction:
    """A number as typed, exactly: "0.25", "1/3", "20", or in 8-bit levels, "8lv". `what`: the
    option's name.

    Raises RegionError.

    >>> parse_fraction("0.1", "step"), parse_fraction("8lv", "radius")
    (Fraction(1, 10), Fraction(8, 255))
    """
    plain = text.strip().removesuffix(LEVELS)
    unit = 1 if plain == text.strip() else 255
    try:
        if abs(int(plain.lower().partition("e")[2] or 0)) > _LARGEST_EXPONENT:
            raise ValueError("an exponent that would fill the memory")
        return Fraction(plain) / unit
    except (ValueError, ZeroDivisionError) as error:
        raise RegionError(f"{what} {text!r}", "a number such as 20, 0.25, 1/64 or 8lv") from error


def nearest_8bit(step: Fraction) -> Fraction:
    """The step of the 8-bit grid: the multiple of 1/255 nearest to `step`, at least 1/255.

    Half-way cases go up.

    >>> nearest_8bit(Fraction(1, 4))
    Fraction(64, 255)
    """
    return Fraction(max(1, min(255, (step * 255 + Fraction(1, 2)).__floor__())), 255)


def fed(image: NDArray[Any]) -> NDArray[np.float32]:
    """The float32 pixels (d,) that a network is fed for an image of uint8 levels (k/255) or of
    float32."""
    flat = image.ravel()
    return flat if flat.dtype == np.float32 else flat.astype(np.float32) / np.float32(255)


def numerators(image: NDArray[Any], *also: Fraction) -> tuple[list[int], int]:
    """The pixels as integers over one denominator that also measures `also`: (numerators,
    denominator).

    uint8 levels k mean k/255; float32 values mean exactly what they are.
    """
    if image.dtype == np.uint8:
        denominator = lcm(255, *(value.denominator for value in also))
        scale = denominator // 255
        return [int(level) * scale for level in image.ravel()], denominator
    ratios = [float(value).as_integer_ratio() for value in image.ravel()]
    denominator = lcm(*{low for _, low in ratios}, *(value.denominator for value in also))
    return [high * (denominator // low) for high, low in ratios], denominator


def nearest_float32(numerator: int, denominator: int) -> np.float32:
    """The float32 nearest to numerator/denominator, ties to even; no double rounding.

    >>> nearest_float32(1, 3) == np.float32(1) / np.float32(3)
    np.True_
    """
    quotient = numerator / denominator  # the nearest float64
    guess = np.float32(quotient)
    near = float(guess)
    beyond = float(np.nextafter(guess, np.float32(np.inf if quotient > near else -np.inf)))
    # The middle between two float32 is a float64. Only where the quotient is that middle may the
    # exact value lie on its other side.
    if near == quotient or abs(quotient - near) < abs(beyond - quotient):
        return guess
    exact = Fraction(numerator, denominator)
    around = (
        np.nextafter(guess, np.float32(-np.inf)),
        guess,
        np.nextafter(guess, np.float32(np.inf)),
    )
    return min(
        around,
        key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view(np.uint32)) & 1),
    )


def float32_inside(value: Fraction, upwards: bool) -> np.float32:
    """The smallest float32 at or above a value in [0, 1] (`upwards`), or the largest at or below
    it.

    >>> float32_inside(Fraction(1, 3), True) - float32_inside(Fraction(1, 3), False)
    np.float32(2.9802322e-08)
    """
    found = nearest_float32(value.numerator, value.denominator)
    beyond = Fraction(float(found)) < value if upwards else Fraction(float(found)) > value
    return np.nextafter(found, np.float32(2 if upwards else -1)) if beyond else found


def nearest_float32s(values: Iterable[int], denominator: int) -> NDArray[np.float32]:
    """`nearest_float32` of each numerator; equal ones are computed once."""
    values = list(values)
    known = {value: nearest_float32(value, denominator) for value in set(values)}
    return np.array([known[value] for value in values], dtype=np.float32)
