"""Random questions with a known answer, for solvers that give verdicts: enumeration and the naive
referee decide them first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.deciding.decide import decide
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.enumerate_ladder import Enumerate
from tests import hostile, naive
from tests.make_networks import write_tflite
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
REGIONS = (("2", "1/4"), ("4", "1/2"), ("3", "1"), ("1", "1/16"), ("3/2", "1/8"))
SIZES = ((36, 3), (36, 12, 3), (36, 14, 10, 4), (36, 9, 8, 7, 3))


@dataclass(frozen=True)
class OneByOne:
    """A runtime whose answers cannot depend on the batch."""

    inner: NumpyEvaluator
    runtime: str = "numpy"
    best_batch: int = 1

    def outputs(self, images: Floats) -> Floats:
        return np.concatenate([self.inner.outputs(image[None, :]) for image in images])


def levels(seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)


def rungs_of(seed: int, region: tuple[str, str], features: int = 7) -> RungSet:
    return rung_set(Ladder(Fraction(region[0]), Fraction(region[1]), features, 4), levels(seed))


def random_problem(seed: int, seconds: float = 600) -> Query[RungSet]:
    """A random float network and its rounded form; the label is the network's, or, one time in
    five, another one."""
    sizes = SIZES[seed % len(SIZES)]
    one = random_dense(seed, sizes)
    rungs = rungs_of(seed, REGIONS[seed % len(REGIONS)])
    label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax()) + (seed % 5 == 4)
    networks = (numpy_opened(one, SHAPE), numpy_opened(rounded(one, 3 + seed % 5), SHAPE))
    return Query(rungs, Label(label % sizes[-1]), networks, Budget(seconds), False)


def hostile_problem(seed: int) -> Query[RungSet]:
    """Ties, dead neurons, subnormal and huge weights, awkward pixels, a radius met exactly."""
    dense, image = hostile.network(seed), hostile.image(seed)
    evaluator = OneByOne(NumpyEvaluator(dense))
    rungs = rung_set(hostile.ladder(seed, image), image)
    opened = Opened(numpy_opened(dense, (1, dense.inputs, 1)).network, evaluator, evaluator)
    with np.errstate(all="ignore"):
        label = int(evaluator.outputs(rungs.base[None, :]).argmax())
    return Query(rungs, Label(label), (opened,), Budget(600), False)


def file_problems(folder: Path, scheme: str, runtime: str, count: int) -> list[Query[RungSet]]:
    """Quantised files on a LiteRT runtime; every other image is black and white, so that ranges
    calibrated on noise saturate."""
    found = []
    for seed in (1, 2):
        dense = random_dense(seed, (36, 16, 12, 4))
        if seed == 2:  # two classes with the same weights: outputs tie on every point
            last = dense.layers[-1]
            twin, bias = last.weights.copy(), last.bias.copy()
            twin[:, 1], bias[1] = twin[:, 0], bias[0]
            dense = Dense((*dense.layers[:-1], Layer(twin, bias, False)))
        path = folder / f"{scheme}{seed}.tflite"
        write_tflite(dense, path, SHAPE, scheme)
        network = load_network(path, image_shape=SHAPE, classes=4, runtime=runtime)
        opened = Opened(network, open_network(network), open_network(network, batch=1))
        for number in range(count):
            image = (
                levels(number)
                if number % 2
                else np.where(levels(number) > 99, 255, 0).astype(np.uint8)
            )
            region = REGIONS[number % len(REGIONS)]
            rungs = rung_set(Ladder(Fraction(region[0]), Fraction(region[1]), 7, 4), image)
            label = int(opened.evaluator.outputs(rungs.base[None, :]).argmax())
            found.append(Query(rungs, Label(label), (opened,), Budget(600), False))
    return found


def agreed(problem: Query[RungSet], solver: Solver[RungSet]) -> list[Status]:
    """The solver's verdicts, after checking them: those of enumeration, witnesses on the ladder,
    nothing refuted by a replay."""
    with np.errstate(all="ignore"):
        decision, truth = decide(problem, solver), decide(problem, Enumerate())
    for verdict, expected, finding in zip(
        decision.verdicts, truth.verdicts, decision.each, strict=True
    ):
        assert verdict.status is expected.status
        assert verdict.solver == solver.name
        assert verdict.disagreements == 0
        if verdict.witness is not None:
            assert problem.points.contains(verdict.witness.image)
        if finding.effective is not None:
            assert finding.effective == 0 and verdict.status is Status.ROBUST
    return [verdict.status for verdict in decision.verdicts]


def check_all(
    problems: Iterable[Query[RungSet]], solver: Callable[[int], Solver[RungSet]], least: int
) -> None:
    """All verdicts are those of enumeration; more than `least` are ROBUST, and more than `least`
    NOT_ROBUST. `solver`: the number of a problem to the solver that is tested."""
    found = Counter(
        status
        for number, problem in enumerate(problems)
        for status in agreed(problem, solver(number))
    )
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST]) > least


def naively_robust(
    problem: Query[RungSet], image: NDArray[Any], ladder: Ladder, dense: Dense
) -> bool:
    """By the referee, one point at a time."""
    run, features = NumpyEvaluator(dense), ladder.features
    assert features is not None
    every = naive.points(image, ladder.radius, ladder.step, features, axes=ladder.axes)
    return all(int(run.outputs(point.image[None, :]).argmax()) == problem.label for point in every)
