"""Drafts of edited files: weights of a tiny network, random or with one needle, and their file.

A needle is a neuron that is active at one point of the region only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

from relrob.domain.arrays import Doubles, Floats

SHAPES: Final = ((2, 3, 1), (3, 3, 1), (2, 4, 1), (3, 4, 1), (2, 2, 2), (1, 6, 1))
# Of which a ball of a few float32 steps can be listed.
SMALL: Final = (
    (1, 2, 1),
    (1, 3, 1),
    (2, 2, 1),
)
# By which the label of a network with a needle leads everywhere else, about.
LEADS: Final = 0.5


@dataclass(frozen=True, eq=False)
class Weights:
    """Dense layers (n_in, n_out), (n_out,) with ReLU between them; `needle`: neuron 0 of each
    hidden layer opens at one point."""

    layers: tuple[tuple[Doubles, Doubles], ...]
    needle: bool = False

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return len(self.layers[-1][1])

    def stages(self, images: Floats) -> list[Doubles]:
        """The outputs of each layer on images (n, d), after its ReLU; those of the last as they
        are."""
        found, values = [], images.astype(np.float64)
        for number, (weights, bias) in enumerate(self.layers):
            values = values @ weights + bias
            values = np.maximum(values, 0) if number < len(self.layers) - 1 else values
            found.append(values)
        return found


class Draft(Protocol):
    """A file in the making.

    `edits`: the names of its edits in order. `plain`: they only change scales, zero points, biases,
    axes, alpha, beta or transB, within the rules of the format. `runtime`: the one that runs it.
    `suffix`: of its name. `coarse`: the number of steps of its own grid in a step of a coarser one.
    """

    base: str
    edits: list[str]
    plain: bool
    runtime: str
    suffix: str
    coarse: float

    def data(self) -> bytes:
        """The file as it stands."""
        ...

    def lift(self, neuron: int, amount: float, last: bool) -> bool:
        """Add to one bias of the last layer, or of the first. False where there is none."""
        ...


@dataclass
class Drawn:
    """The common part of drafts."""

    base: str = ""
    edits: list[str] = field(default_factory=list)
    plain: bool = True
    runtime: str = ""
    suffix: str = ""
    coarse: float = 1.0


def random_weights(rng: np.random.Generator, inputs: int, classes: int) -> Weights:
    """Normal weights, one or two hidden layers; one time in five whole multiples of 1/4, whose
    outputs tie."""
    square = inputs if rng.random() < 0.4 and inputs > 3 else int(rng.integers(4, 9))
    hidden = (square, square)[: int(rng.integers(1, 3))]
    if rng.random() < 0.5:
        hidden = tuple(int(n) for n in rng.integers(4, 17, rng.integers(1, 3)))
    sizes, layers = (inputs, *hidden, classes), []
    for n_in, n_out in pairwise(sizes):
        weights = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in) * 1.5
        bias = rng.standard_normal(n_out) * 0.2
        layers.append((weights, bias))
    if rng.random() < 0.2:
        layers = [(np.rint(weights * 4) / 4, np.rint(bias * 4) / 4) for weights, bias in layers]
    return Weights(tuple(layers))


def needle_weights(rng: np.random.Generator, points: Floats, classes: int, label: int) -> Weights:
    """Right by about `LEADS` on all of `points` (n, d) but one, a corner at which neuron 0 opens:
    no gradient leads to it."""
    inputs, wide = points.shape[1], points.astype(np.float64)
    plain = random_weights(rng, inputs, classes)
    layers = [(weights * 0.05, bias * 0.05) for weights, bias in plain.layers]
    at = int(rng.integers(len(points)))
    way = np.sign(wide[at] - wide.mean(axis=0)) * rng.uniform(0.5, 1.5, inputs)
    sums = np.sort(wide @ way)
    gap = max(float(sums[-1] - sums[-2]) if len(sums) > 1 else 1.0, 1e-7)
    factor = 1 / gap
    layers[0][0][:, 0] = way * factor
    layers[0][1][0] = -(sums[-1] - gap / 2) * factor
    for weights, bias in layers[1:-1]:
        weights[0, :] = 0
        weights[:, 0] = 0
        weights[0, 0], bias[0] = 1, 0
    last, bias = layers[-1]
    bias[label] += LEADS
    last[0, :] = 0
    # Times 1/2, the value that is open at the corner.
    last[0, (label + 1) % classes] = 4 * LEADS + 2
    return Weights(tuple(layers), needle=True)


def drawn_names(rng: np.random.Generator, names: Sequence[str]) -> tuple[int, list[str]]:
    """(the number of edits, none to three; all names in the order in which they are tried)."""
    count = int(rng.choice([0, 1, 2, 3], p=[0.08, 0.47, 0.3, 0.15]))
    return count, [str(name) for name in rng.permutation(np.array(names))]
