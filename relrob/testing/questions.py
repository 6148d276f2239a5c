"""Regions of edited files and every point of them, in fractions and lists.

This module shares no code with `relrob.regions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.region import Ball, Ladder, Lattice, Norm

MOST: Final = 300
STEPS: Final = (
    "1/4",
    "1/10",
    "1/10",
    "1/32",
    "1/32",
    "1/255",
    "3/255",
    "1/1024",
    "1/8192",
    "1/2",
    "1/3",
)

# Values of a pixel, and what each costs.
Options = dict[np.float32, Fraction]


@dataclass(frozen=True, eq=False)
class Question:
    """`image` (H, W, C), `region`, and its `points` (n, d) as they are fed; `every`: all of them,
    else corners and samples. `costs`: exact, of a ladder's points; the clean image is the first
    point."""

    image: NDArray[Any]
    region: Ladder | Lattice | Ball
    points: Floats
    every: bool
    costs: tuple[Fraction, ...] = ()


def random_question(rng: np.random.Generator, shape: tuple[int, int, int], grid: float) -> Question:
    """A region of at most `MOST` points. `grid`: the step to which the file rounds pixels; some lie
    half-way between two."""
    small = shape[0] * shape[1] * shape[2] <= 4
    image = drawn_image(rng, shape, grid)
    kind = rng.random()
    if small and kind < 0.75:
        return _steps_of_float32(rng, image)
    if kind < 0.55:
        return _ladder(rng, image)
    return _lattice(rng, image) if kind < 0.75 else _wide(rng, image)


def nearest(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction, ties to even."""
    guess = np.float32(value.numerator / value.denominator)
    around = (np.nextafter(guess, np.float32(-9)), guess, np.nextafter(guess, np.float32(9)))
    return np.float32(
        min(
            around,
            key=lambda a: (abs(Fraction(float(a)) - value), int(np.float32(a).view(np.uint32)) & 1),
        )
    )


def exact(image: NDArray[Any]) -> list[Fraction]:
    """The pixels in raster order."""
    levels = image.dtype == np.uint8
    return [Fraction(int(v), 255) if levels else Fraction(float(v)) for v in image.ravel()]


def drawn_image(rng: np.random.Generator, shape: tuple[int, int, int], grid: float) -> NDArray[Any]:
    """Levels, or floats of which many are half-way between two points of the grid, or a hair
    beside: a ladder's step then leads to the other side, since dark pixels move up and bright ones
    down."""
    kind, image = rng.random(), rng.random(shape, dtype=np.float32)
    if kind < 0.2:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind < 0.7:
        image = np.where(rng.random(shape) < 0.1, np.float32(1), image)
        side = np.where(image > 0.5, 1, -1) * rng.choice([1e-3, 1e-5, 1e-4])
        found = np.clip((np.floor(image / grid) + 0.5) * grid + side, 0, 1)
        levels = np.where(image > 0.5, np.ceil(found * 255), np.floor(found * 255))
        stored: NDArray[Any] = (
            np.clip(levels, 0, 255).astype(np.uint8) if kind < 0.35 else found.astype(np.float32)
        )
        return stored
    halves = (np.floor(image / grid) + 0.5) * grid + rng.choice(
        [0, 0, 2e-7, -2e-7, 1e-3, -1e-3], shape
    )
    found = np.where(rng.random(shape) < 0.6, halves, image)
    found = np.where(rng.random(shape) < 0.1, rng.choice([0.0, 1.0, 0.5], shape), found)
    return np.clip(found, 0, 1).astype(np.float32)


def _ladder(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    step, size = Fraction(str(rng.choice(STEPS))), image.size
    axes = int(rng.integers(1, 3)) if size >= 8 else 1
    features = int(rng.integers(3, min(size // axes, 8) + 1))
    radius = step * axes * int(rng.integers(1, features + 1)) / int(rng.choice([1, 1, 2]))
    region = Ladder(radius, step, features, axes)
    pixels = exact(image)
    mean = sum(pixels, Fraction(0)) / size
    order = sorted(range(size), key=lambda i: (-abs(pixels[i] - mean), i))
    groups = [order[g * axes : (g + 1) * axes] for g in range(features)]
    one, half = Fraction(1), Fraction(1, 2)
    moved = {
        i: max(v - step, Fraction(0)) if v > half else min(v + step, one)
        for i, v in enumerate(pixels)
    }
    cost = [sum((abs(moved[i] - pixels[i]) for i in group), Fraction(0)) for group in groups]
    base = np.array([nearest(v) for v in pixels], np.float32)
    target = np.array([nearest(moved[i]) for i in range(size)], np.float32)
    points, costs = [], []
    for taken in product((False, True), repeat=features):
        total = sum((cost[g] for g in range(features) if taken[g]), Fraction(0))
        if total <= radius:
            point = base.copy()
            for i in (i for g in range(features) if taken[g] for i in groups[g]):
                point[i] = target[i]
            points.append(point)
            costs.append(total)
    return Question(image, region, np.array(points), True, tuple(costs))


def _lattice(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    step = Fraction(str(rng.choice(STEPS[:-2])))
    radius = step * int(rng.integers(1, 3 if image.size > 4 else 5)) + Fraction(
        int(rng.integers(0, 2)), 4096
    )
    points = lattice_points(image, Lattice(radius, step))
    if len(points) > 2 * MOST:
        return _ladder(rng, image)
    return Question(image, Lattice(radius, step), points, True)


def lattice_points(image: NDArray[Any], region: Lattice, most: int | None = None) -> Floats:
    """Every point (n, d) of a lattice as it is fed, the clean image first; the first `most`, where
    that is given."""
    radius, step, zero, one = region.radius, region.step, Fraction(0), Fraction(1)
    options: list[Options] = []
    for pixel in exact(image):
        found: Options = {nearest(pixel): zero}
        for count in range(1, int(radius / step) + 2):
            for sign in (1, -1):
                target = min(max(pixel + sign * count * step, zero), one)
                if abs(target - pixel) <= radius:
                    found.setdefault(nearest(target), abs(target - pixel))
        options.append(found)
    return np.array(list(islice(_within(options, radius), most)), np.float32)


def _within(options: list[Options], room: Fraction) -> Iterator[list[np.float32]]:
    """All choices of one value a pixel whose costs add up to at most `room`; the clean one
    first."""
    if not options:
        yield []
        return
    for value, cost in options[0].items():
        if cost <= room:
            for rest in _within(options[1:], room - cost):
                yield [value, *rest]


def combined(options: list[Options], ball: Ball) -> Floats:
    """All choices (n, d) of one value a pixel that lie in a ball. `options`: of each pixel, values
    and how far they are from the clean one, which comes first."""
    if ball.norm is Norm.LINF:
        near = [
            [value for value, distance in found.items() if distance <= ball.radius]
            for found in options
        ]
        return np.array(list(product(*near)), np.float32)
    costs = [
        {value: _cost(ball.norm, distance) for value, distance in found.items()}
        for found in options
    ]
    return np.array(list(_within(costs, room_of(ball))), np.float32)


def _cost(norm: Norm, distance: Fraction) -> Fraction:
    """A pixel's share of the norm, of its square for L2."""
    if norm is Norm.L0:
        return Fraction(distance != 0)
    return distance**2 if norm is Norm.L2 else distance


def _steps_of_float32(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    """A ball of a few float32 steps, all of whose points are listed."""
    norm = Norm.LINF if rng.random() < 0.6 else Norm.L1
    base = lifted(image)
    size = len(base)
    radius = Fraction(int(rng.integers(1, {2: 7, 3: 3, 4: 2}[size])), 1 << 24)
    points = float32_points(base, Ball(norm, radius))
    image = base.reshape(image.shape)
    if len(points) > 3 * MOST:
        return _ladder(rng, image) if size > 3 else _lattice(rng, image)
    return Question(image, Ball(norm, radius), points, True)


def lifted(image: NDArray[Any]) -> Floats:
    """The pixels (d,) as they are fed, the dark ones made brighter: below 1/4 float32 has too many
    steps to list."""
    base = np.array([nearest(v) for v in exact(image)], np.float32)
    return np.where(base < 0.25, np.float32(0.25) + base, base).astype(np.float32)


def float32_points(base: Floats, ball: Ball) -> Floats:
    """Every float32 image (n, d) in a ball of a few float32 steps around `base` (d,); no L0 ball is
    one."""
    options: list[Options] = []
    for value in base:
        start, found = Fraction(float(value)), {np.float32(value): Fraction(0)}
        for end in (np.float32(2), np.float32(-1)):
            at = np.nextafter(value, end)
            while abs(Fraction(float(at)) - start) <= ball.radius and 0 <= at <= 1:
                found[np.float32(at)] = abs(Fraction(float(at)) - start)
                at = np.nextafter(at, end)
        options.append(found)
    return combined(options, ball)


def _wide(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    """A wide ball: corners and random points inside, a hair within the radius."""
    norm = Norm(str(rng.choice(["linf", "linf", "l1", "l2", "l0"])))
    radius = Fraction(str(rng.choice(["1/255", "1/32", "1/10", "1/1024", "1/4"])))
    base = np.array([nearest(v) for v in exact(image)], np.float32)
    moves = drawn_moves(rng, len(base))
    if norm is Norm.L0:
        radius = Fraction(int(rng.integers(1, 3)))
    return Question(
        image, Ball(norm, radius), wide_points(rng, base, Ball(norm, radius), moves), False
    )


def drawn_moves(rng: np.random.Generator, size: int) -> Doubles:
    """Directions (96, size): corners of a cube, then points within it."""
    moves: Doubles = rng.choice([-1.0, 1.0], (96, size))
    moves[48:] *= rng.random((48, size))
    return moves


def wide_points(rng: np.random.Generator, base: Floats, ball: Ball, moves: Doubles) -> Floats:
    """The clean image, and images (n, d) of a wide ball in the directions `moves` (m, d), a hair
    within the radius."""
    norm, radius = ball.norm, ball.radius
    size, furthest = len(base), float(radius) * (1 - 2.0**-18)
    if norm is Norm.L0:
        for row in moves:
            row[rng.permutation(size)[int(radius) :]] = 0
        furthest = 1.0
    elif norm is not Norm.LINF:
        some = rng.random(moves.shape) < rng.choice([0.2, 0.6], (len(moves), 1))
        moves *= some
        length = np.abs(moves).sum(axis=1) if norm is Norm.L1 else np.sqrt((moves**2).sum(axis=1))
        moves /= np.maximum(length, 1e-9)[:, None]
    points = np.clip(base + furthest * moves, 0, 1).astype(np.float32)
    if norm is not Norm.L0:
        points = np.where(
            np.abs(points - base.astype(np.float64)) > float(radius), base, points
        ).astype(np.float32)
    return np.array([base, *(point for point in points if inside(point, base, ball))], np.float32)


def inside(point: Floats, base: Floats, ball: Ball | Lattice) -> bool:
    """Is a point (d,) in the ball around `base` (d,)? Exact; the grid of a lattice is not asked
    for."""
    return bool(((point >= 0) & (point <= 1)).all()) and measured(
        point, base, ball.norm
    ) <= room_of(ball)


def measured(point: Floats, base: Floats, norm: Norm) -> Fraction:
    """The distance of a point (d,) from `base` (d,): the sum, the largest or the number of
    differences; the sum of squares for L2."""
    moves = [
        abs(Fraction(float(a)) - Fraction(float(b)))
        for a, b in zip(point, base, strict=True)
        if a != b
    ]
    if norm is Norm.LINF:
        return max(moves, default=Fraction(0))
    return sum((_cost(norm, move) for move in moves), Fraction(0))


def room_of(ball: Ball | Lattice) -> Fraction:
    """The largest `measured` in the ball: its radius, for L2 the square."""
    return ball.radius**2 if ball.norm is Norm.L2 else ball.radius
