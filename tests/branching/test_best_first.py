"""The search for a verdict alone: as enumeration, in one go or in many short ones, with a frontier
of any size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from relrob.bounding.certain import CertainLabels
from relrob.branching import best_first
from relrob.branching.best_first import BestFirst
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging.judges import judge_of
from relrob.judging.tally import Tally
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import margins
from relrob.queries.findings import Leaf
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part, whole
from tests.instances import SHAPE, random_problem
from tests.support import numpy_opened


def started(
    problem: Query[RungSet], leaf: int, bounded: bool, parts: list[Part]
) -> tuple[Tally, BestFirst, list[Leaf]]:
    """A search on the second network of a problem."""
    opened, leaves = problem.networks[1], list[Leaf]()
    enclosure = enclosure_of(opened.network)
    assert enclosure is not None
    tally = Tally(judge_of(opened, problem.points, problem.wanted), 60.0)
    bounds = CertainLabels(enclosure, problem.points, problem.label) if bounded else None
    return tally, BestFirst(tally, bounds, parts, leaf, leaves), leaves


def biased(problem: Query[RungSet], label: int, amount: np.float32) -> Query[RungSet]:
    """The problem with so much added to an output of its second network."""
    dense = problem.networks[1].network.dense
    assert dense is not None
    last = dense.layers[-1]
    bias = last.bias.copy()
    bias[label] += amount
    edged = Dense((*dense.layers[:-1], Layer(last.weights, bias, False)))
    return replace(problem, networks=(problem.networks[0], numpy_opened(edged, SHAPE)))


def on_the_edge(seed: int) -> Query[RungSet]:
    """A random problem whose second network's smallest margin is a hair above 0, or, every third
    time, below."""
    problem = random_problem(seed)
    opened, rungs, label = problem.networks[1], problem.points, problem.label
    images = rungs.images(rungs.knapsack.masks(0, rungs.count))
    least = float(margins(opened.evaluator.outputs(images), label).min())
    hair = np.float32(0.02 if seed % 3 else -0.001)
    return biased(problem, label, hair - np.float32(least))


def is_robust(problem: Query[RungSet]) -> bool:
    """By running every point."""
    masks = problem.points.knapsack.masks(0, problem.points.count)
    said = problem.networks[1].evaluator.outputs(problem.points.images(masks)).argmax(axis=1)
    return bool((said == problem.label).all())


def covered(problem: Query[RungSet], leaves: list[Leaf]) -> int:
    """Points of the parts that a proof rests on."""
    total = 0
    for leaf in leaves:
        part = whole(problem.points)
        for step in leaf.path:
            part = part.split(abs(step) - 1)[0 if step > 0 else 1]
        total += part.count
    return total


@pytest.mark.parametrize("frontier", [1, 3, 4096])
@pytest.mark.parametrize("bounded", [True, False])
def test_verdicts_and_proofs_are_complete(
    monkeypatch: pytest.MonkeyPatch, frontier: int, bounded: bool
) -> None:
    """A proof's parts make up the ladder; a witness is a point that fools the network."""
    monkeypatch.setattr(best_first, "FRONTIER", frontier)
    monkeypatch.setattr(best_first, "BLOCK", 7)
    found: Counter[bool] = Counter()
    split = 0
    for seed in range(60):
        problem = on_the_edge(seed)
        tally, search, leaves = started(
            problem, [1, 4, 30][seed // 3 % 3], bounded, [whole(problem.points)]
        )
        assert search.run(60.0)
        assert (tally.hint is None) == is_robust(problem)
        found[tally.hint is None] += 1
        if tally.hint is None:
            assert covered(problem, leaves) == problem.points.count
            split += len(leaves) > 3
        else:
            assert problem.points.cost(tally.hint) <= problem.points.region.radius
            image = problem.points.images(tally.hint[None, :])
            assert int(problem.networks[1].evaluator.outputs(image).argmax()) != problem.label
    assert min(found.values()) > 15
    assert split > 5 * bounded - 1


def test_a_part_that_is_wrong_everywhere_is_no_proof() -> None:
    """Bounds prove another label on the whole ladder: that is a witness, whichever point of it."""
    for seed in range(12):
        problem = random_problem(seed)
        rival = (problem.label + 1) % problem.networks[1].network.classes
        problem = biased(problem, rival, np.float32(1000))
        tally, search, leaves = started(problem, 1, True, [whole(problem.points)])
        assert search.run(60.0)
        assert tally.hint is not None and not leaves
        image = problem.points.images(tally.hint[None, :])
        assert int(problem.networks[1].evaluator.outputs(image).argmax()) == rival


def test_it_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step or two at a time."""
    monkeypatch.setattr(best_first, "BLOCK", 2)
    total = 0
    for seed in range(40):
        problem = on_the_edge(seed)
        tally, search, leaves = started(problem, 4, seed % 2 > 0, [whole(problem.points)])
        pieces = 0
        while not search.run(tally.spent + 2e-4):
            pieces += 1
        assert (tally.hint is None) == is_robust(problem)
        if tally.hint is None:
            assert covered(problem, leaves) == problem.points.count
        total += pieces
    assert total > 40


def test_some_parts_only() -> None:
    """What counting left open, and nothing else."""
    for seed in range(30):
        problem = on_the_edge(seed)
        halves = whole(problem.points).split(whole(problem.points).free[-1])
        open_part = halves[seed % 2]
        tally, search, leaves = started(problem, 3, True, [open_part])
        assert search.run(60.0)
        masks = open_part.masks(0, open_part.count)
        said = problem.networks[1].evaluator.outputs(problem.points.images(masks)).argmax(axis=1)
        assert (tally.hint is None) == bool((said == problem.label).all())
        assert tally.hint is not None or covered(problem, leaves) == open_part.count


def test_without_time_nothing_is_said() -> None:
    problem = random_problem(3)
    tally, search, leaves = started(problem, 1, True, [whole(problem.points)])
    tally.spent = 1.0
    assert not search.run(0.5)
    assert (tally.hint, leaves, tally.tried) == (None, [], 0)


@pytest.mark.parametrize("seed", range(12))
def test_a_part_knows_whether_it_is_larger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, size=(6, 6), dtype=np.uint8)
    rungs = rung_set(Ladder(Fraction(int(rng.integers(1, 9))), Fraction(1, 4), 9, 4), image)
    part = whole(rungs)
    for g in range(3):
        assert not part.exceeds(part.count)
        assert part.exceeds(part.count - 1)
        assert [part.exceeds(n) for n in range(0, part.count + 3)] == [
            part.count > n for n in range(part.count + 3)
        ]
        part = part.split(g)[int(rng.integers(2))] if g in part.free else part
