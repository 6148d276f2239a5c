"""An L-infinity ball as a box of the integer codes by which a fixed-point network reads pixels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from relrob.domain.arrays import Ints
from relrob.regions.ball import BallSet
from relrob.regions.exact import nearest_float32


def code_box(ball: BallSet, scale: int, least: int, most: int) -> tuple[Ints, Ints]:
    """Least and largest codes (d,), floor(pixel scale + 1/2) cut to [least, most], of the float32 images in an L-infinity ball.

    Exact: codes are monotone in pixels, and every code between two is that of some float32 between theirs.
    """
    radius, zero, one = ball.region.radius, Fraction(0), Fraction(1)
    lows = [_code(_inside(max(pixel - radius, zero), np.float32(2)), scale) for pixel in ball.exact]
    highs = [_code(_inside(min(pixel + radius, one), np.float32(-1)), scale) for pixel in ball.exact]
    return np.clip(np.array(lows), least, most), np.clip(np.array(highs), least, most)


def _inside(end: Fraction, toward: np.float32) -> Fraction:
    """The float32 next to `end`, or `end` itself, on the side of `toward`."""
    near = nearest_float32(end.numerator, end.denominator)
    beyond = (Fraction(float(near)) < end) if toward > near else (Fraction(float(near)) > end)
    return Fraction(float(np.nextafter(near, toward) if beyond else near))


def _code(pixel: Fraction, scale: int) -> int:
    return (pixel * scale + Fraction(1, 2)).__floor__()
