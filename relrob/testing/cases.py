"""Random questions for solvers: a pair of small networks, an image, a ladder of up to some hundred
points. Every case comes from (seed, number) alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Dense, Layer, Network
from relrob.domain.region import Ladder
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.networks.real import open_real
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.testing import hostile

SHAPE: Final = (6, 6, 1)
SIZES: Final = ((36, 3), (36, 12, 3), (36, 14, 10, 4), (36, 9, 8, 7, 3))
REGIONS: Final = (("2", "1/4"), ("4", "1/2"), ("3", "1"), ("1", "1/16"), ("3/2", "1/8"))


@dataclass(frozen=True)
class OneByOne:
    """A float32 forward pass in NumPy whose answers cannot depend on the batch: row by row in one
    fixed order of summation."""

    dense: Dense
    runtime: str = "numpy"
    best_batch: int = 256

    def outputs(self, images: Floats) -> Floats:
        """(n, d) -> (n, classes)."""
        values = images
        with np.errstate(all="ignore"):
            for layer in self.dense.layers:
                products = values[:, :, None] * layer.weights[None]
                values = np.add.accumulate(products, axis=1)[:, -1] + layer.bias
                values = np.maximum(values, np.float32(0)) if layer.relu else values
        return values


@dataclass(frozen=True, eq=False)
class Case:
    """A question: `problem` asks for exact counts; `image` and its `ladder`, from which the
    problem's points were made."""

    name: str
    problem: Query[RungSet]
    image: NDArray[Any]
    ladder: Ladder

    def on(self, ladder: Ladder) -> Query[RungSet]:
        """The same networks and image on another ladder."""
        return replace(self.problem, points=rung_set(ladder, self.image))


def opened(dense: Dense, shape: tuple[int, int, int]) -> Opened:
    """A network that runs in NumPy."""
    runs = OneByOne(dense)
    network = Network(
        "case", "0" * 64, "onnx", "numpy", dense.inputs, dense.classes, shape, dense=dense
    )
    return Opened(network, runs, runs)


def over_reals(case: Case) -> Case:
    """The case with its float networks taken over the reals."""
    return replace(
        case, problem=replace(case.problem, networks=tuple(map(real_one, case.problem.networks)))
    )


def real_one(given: Opened) -> Opened:
    """A float network taken over the reals; any other as it is."""
    if given.network.dense is None:
        return given
    network = replace(given.network, runtime="real", arithmetic=Arithmetic.REAL)
    runs = open_real(network, 1)
    return Opened(network, runs, runs)


def random_dense(rng: np.random.Generator, sizes: tuple[int, ...]) -> Dense:
    """A float32 MLP: sizes (d, hidden..., classes)."""
    layers = []
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        weights = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in) * 1.5
        bias = rng.standard_normal(n_out) * 0.1
        layers.append(
            Layer(weights.astype(np.float32), bias.astype(np.float32), number < len(sizes) - 2)
        )
    return Dense(tuple(layers))


def rounded(dense: Dense, bits: int) -> Dense:
    """The network with weights of so many bits, a stand-in for quantisation."""
    layers = []
    for layer in dense.layers:
        scale = float(np.abs(layer.weights).max()) / (2 ** (bits - 1) - 1) or 1.0
        layers.append(
            Layer(
                (np.rint(layer.weights / scale) * scale).astype(np.float32), layer.bias, layer.relu
            )
        )
    return Dense(tuple(layers))


def on_the_edge(dense: Dense, rungs: RungSet, label: int, hair: float) -> Dense:
    """The network with the label's bias moved so that the smallest margin over all points is about
    `hair`."""
    return a_hair_away(dense, rungs.images(rungs.knapsack.masks(0, rungs.count)), label, hair)


def a_hair_away(dense: Dense, images: Floats, label: int, hair: float) -> Dense:
    """The network with the label's bias moved so that the smallest margin over images (n, d) is
    about `hair`."""
    outputs = OneByOne(dense).outputs(images)
    last = dense.layers[-1]
    bias = last.bias.copy()
    bias[label] += np.float32(hair - float(margins(outputs, label).min()))
    return Dense((*dense.layers[:-1], Layer(last.weights, bias, last.relu)))


def _levels(rng: np.random.Generator) -> NDArray[Any]:
    return rng.integers(0, 256, size=SHAPE, dtype=np.uint8)


def _region(rng: np.random.Generator, features: int = 7) -> Ladder:
    radius, step = REGIONS[int(rng.integers(len(REGIONS)))]
    return Ladder(Fraction(radius), Fraction(step), features, 4)


def coarse(rng: np.random.Generator, label_of: Dense) -> Dense:
    """The network with weights of 2 to 7 bits."""
    return rounded(label_of, int(rng.integers(2, 8)))


def _case(
    name: str,
    pair: tuple[Dense, Dense],
    image: NDArray[Any],
    ladder: Ladder,
    label: int | None = None,
) -> Case:
    shape = (image.shape[0], image.shape[1], 1)
    networks = (opened(pair[0], shape), opened(pair[1], shape))
    rungs = rung_set(ladder, image)
    said = max(int(labels(networks[0].replayer.outputs(rungs.base[None, :]))[0]), 0)
    return Case(
        name,
        Query(rungs, Label(said if label is None else label), networks, Budget(3600), True),
        image,
        ladder,
    )


def _plain(rng: np.random.Generator) -> Case:
    """A random network and its rounded form; one time in five the label is not the network's."""
    dense, image, ladder = (
        random_dense(rng, SIZES[int(rng.integers(len(SIZES)))]),
        _levels(rng),
        _region(rng),
    )
    case = _case("plain", (dense, coarse(rng, dense)), image, ladder)
    if rng.random() < 0.8:
        return case
    return replace(
        case, problem=replace(case.problem, wanted=Label((case.problem.label + 1) % dense.classes))
    )


def _edge(rng: np.random.Generator) -> Case:
    """Both networks with a smallest margin within a hair of 0: bounds do not settle them, and half
    of them are fooled somewhere."""
    dense, image, ladder = (
        random_dense(rng, SIZES[int(rng.integers(len(SIZES)))]),
        _levels(rng),
        _region(rng),
    )
    rungs, label = rung_set(ladder, image), int(rng.integers(dense.classes))
    hairs = rng.choice([0.02, 1e-3, 1e-6, 0.0, -1e-6, -1e-3], 2)
    pair = [
        on_the_edge(each, rungs, label, float(hair))
        for each, hair in zip((dense, coarse(rng, dense)), hairs, strict=True)
    ]
    return _case("edge", (pair[0], pair[1]), image, ladder, label)


def whole_weights(rng: np.random.Generator, inputs: int) -> Dense:
    """Whole weights, and biases that are multiples of 1/4: outputs tie, those of twins on every
    point."""
    hidden = int(rng.integers(3, 9))
    first, last = rng.integers(-2, 3, (inputs, hidden)), rng.integers(-2, 3, (hidden, 3))
    if rng.random() < 0.3:
        last[:, int(rng.integers(1, 3))] = last[:, 0]
    biases = rng.integers(-3, 4, hidden) / 4, rng.integers(-1, 2, 3) / 4 * (rng.random() < 0.5)
    layers = [Layer(np.asarray(w, np.float32), np.asarray(b, np.float32), relu)
              for w, b, relu in ((first, biases[0], True), (last, biases[1], False))]  # fmt: skip
    return Dense(tuple(layers))


def nudged(rng: np.random.Generator, dense: Dense) -> Dense:
    """The network with some weights of its first layer one more or one less."""
    first, *others = dense.layers
    weights = np.asarray(first.weights + rng.integers(-1, 2, first.weights.shape), np.float32)
    return Dense((Layer(weights, first.bias, first.relu), *others))


def _ties(rng: np.random.Generator) -> Case:
    """Whole weights on pixels and steps that float32 holds exactly."""
    dense = whole_weights(rng, 36)
    image = (rng.integers(0, 9, SHAPE) / 8).astype(np.float32)
    ladder = Ladder(
        Fraction(int(rng.integers(1, 7)), 2), Fraction(1, int(rng.choice([1, 2, 4, 8]))), 7, 4
    )
    other = nudged(rng, dense)
    label = int(rng.integers(3)) if rng.random() < 0.3 else None
    return _case("ties", (dense, other), image, ladder, label)


def _hostile(rng: np.random.Generator) -> Case:
    """Weights that overflow, vanish, cancel; pixels at the corners of the definitions; a radius met
    exactly or missed by a hair."""
    seed = int(rng.integers(2**31))
    dense, image = hostile.network(seed), hostile.image(seed)
    return _case("hostile", (dense, rounded(dense, 4)), image, hostile.ladder(seed, image))


def _clipped(rng: np.random.Generator) -> Case:
    """Black, white and half grey: steps clip, costs are met exactly; sometimes a step that moves no
    float32 pixel at all."""
    image = rng.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), SHAPE)
    step = Fraction(str(rng.choice(["1", "128/255", "1/2", "1/255", f"1/{2**40}"])))
    costs = rung_set(Ladder(Fraction(100), step, 6, 4), image)
    some = (
        sum(cost for cost, taken in zip(costs.costs, rng.random(6) < 0.5, strict=True) if taken)
        or costs.costs[0]
    )
    radius = Fraction(some + int(rng.integers(-1, 2)) * (some > 1), costs.denominator)
    dense = random_dense(rng, SIZES[int(rng.integers(len(SIZES)))])
    ladder = Ladder(radius, step, 6, 4)
    rungs = rung_set(ladder, image)
    label = int(labels(OneByOne(dense).outputs(rungs.base[None, :]))[0])
    edged = on_the_edge(dense, rungs, label, float(rng.choice([0.01, 1e-6, -0.01])))
    return _case("clipped", (edged, coarse(rng, edged)), image, ladder, label)


_KINDS: Final[Sequence[Callable[[np.random.Generator], Case]]] = (
    _plain,
    _edge,
    _ties,
    _hostile,
    _clipped,
)


def random_case(seed: int, number: int, files: Sequence[Opened] = ()) -> Case:
    """Case `number` of a series. `files`: quantised networks of SHAPE and four classes, which take
    the second place in every sixth case, against a float network."""
    rng = np.random.default_rng([seed, number])
    kinds = len(_KINDS) + bool(files)
    kind = number % kinds
    if kind < len(_KINDS):
        return _KINDS[kind](rng)
    quantised = files[int(rng.integers(len(files)))]
    image = _levels(rng)
    if rng.random() < 0.5:  # ranges calibrated on noise saturate
        image = np.where(image > 99, 255, 0).astype(np.uint8)
    dense = random_dense(rng, SIZES[2])
    case = _case("file", (dense, dense), image, _region(rng, 6))
    label = int(labels(quantised.replayer.outputs(case.problem.points.base[None, :]))[0])
    networks = (case.problem.networks[0], quantised)
    return replace(case, problem=replace(case.problem, networks=networks, wanted=Label(label)))
