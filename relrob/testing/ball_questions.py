"""Balls and lattices around an image, and their points.

All points are listed where they are few; else samples and corners stand for them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense
from relrob.domain.region import Ball, Lattice, Norm
from relrob.testing.questions import (
    Question,
    drawn_moves,
    exact,
    float32_points,
    inside,
    lattice_points,
    lifted,
    nearest,
    wide_points,
)

RADII: Final = ("1/1024", "1/255", "4/255", "1/32", "1/10", "1/4")
# Points of a region that are run one by one.
MOST: Final = 900


def steps_question(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    """A ball of a few float32 steps on 2 to 4 pixels, all of whose points are listed. Around the
    image with dark pixels lifted."""
    base = lifted(image)
    norm = Norm(str(rng.choice(["linf", "l1", "l2"])))
    # Below 1/4 there are more steps.
    least = float(base.min()) <= 0.25
    most = {2: 6, 3: 2, 4: 1}[len(base)] if norm is Norm.LINF else {2: 9, 3: 4, 4: 2}[len(base)]
    radius = Fraction(1 if least else int(rng.integers(1, most + 1)), 1 << 24)
    if rng.random() < 0.3:
        radius *= Fraction(int(rng.integers(3, 8)), 4)
    region = Ball(norm, radius)
    points = float32_points(base, region)
    while len(points) > MOST:
        region = Ball(norm, region.radius / 2)
        points = float32_points(base, region)
    return Question(base.reshape(image.shape), region, points, True)


def lattice_question(rng: np.random.Generator, image: NDArray[Any], step: Fraction) -> Question:
    """A lattice of one to four steps, all of whose points are listed."""
    steps = int(rng.integers(1, 5 if image.size <= 4 else 3 if image.size <= 12 else 2))
    region = Lattice(step * steps + step * int(rng.integers(0, 2)) / 16, step)
    points = lattice_points(image, region, MOST + 1)
    # Near black and white a step is cut, and costs little.
    while len(points) > MOST:
        region = Lattice(region.step / 2, region.step / 2)
        points = lattice_points(image, region, MOST + 1)
    return Question(image, region, points, True)


def wide_question(
    rng: np.random.Generator, image: NDArray[Any], dense: Dense | None = None
) -> Question:
    """A wide ball: samples, corners, and the images to which the gradients of a network point."""
    norm = Norm(str(rng.choice(["linf", "l1", "l2", "l0"])))
    radius = Fraction(str(rng.choice(RADII))) * (1 if norm is Norm.LINF else 2)
    region = Ball(norm, Fraction(int(rng.integers(1, 4))) if norm is Norm.L0 else radius)
    base = np.array([nearest(value) for value in exact(image)], np.float32)
    points = [wide_points(rng, base, region, drawn_moves(rng, len(base)))]
    ways = [] if dense is None else [way for at in points[0][:4] for way in _ways(dense, at)]
    corners = [
        corner
        for way in ways
        for corner in _corners(base, region, way)
        if inside(corner, base, region)
    ]
    return Question(image, region, np.array([*points[0], *corners], np.float32), False)


def _ways(dense: Dense, at: Floats) -> list[Doubles]:
    """The growth of each output less each other one with each pixel (d,), at an image (d,)."""
    with np.errstate(all="ignore"):
        values, slopes = at.astype(np.float64), np.eye(len(at))
        for layer in dense.layers:
            values = values @ layer.weights + layer.bias
            slopes = slopes @ layer.weights
            if layer.relu:
                slopes = slopes * (values > 0)
                values = np.maximum(values, 0)
        classes = range(slopes.shape[1])
        ways = [
            slopes[:, rival] - slopes[:, label]
            for label in classes
            for rival in classes
            if rival != label
        ]
    return [way for way in ways if np.isfinite(way).all()]


def _corners(base: Floats, ball: Ball, way: Doubles) -> list[Floats]:
    """The furthest point of a ball in a direction (d,), nearly: for L-infinity its very corner, for
    others a hair within."""
    radius, wide = float(ball.radius), base.astype(np.float64)
    room = np.where(way > 0, 1 - wide, wide)
    if ball.norm is Norm.LINF:
        ends = [_end(value, ball.radius, gain > 0) for value, gain in zip(base, way, strict=True)]
        return [np.where(way == 0, base, np.array(ends, np.float32)).astype(np.float32)]
    if ball.norm is Norm.L2:
        length = float(np.sqrt((way * way).sum()))
        moves = radius * np.abs(way) / (length or 1.0)
    else:
        order = np.argsort(-np.abs(way) * (room if ball.norm is Norm.L0 else 1.0), kind="stable")
        moves = np.zeros(len(base))
        for pixel in order[: int(ball.radius) if ball.norm is Norm.L0 else len(base)]:
            moves[pixel] = (
                room[pixel]
                if ball.norm is Norm.L0
                else min(room[pixel], max(radius - moves.sum(), 0))
            )
    shrink = 1.0 if ball.norm is Norm.L0 else 1 - 2.0**-18
    return [
        np.clip(wide + np.sign(way) * np.minimum(moves, room) * shrink, 0, 1).astype(np.float32)
    ]


def _end(value: np.float32, radius: Fraction, upwards: bool) -> np.float32:
    """The furthest float32 in [0, 1] that is within the radius of a pixel."""
    goal = min(
        max(Fraction(float(value)) + (radius if upwards else -radius), Fraction(0)), Fraction(1)
    )
    found = nearest(goal)
    beyond = Fraction(float(found)) > goal if upwards else Fraction(float(found)) < goal
    return np.nextafter(found, value) if beyond else found
