"""An independent reading of docs/regions.md, "The ladder", one point at a time, in plain Python:
the referee of the ladder tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray


def exact_pixels(image: NDArray[Any]) -> list[Fraction]:
    """Pixels as rationals: k/255 for levels, the exact value of a float otherwise."""
    if image.dtype == np.uint8:
        return [Fraction(int(level), 255) for level in image.ravel()]
    return [Fraction(float(value)) for value in image.ravel()]


def to_float32(value: Fraction) -> np.float32:
    """Nearest float32 by search among neighbours of a float64 guess."""
    guess = np.float32(float(value))
    near = [np.nextafter(guess, np.float32(-9)), guess, np.nextafter(guess, np.float32(9))]
    return min(
        near,
        key=lambda f: (abs(Fraction(float(f)) - value), int.from_bytes(f.tobytes(), "little") % 2),
    )


@dataclass(frozen=True)
class NaivePoint:
    """A point: moved features, exact cost, the float32 image."""

    moved: tuple[int, ...]
    cost: Fraction
    image: NDArray[np.float32]


@dataclass(frozen=True)
class NaiveFeatures:
    """Of each feature its pixels and its exact cost; of each pixel the value that it takes, as a
    rational (k/255 for levels)."""

    groups: list[list[int]]
    costs: list[Fraction]
    moved: list[Fraction]
    pixels: list[Fraction]


def features_of(
    image: NDArray[Any], step: Fraction, features: int, axes: int = 10
) -> NaiveFeatures:
    """The features in order of saliency."""
    pixels = exact_pixels(image)
    mean = sum(pixels, Fraction(0)) / len(pixels)
    order = sorted(
        range(len(pixels)), key=lambda i: abs(pixels[i] - mean), reverse=True
    )  # sort is stable
    groups = [order[g * axes : (g + 1) * axes] for g in range(features)]
    moved = [
        max(p - step, Fraction(0)) if p > Fraction(1, 2) else min(p + step, Fraction(1))
        for p in pixels
    ]
    costs = [sum((abs(moved[i] - pixels[i]) for i in group), Fraction(0)) for group in groups]
    return NaiveFeatures(groups, costs, moved, pixels)


def points(
    image: NDArray[Any], radius: Fraction, step: Fraction, features: int, axes: int = 10
) -> Iterator[NaivePoint]:
    """Every image { x moved on S : cost of S <= radius }, depth first over features in order of
    saliency."""
    own = features_of(image, step, features, axes)
    groups, costs, moved, pixels = own.groups, own.costs, own.moved, own.pixels
    clean = np.array([to_float32(p) for p in pixels], dtype=np.float32)
    target = {i: to_float32(moved[i]) for group in groups for i in group}

    def walk(first: int, chosen: tuple[int, ...], cost: Fraction) -> Iterator[NaivePoint]:
        shown = clean.copy()
        for group in chosen:
            for i in groups[group]:
                shown[i] = target[i]
        yield NaivePoint(chosen, cost, shown)
        for group in range(first, features):
            if cost + costs[group] <= radius:
                yield from walk(group + 1, (*chosen, group), cost + costs[group])

    return walk(0, (), Fraction(0))


def effective_points(
    every: Iterator[NaivePoint], label_of: Callable[[NDArray[np.float32]], int], label: int
) -> list[NaivePoint]:
    """The points that the network does not give `label`, asked one at a time."""
    return [point for point in every if label_of(point.image) != label]
