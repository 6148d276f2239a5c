"""Regions of edited files and every point of them, by code that shares nothing with
`relrob.regions`: fractions and lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
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
    image = _image(rng, shape, grid)
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


def _image(rng: np.random.Generator, shape: tuple[int, int, int], grid: float) -> NDArray[Any]:
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
    pixels, zero, one = exact(image), Fraction(0), Fraction(1)
    options: list[dict[np.float32, Fraction]] = []
    for pixel in pixels:
        found: dict[np.float32, Fraction] = {nearest(pixel): zero}
        for count in range(1, int(radius / step) + 2):
            for sign in (1, -1):
                target = min(max(pixel + sign * count * step, zero), one)
                if abs(target - pixel) <= radius:
                    found.setdefault(nearest(target), abs(target - pixel))
        options.append(found)
    points = list(_within(options, radius))
    if len(points) > 2 * MOST:
        return _ladder(rng, image)
    return Question(image, Lattice(radius, step), np.array(points, np.float32), True)


def _within(
    options: list[dict[np.float32, Fraction]], room: Fraction
) -> Iterator[list[np.float32]]:
    """All choices of one value a pixel whose costs add up to at most `room`; the clean one
    first."""
    if not options:
        yield []
        return
    for value, cost in options[0].items():
        if cost <= room:
            for rest in _within(options[1:], room - cost):
                yield [value, *rest]


def _steps_of_float32(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    """A ball of a few float32 steps, all of whose points are listed."""
    norm = Norm.LINF if rng.random() < 0.6 else Norm.L1
    base = np.array([nearest(v) for v in exact(image)], np.float32)
    base = np.where(base < 0.25, np.float32(0.25) + base, base).astype(np.float32)
    size = len(base)
    radius = Fraction(int(rng.integers(1, {2: 7, 3: 3, 4: 2}[size])), 1 << 24)
    zero = Fraction(0)
    options: list[dict[np.float32, Fraction]] = []
    for value in base:
        start, found = Fraction(float(value)), {np.float32(value): zero}
        for end in (np.float32(2), np.float32(-1)):
            at = np.nextafter(value, end)
            while abs(Fraction(float(at)) - start) <= radius and 0 <= at <= 1:
                found[np.float32(at)] = abs(Fraction(float(at)) - start)
                at = np.nextafter(at, end)
        options.append(found)
    points = list(_within(options, radius) if norm is Norm.L1 else map(list, product(*options)))
    image = base.reshape(image.shape)
    if len(points) > 3 * MOST:
        return _ladder(rng, image) if size > 3 else _lattice(rng, image)
    return Question(image, Ball(norm, radius), np.array(points, np.float32), True)


def _wide(rng: np.random.Generator, image: NDArray[Any]) -> Question:
    """A wide ball: corners and random points inside, a hair within the radius."""
    norm = Norm(str(rng.choice(["linf", "linf", "l1", "l2", "l0"])))
    radius = Fraction(str(rng.choice(["1/255", "1/32", "1/10", "1/1024", "1/4"])))
    base = np.array([nearest(v) for v in exact(image)], np.float32)
    size, reach = len(base), float(radius) * (1 - 2.0**-18)
    moves = rng.choice([-1.0, 1.0], (96, size))
    moves[48:] *= rng.random((48, size))
    if norm is Norm.L0:
        radius = Fraction(int(rng.integers(1, 3)))
        for row in moves:
            row[rng.permutation(size)[int(radius) :]] = 0
        reach = 1.0
    elif norm is not Norm.LINF:
        some = rng.random((96, size)) < rng.choice([0.2, 0.6], (96, 1))
        moves *= some
        length = np.abs(moves).sum(axis=1) if norm is Norm.L1 else np.sqrt((moves**2).sum(axis=1))
        moves /= np.maximum(length, 1e-9)[:, None]
    points = np.clip(base + reach * moves, 0, 1).astype(np.float32)
    if norm is not Norm.L0:
        points = np.where(
            np.abs(points - base.astype(np.float64)) > float(radius), base, points
        ).astype(np.float32)
    kept = [point for point in points if _inside(point, base, norm, radius)]
    return Question(image, Ball(norm, radius), np.array([base, *kept], np.float32), False)


def _inside(point: Floats, base: Floats, norm: Norm, radius: Fraction) -> bool:
    """Exactly."""
    moves = [
        abs(Fraction(float(a)) - Fraction(float(b)))
        for a, b in zip(point, base, strict=True)
        if a != b
    ]
    if norm is Norm.L0:
        return len(moves) <= radius
    if norm is Norm.L1:
        return sum(moves, Fraction(0)) <= radius
    if norm is Norm.L2:
        return sum((move * move for move in moves), Fraction(0)) <= radius**2
    return max(moves, default=Fraction(0)) <= radius
