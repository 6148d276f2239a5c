"""The two lines that enclose a hidden neuron f(P) = min(max(P, 0), cap) on an interval.

A line of any slope encloses f once its intercept is the extreme distance of f from it. That extreme
is attained at an end of the interval, at 0 or at cap, where f bends.
Source: docs/certificates.md, "A bound leaf", step 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a hidden layer; every list has one ball a neuron.

    upper_slope * P + upper_intercept >= f(P) >= lower_slope * P + lower_intercept, and
    |P - p| <= error. In the first layer p is the real pre-activation of the inputs as they are. In
    a later layer it is that of the inputs which quantising moved, each by at most `moved` (one ball
    an input).
    """

    upper_slope: list[Any]
    upper_intercept: list[Any]
    lower_slope: list[Any]
    lower_intercept: list[Any]
    error: list[Any]
    moved: list[Any]

    def above(self, constant: list[Any]) -> list[Any]:
        """The upper line of each neuron at `constant`, the part of p that does not vary, with the
        error of P."""
        return [
            i + s * (e + c)
            for i, s, e, c in zip(
                self.upper_intercept, self.upper_slope, self.error, constant, strict=True
            )
        ]

    def below(self, constant: list[Any]) -> list[Any]:
        """The lower line of each neuron at `constant`, with the error of P."""
        return [
            i + s * (c - e)
            for i, s, e, c in zip(
                self.lower_intercept, self.lower_slope, self.error, constant, strict=True
            )
        ]


def lines_of(low: Any, high: Any, cap: Any, slopes: tuple[float, float]) -> tuple[Any, ...]:
    """(upper slope, upper intercept, lower slope, lower intercept) of a neuron with P in
    [low, high], two exact numbers; `slopes`: (upper, lower), any values; `cap`: None for no end."""
    ends = [low, high, *(at for at in (arb(0), cap) if at is not None and low < at < high)]
    values = [passed(at, cap) for at in ends]
    upper, lower = arb(slopes[0]), arb(slopes[1])
    over = max((p - upper * at).upper() for p, at in zip(values, ends, strict=True))
    under = min((p - lower * at).lower() for p, at in zip(values, ends, strict=True))
    return upper, over, lower, under


def passed(value: Any, cap: Any) -> Any:
    """min(max(value, 0), cap) of an exact number; `cap`: None for no end."""
    value = value if value > 0 else arb(0)
    return value if cap is None or value < cap else cap
