"""The entries of a certificate, read exactly: fractions, pixels, slopes and signs."""

from __future__ import annotations

import re
from fractions import Fraction
from math import isfinite
from typing import Any

import numpy as np

_FRACTION = re.compile(r"[0-9]{1,1000}(/[1-9][0-9]{0,999})?", re.ASCII)


class InvalidError(Exception):
    """A claim of a certificate does not follow; the message names the place."""


def keys(given: Any, names: tuple[str, ...], what: str) -> Any:
    """The mapping, which has exactly these keys."""
    if not isinstance(given, dict) or set(given) != set(names):
        raise InvalidError(f"{what} does not have the entries {', '.join(names)}")
    return given


def fraction(text: Any, what: str) -> Fraction:
    value = Fraction(0)
    if isinstance(text, str) and _FRACTION.fullmatch(text):
        value = Fraction(text)
    if value <= 0 or str(value) != text:
        raise InvalidError(f"{what} {text!r} is not an exact fraction above 0")
    return value


def _unit(value: Fraction) -> Fraction:
    """The distance of float32 numbers around a value in [0, 1]."""
    # 2^(exponent - 1) < value < 2^(exponent + 1).
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    return Fraction(2) ** (max(exponent, -126) - 23)


def nearest(value: Fraction) -> Fraction:
    """The float32 nearest to a value in [0, 1], ties to even."""
    unit = _unit(value)
    return round(value / unit) * unit


def inside(value: Fraction, upwards: bool) -> Fraction:
    """The smallest float32 at or above a value in [0, 1] (`upwards`), or the largest at or below
    it."""
    unit = _unit(value)
    found = (value / unit).__ceil__() if upwards else (value / unit).__floor__()
    return found * unit


def pixels(image: Any) -> tuple[list[Fraction], list[Fraction]]:
    """The exact pixels, and the float32 values that a network is given."""
    keys(image, ("dtype", "hex"), "the image")
    try:
        data = bytes.fromhex(image["hex"])
    except (TypeError, ValueError) as error:
        raise InvalidError("an image that is not in hexadecimal") from error
    if image["dtype"] == "uint8" and data:
        exact = [Fraction(level, 255) for level in data]
        levels = {value: nearest(value) for value in set(exact)}
        return exact, [levels[value] for value in exact]
    if image["dtype"] != "float32" or not data or len(data) % 4:
        raise InvalidError("an image of neither uint8 nor float32 pixels")
    values = np.frombuffer(data, "<f4").tolist()
    if not all(0 <= value <= 1 for value in values):
        raise InvalidError("an image with pixels outside [0, 1]")
    exact = [Fraction(value) for value in values]
    return exact, exact


def number(value: Any, what: str) -> float:
    if type(value) is not float or not isfinite(value):
        raise InvalidError(f"{what} that is no finite number")
    return value


def read_signs(path: Any, betas: Any, layers: int) -> list[dict[int, tuple[int, float]]]:
    """(side, beta) of each neuron whose sign a path fixes, one mapping a hidden layer; `path`:
    [layer, neuron, 1 or -1], ...

    Raises:
        InvalidError: a layer that does not exist, a neuron with two signs, or a beta below 0.
    """
    sides = [dict[int, int]() for _ in range(layers)]
    for layer, neuron, side in path:
        if not 0 <= layer < layers or sides[layer].setdefault(neuron, side) != side:
            raise InvalidError("a sign of a layer that is none, or two of one neuron")
    if (
        not isinstance(betas, list)
        or len(betas) != layers
        or not all(isinstance(each, list) for each in betas)
    ):
        raise InvalidError("pulls that are not a list for each hidden layer")
    signs = []
    for known, given in zip(sides, betas, strict=True):
        if len(given) != len(known) or not all(number(beta, "a pull") >= 0 for beta in given):
            raise InvalidError(
                "pulls that are not one number of at least 0 for each neuron whose sign is fixed"
            )
        signs.append({n: (known[n], beta) for n, beta in zip(sorted(known), given, strict=True)})
    return signs


def read_slopes(given: Any) -> list[dict[int, tuple[float, float]]]:
    """(upper slope, lower slope) of each neuron that has them, one mapping a hidden layer.

    Raises:
        InvalidError: slopes outside [0, 1], or neurons that are not in ascending order.
    """
    slopes = []
    for each in given if isinstance(given, list) else [None]:
        lines = keys(each, ("neurons", "above", "below"), "the slopes of a layer")
        neurons, above, below = lines["neurons"], lines["above"], lines["below"]
        if not all(
            isinstance(values, list) and len(values) == len(neurons)
            for values in (neurons, above, below)
        ):
            raise InvalidError("slopes that are not two for each neuron")
        if not all(type(n) is int for n in neurons) or neurons != sorted(set(neurons)):
            raise InvalidError("neurons that are not numbers in ascending order")
        pairs = [
            (number(up, "a slope"), number(low, "a slope"))
            for up, low in zip(above, below, strict=True)
        ]
        if not all(0 <= value <= 1 for pair in pairs for value in pair):
            raise InvalidError("a slope outside [0, 1]")
        slopes.append(dict(zip(neurons, pairs, strict=True)))
    return slopes
