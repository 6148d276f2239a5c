"""Networks whose distances to another label are known, and attacks on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Dense, Layer
from tests.make_networks import forward
from tests.support import numpy_opened, random_dense

SIDE = 6
PIXELS = SIDE * SIDE


def attack(
    text: str,
    dense: Dense,
    images: Floats,
    labels: Ints | None = None,
    targets: Ints | None = None,
    seed: int = 0,
    exact: bool = True,
) -> Attacked:
    """An attack by its text on a network in plain NumPy; `labels`: those that it gives, unless
    others are named; `exact`: is the model of gradients the network itself?"""
    full, made = named(text)
    side = round(dense.inputs**0.5)
    square = (side, side, 1) if side * side == dense.inputs else (1, dense.inputs, 1)
    opened = numpy_opened(dense, square)
    goal = Goal(forward(dense, images).argmax(axis=1) if labels is None else labels, targets)
    model = DenseGradients(dense, exact)
    return attacked(made, full, opened, images, goal, model=model, seed=seed)


def images(count: int, seed: int = 0, low: float = 0.3, high: float = 0.7) -> Floats:
    """Grey images (count, PIXELS), so far from black and white that small steps are not clipped."""
    drawn = np.random.default_rng(seed).uniform(low, high, (count, PIXELS))
    return drawn.astype(np.float32)


def linear(seed: int = 0, classes: int = 5) -> Dense:
    """One layer, with the boundaries between classes near grey images."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((PIXELS, classes)).astype(np.float32)
    bias = -0.5 * weights.sum(axis=0) + 0.1 * rng.standard_normal(classes)
    return Dense((Layer(weights, bias.astype(np.float32), relu=False),))


def linear_distance(dense: Dense, these: Floats, labels: Ints) -> Doubles:
    """The L2 distances (n,) of images from the nearest other label of one layer: the least of
    (f_y - f_k) / ||w_y - w_k||, where no pixel is clipped."""
    weights = dense.layers[0].weights.astype(np.float64)
    logits = forward(dense, these)
    here = np.arange(len(these))
    gaps = logits[here, labels][:, None] - logits
    lengths = np.linalg.norm(weights.T[labels][:, None] - weights.T[None], axis=2)
    ratio = np.divide(gaps, lengths, out=np.full(gaps.shape, np.inf), where=lengths > 0)
    return np.asarray(ratio.min(axis=1))


def single(values: Any) -> Floats:
    """Numbers as a float32 array."""
    return np.array(values, np.float32)


def cone() -> Dense:
    """Two pixels, two layers: label 1 where |x - 0.5| + |y - 0.5| > 0.25, so that the nearest image
    of label 1 to the middle is at L2 distance 0.25 / sqrt(2), and of (0.5 + a, 0.5) at
    (0.25 - a) / sqrt(2)."""
    first = single([[1, -1, 0, 0], [0, 0, 1, -1]])
    last = single([[0, 1], [0, 1], [0, 1], [0, 1]])
    outward = Layer(first, single([-0.5, 0.5, -0.5, 0.5]), relu=True)
    return Dense((outward, Layer(last, single([0.25, 0]), relu=False)))


def constant(classes: int = 3) -> Dense:
    """A network that no image moves: label 1 always."""
    bias = np.zeros(classes, np.float32)
    bias[1] = 1
    weights = np.zeros((PIXELS, classes), np.float32)
    return Dense((Layer(weights, bias, relu=False),))


def deep(seed: int = 0) -> Dense:
    """Two hidden layers."""
    return random_dense(seed, (PIXELS, 24, 16, 5))


def norms(found: Attacked) -> Any:
    """L2 distances of what an attack proposes, in float64."""
    return np.linalg.norm(found.adversarial.astype(np.float64) - found.images, axis=1)
