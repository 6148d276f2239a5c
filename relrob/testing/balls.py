"""Random cases of balls and lattices: networks, an image, a region, and points of it.

Every case comes from (seed, number) and the files alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from relrob.regions.points import points_of
from relrob.testing import hostile
from relrob.testing.ball_questions import lattice_question, steps_question, wide_question
from relrob.testing.cases import (
    a_hair_away,
    coarse,
    nudged,
    opened,
    random_dense,
    real_one,
    whole_weights,
)
from relrob.testing.drafts import SMALL, Weights, needle_weights
from relrob.testing.fixed import close_image, coded_ball, fixed_opened, labels_of, lively_network
from relrob.testing.questions import Question, drawn_image, exact, nearest

SHAPES: Final = (*SMALL, (2, 2, 1), (2, 3, 1), (3, 3, 1))
# Images, of which the one with the closest call is taken.
CLOSE: Final = 24
HAIRS: Final = (0.02, 1e-3, 1e-6, 0.0, -1e-6, -1e-3)
SECONDS: Final = 600.0


@dataclass(frozen=True, eq=False)
class BallCase:
    """A question: `said` (n,) of each network at the points of `question`. `settled`: whether one
    of these points is wrong is whether one of the whole region is, as where every point, or one for
    every code, is listed."""

    name: str
    problem: Query[BallSet]
    question: Question
    said: tuple[Ints, ...]
    settled: bool

    def wrong(self, number: int) -> Bools:
        """Which points (n,) a network gets wrong."""
        return np.asarray(self.said[number] != self.problem.label, np.bool_)

    def on(self, region: Ball | Lattice) -> Query[BallSet]:
        """The same networks and image in another region."""
        return replace(self.problem, points=ball_set(region, self.question.image))


@dataclass(frozen=True, eq=False)
class Made:
    """The folder for fixed-point networks, and the quantised files."""

    folder: Path
    files: Sequence[Opened] = ()


def ball_over_reals(case: BallCase) -> BallCase:
    """The case with its float networks taken over the reals."""
    networks = tuple(map(real_one, case.problem.networks))
    points = case.question.points
    said = tuple(
        known if one is same else labels(one.replayer.outputs(points))
        for one, same, known in zip(networks, case.problem.networks, case.said, strict=True)
    )
    return replace(case, problem=replace(case.problem, networks=networks), said=said)


def _case(
    name: str, networks: tuple[Opened, ...], asked: Question, label: int | None = None
) -> BallCase:
    """Around the first network's label of the clean image, unless another is given."""
    said = tuple(labels(each.replayer.outputs(asked.points)) for each in networks)
    label = max(int(said[0][0]), 0) if label is None else label
    points = points_of(asked.region, asked.image)
    assert points.joint is False  # noqa: S101 - no ladders here
    problem = Query(points, Label(label), networks, Budget(SECONDS))
    return BallCase(f"{name} {asked.region.kind}", problem, asked, said, asked.every)


def _floats(
    name: str, pair: tuple[Dense, Dense], asked: Question, label: int | None = None
) -> BallCase:
    height, width, channels = asked.image.shape
    shape = (int(height), int(width), int(channels))
    return _case(name, (opened(pair[0], shape), opened(pair[1], shape)), asked, label)


def _shape(
    rng: np.random.Generator, shapes: Sequence[tuple[int, int, int]]
) -> tuple[int, int, int]:
    return shapes[int(rng.integers(len(shapes)))]


def _mlp(rng: np.random.Generator, inputs: int) -> Dense:
    """A linear network, or one or two hidden layers."""
    hidden = tuple(int(n) for n in rng.integers(3, 9, int(rng.integers(0, 3))))
    return random_dense(rng, (inputs, *hidden, int(rng.integers(2, 4))))


def _as_dense(weights: Weights) -> Dense:
    last = len(weights.layers) - 1
    layers = [
        Layer(values.astype(np.float32), bias.astype(np.float32), number < last)
        for number, (values, bias) in enumerate(weights.layers)
    ]
    return Dense(tuple(layers))


def _tuned(rng: np.random.Generator, dense: Dense, points: Floats, label: int) -> Dense:
    """The network, mostly with a smallest margin over the points (n, d) of a hair."""
    return (
        dense if rng.random() < 0.2 else a_hair_away(dense, points, label, float(rng.choice(HAIRS)))
    )


def _pair(rng: np.random.Generator, asked: Question) -> tuple[Dense, Dense, int]:
    """Two networks and a label: random ones with small margins, or one that is wrong at a single
    point by a needle."""
    points, inputs = asked.points, asked.points.shape[1]
    if rng.random() < 0.4 and len(points) > 2:
        classes = int(rng.integers(2, 4))
        label = int(rng.integers(classes))
        dense = _as_dense(needle_weights(rng, points, classes, label))
        return dense, _tuned(rng, _mlp_like(rng, dense), points, label), label
    dense = _mlp(rng, inputs)
    label = int(rng.integers(dense.classes))
    return _tuned(rng, dense, points, label), _tuned(rng, coarse(rng, dense), points, label), label


def _mlp_like(rng: np.random.Generator, dense: Dense) -> Dense:
    """A random network of as many inputs and classes."""
    return random_dense(rng, (dense.inputs, int(rng.integers(3, 9)), dense.classes))


def _steps(rng: np.random.Generator, made: Made) -> BallCase:
    """Float networks in a ball of a few float32 steps."""
    asked = steps_question(rng, drawn_image(rng, _shape(rng, SMALL), 1 / 255))
    one, two, label = _pair(rng, asked)
    return _floats("steps", (one, two), asked, label)


def _lattice(rng: np.random.Generator, made: Made) -> BallCase:
    """Float networks on a lattice."""
    shape = _shape(rng, SHAPES)
    step = Fraction(str(rng.choice(["1/4", "1/10", "1/32", "1/255", "1/2", "1/3", "1"])))
    asked = lattice_question(rng, drawn_image(rng, shape, 1 / 255), step)
    one, two, label = _pair(rng, asked)
    return _floats("float", (one, two), asked, label)


def _wide(rng: np.random.Generator, made: Made) -> BallCase:
    """Float networks in a wide ball, whose smallest margin over its samples is mostly a hair."""
    shape = _shape(rng, SHAPES)
    dense = _mlp(rng, int(np.prod(shape)))
    asked = wide_question(rng, drawn_image(rng, shape, 1 / 255), dense)
    label = int(rng.integers(dense.classes))
    pair = (
        _tuned(rng, dense, asked.points, label),
        _tuned(rng, coarse(rng, dense), asked.points, label),
    )
    return _floats("wide", pair, asked, label)


def _ties(rng: np.random.Generator, made: Made) -> BallCase:
    """Whole weights on pixels, and a lattice or ball, that float32 holds exactly."""
    shape = _shape(rng, SHAPES)
    dense = whole_weights(rng, int(np.prod(shape)))
    image = (rng.integers(0, 9, shape) / 8).astype(np.float32)
    step = Fraction(1, int(rng.choice([1, 2, 4, 8])))
    wide = rng.random() < 0.4
    asked = wide_question(rng, image, dense) if wide else lattice_question(rng, image, step)
    label = int(rng.integers(3)) if rng.random() < 0.3 else None
    return _floats("ties", (dense, nudged(rng, dense)), asked, label)


def _hostile(rng: np.random.Generator, made: Made) -> BallCase:
    """Weights that overflow, vanish, cancel; pixels at the corners of the definitions."""
    seed = int(rng.integers(2**31))
    dense, image = hostile.network(seed), hostile.image(seed)
    step = Fraction(str(rng.choice(["1", "1/2", "1/4", "1/3", "64/255", "1/1048576"])))
    wide = rng.random() < 0.6
    asked = wide_question(rng, image, dense) if wide else lattice_question(rng, image, step)
    return _floats("hostile", (dense, coarse(rng, dense)), asked)


def _fixed(rng: np.random.Generator, made: Made) -> BallCase:
    """A fixed-point network, by an image for every code vector that the region has."""
    network = lively_network(int(rng.integers(1 << 40)))
    image = close_image(network, rng)
    base = _fed(image)
    clean = int(labels_of(network, base[None, :])[0])
    label = clean if rng.random() < 0.9 else int(rng.integers(network.classes))
    kind = str(rng.choice(["linf", "linf", "linf", "l1", "l2", "l0", "lattice"]))
    if kind == "lattice":
        step = Fraction(int(rng.integers(1, 5)), int(rng.choice([1, 2, 3])) * network.pixel_scale)
        asked = lattice_question(rng, image, min(step, Fraction(1)))
    else:
        region, points = coded_ball(rng, network, base, label, Norm(kind))
        asked = Question(image, region, points, False)
    case = _case("fixed", (fixed_opened(network, made.folder),), asked, label)
    return replace(case, said=(labels_of(network, asked.points),), settled=True)


def _file(rng: np.random.Generator, made: Made) -> BallCase:
    """A quantised file, against a float network; mostly around an image whose best two outputs are
    close."""
    quantised = made.files[int(rng.integers(len(made.files)))]
    shape = quantised.network.image_shape
    images = [drawn_image(rng, shape, 1 / 255) for _ in range(CLOSE if rng.random() < 0.8 else 1)]
    image = min(images, key=lambda each: _lead(quantised, each))
    kind = rng.random()
    if image.size <= 4 and kind < 0.6:
        asked = steps_question(rng, image)
    elif kind < 0.8:
        asked = lattice_question(
            rng, image, Fraction(str(rng.choice(["1/255", "1/32", "1/4", "1"])))
        )
    else:
        asked = wide_question(rng, image)
    label = int(labels(quantised.replayer.outputs(asked.points[:1]))[0])
    dense = _tuned(
        rng, random_dense(rng, (image.size, 8, quantised.network.classes)), asked.points, label
    )
    return _case(
        f"file:{quantised.network.scheme}", (opened(dense, shape), quantised), asked, label
    )


def _lead(network: Opened, image: NDArray[Any]) -> float:
    """The lead of the best output (n,); no lead counts as a large one, since outputs of twins
    always tie."""
    outputs = np.sort(network.replayer.outputs(_fed(image)[None, :])[0])
    return float(outputs[-1] - outputs[-2]) or np.inf


def _fed(image: NDArray[Any]) -> Floats:
    """The pixels (d,) of an image as they are fed."""
    return np.array([nearest(value) for value in exact(image)], np.float32)


_KINDS: Final[Sequence[Callable[[np.random.Generator, Made], BallCase]]] = (
    _steps, _fixed, _lattice, _wide, _fixed, _ties, _hostile,
)  # fmt: skip


def random_ball_case(
    seed: int, number: int, folder: Path, files: Sequence[Opened] = ()
) -> BallCase:
    """Case `number` of a series. `files`: quantised networks, which take the second place in every
    eighth case; `folder`: where a fixed-point network is written, over that of the last case."""
    rng = np.random.default_rng([seed, number, 1])
    kinds = (*_KINDS, _file) if files else _KINDS
    with np.errstate(all="ignore"):
        return kinds[number % len(kinds)](rng, Made(folder, files))
