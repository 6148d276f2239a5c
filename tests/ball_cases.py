"""Small questions about balls with a known answer: random fixed-point networks, every code vector
of a box, sampled images."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from relrob.testing.fixed import (
    close_image,
    code_of,
    ends32,
    fixed_opened,
    layer_by_layer,
    lively_network,
    tricky_network,
)

__all__ = [
    "Question", "box_size", "ends32", "every_code", "fixed_opened", "layer_by_layer", "lively_network", "question", "sampled",
    "tricky_network",
]  # fmt: skip

MOST_CODES = 3000


def every_code(network: FixedNetwork, ball: BallSet) -> Ints:
    """All code vectors (n, d) that float32 images of an L-infinity ball have."""
    sides = []
    for pixel in ball.base:
        small, large = ends32(Fraction(float(pixel)), ball.region.radius)
        sides.append(range(code_of(network, small), code_of(network, large) + 1))
    return np.array(list(product(*sides)), dtype=np.int64)


def box_size(network: FixedNetwork, radius: Fraction) -> int:
    """At least the number of code vectors of a ball."""
    side = int(2 * radius * network.pixel_scale + 2)
    return int(side**network.inputs)


@dataclass(frozen=True, eq=False)
class Question:
    """A ball around an image, a label, and the answer by brute force: `codes` (n, d) and which of
    them are `wrong` (n,)."""

    network: FixedNetwork
    opened: Opened
    image: NDArray[Any]
    ball: BallSet
    label: int
    codes: Ints
    wrong: NDArray[np.bool_]

    @property
    def region(self) -> Ball | Lattice:
        return self.ball.region

    def problem(self, certify: bool = False, seconds: float = 60.0) -> Query[BallSet]:
        return Query(self.ball, Label(self.label), (self.opened,), Budget(seconds), certify=certify)


def question(seed: int, folder: Path) -> Question:
    """A random network and image; the radius, on the codes, between them, or nothing of the kind,
    is mostly the last one at which the network is robust, or the first at which it is not: both are
    hard."""
    network, rng = lively_network(seed), np.random.default_rng(seed + 1)
    image = close_image(network, rng)
    radii = [radius for radius in _radii(network, rng) if box_size(network, radius) <= MOST_CODES]
    balls = [
        ball_set(Ball(Norm.LINF, radius), image)
        for radius in radii or [Fraction(1, 2 * network.pixel_scale)]
    ]
    clean = int(network.outputs(balls[0].base[None, :]).argmax())
    label = clean if rng.random() < 0.85 else int(rng.integers(0, network.classes))
    around = [every_code(network, ball) for ball in balls]
    wrong = [network.evaluate(codes).argmax(axis=1) != label for codes in around]
    edge = next((number for number, each in enumerate(wrong) if each.any()), len(balls) - 1)
    chosen = (
        int(rng.integers(len(balls)))
        if rng.random() < 0.3
        else max(edge - int(rng.integers(0, 2)), 0)
    )
    return Question(
        network,
        fixed_opened(network, folder),
        image,
        balls[chosen],
        label,
        around[chosen],
        wrong[chosen],
    )


def _radii(network: FixedNetwork, rng: np.random.Generator) -> list[Fraction]:
    """Some radii, ascending."""
    scale = network.pixel_scale
    found = [Fraction(k, scale) for k in range(1, 5)] + [
        Fraction(2 * k + 1, 2 * scale) for k in range(3)
    ]
    found += [Fraction(float(rng.random()) * 4 / scale) for _ in range(3)]
    return sorted([*found, *(Fraction(int(rng.integers(1, 400)), 100 * scale) for _ in range(3))])


def sampled(ball: BallSet, seed: int, count: int) -> Floats:
    """Images (n, d) of a ball: its far corners and faces, points between, a single pixel moved, and
    the clean image."""
    rng, found = np.random.default_rng(seed), [ball.base]
    size, reach = len(ball.base), float(ball.region.radius)
    for _ in range(4 * count):
        signs, weights = rng.choice([-1.0, 1.0], size), rng.random(size)
        few = weights * (rng.random(size) < rng.choice([2 / size, 0.5, 1.0]))
        if ball.norm is Norm.LINF:
            moves = signs * reach * (1 if rng.random() < 0.5 else weights)
        elif ball.norm is Norm.L0:
            chosen = rng.choice(size, min(int(reach), size), replace=False)
            moves = np.zeros(size)
            moves[chosen] = (signs * (1 if rng.random() < 0.5 else weights))[chosen]
        else:
            power = 2 if ball.norm is Norm.L2 else 1
            moves = signs * few * reach / max(float((few**power).sum()) ** (1 / power), 1e-9)
        room = np.where(moves > 0, 1.0 - ball.base, ball.base)
        image = ball.point(np.sign(moves) * np.minimum(np.abs(moves), room) * (1 - 1e-9))
        if image is not None:
            found.append(image)
        if len(found) > count:
            break
    return np.stack(found)
