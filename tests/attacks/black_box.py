"""Networks for attacks by outputs and labels: their rows do not depend on the batch, and every
image that they run is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.goal import Goal
from relrob.domain.arrays import Floats, Ints
from relrob.domain.network import Network
from relrob.networks.open import Opened

SHAPE = (4, 4, 1)
SIZE = 16


class Counted:
    """A function of images as a runtime; `seen`: images that it ran."""

    runtime = "numpy"
    best_batch = 1024

    def __init__(self, function: Callable[[Floats], Any]) -> None:
        self._function = function
        self.seen = 0

    def outputs(self, images: Floats) -> Floats:
        self.seen += len(images)
        return np.asarray(self._function(images), np.float32)


def opened_function(
    function: Callable[[Floats], Any], classes: int, shape: tuple[int, int, int] = SHAPE
) -> tuple[Opened, Counted]:
    """A black box opened, and the runtime that counts the attack's own queries."""
    size = int(np.prod(shape))
    network = Network("test", "0" * 64, "onnx", "numpy", size, classes, shape)
    counted = Counted(function)
    return Opened(network, counted, Counted(function)), counted


def plane(seed: int = 0) -> tuple[Floats, float]:
    """(w (16,), b): class 1 where w x + b > 0, with the boundary near the middle of the cube."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(SIZE).astype(np.float32)
    return weights, float(-0.5 * weights.sum())


def score(images: Floats, weights: Floats, bias: float) -> Floats:
    """w x + b, the same for an image in any batch."""
    return np.asarray((images * weights).sum(axis=1) + np.float32(bias))


def linear(seed: int = 0) -> Callable[[Floats], Floats]:
    """Logits (n, 2) of `plane`."""
    weights, bias = plane(seed)
    return lambda images: np.stack(
        [np.zeros(len(images), np.float32), score(images, weights, bias)], axis=1
    )


def band(seed: int = 0, half: float = 0.5) -> Callable[[Floats], Floats]:
    """Two layers: class 1 outside the band |w x + b| <= half: relu(z) + relu(-z) - half."""
    weights, bias = plane(seed)

    def logits(images: Floats) -> Floats:
        z = score(images, weights, bias)
        outside = np.maximum(z, 0) + np.maximum(-z, 0) - np.float32(half)
        return np.stack([np.zeros_like(z), outside], axis=1)

    return logits


def drawn(count: int, seed: int = 1) -> Floats:
    """Images near the middle of the cube, so that no pixel meets its end on the way."""
    rng = np.random.default_rng(seed)
    return (0.5 + 0.2 * (rng.random((count, SIZE)) - 0.5)).astype(np.float32)


def labelled(function: Callable[[Floats], Floats], images: Floats) -> Ints:
    """The network's own labels."""
    return np.asarray(function(images).argmax(axis=1), np.int64)


def run(
    attack: Any,  # an Attack; pyright takes a ClassVar for no property
    function: Callable[[Floats], Floats],
    images: Floats,
    classes: int = 2,
    seed: int = 0,
    targets: Ints | None = None,
) -> Attacked:
    """The attack on a function, away from its own labels or towards `targets`."""
    opened, _ = opened_function(function, classes)
    goal = Goal(labelled(function, images), targets)
    return attacked(attack, "test", opened, images, goal, seed=seed)
