"""The parts of the checker's derivation, against fractions and grids; parts by branching."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import exp
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.branching import cubes
from relrob.certificates.checking.deployed import Deployed, Facts
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.layer import ArbLayer
from relrob.certificates.checking.relaxation import lines_of, passed
from relrob.encoding.encode import Encoding
from relrob.judging.judges import judge_of
from relrob.judging.tally import Tally
from relrob.networks.enclose import enclosure_of, refusal
from relrob.networks.enclosure import float32_enclosure
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from tests.instances import SHAPE, random_problem, rungs_of
from tests.support import numpy_opened, random_dense

U = Fraction(1, 2**24)
LEAST = Fraction(1, 2**125)


def facts(weights: Any, bias: list[int], **more: Any) -> Facts:
    """A layer of whole numbers."""
    relu, terms = more.pop("relu", True), more.pop("terms", 5)
    return Facts(np.array(weights, np.float64), [Fraction(b) for b in bias], relu, terms, **more)


def exact(value: Any) -> Fraction:
    """A ball without a radius as a fraction."""
    with ctx.workprec(4000):
        high, power = value.man_exp()
        return Fraction(int(high)) * Fraction(2) ** int(power)


def error_by_hand(layer: Facts, high: list[Fraction]) -> list[Fraction]:
    """docs/certificates.md, "How far a runtime strays", in fractions."""
    n, m = layer.weights.shape
    step = layer.share * max(high) + layer.shift
    beyond = [
        Fraction(0) if layer.input_cap is None or h <= layer.input_cap else h - layer.input_cap
        for h in high
    ]
    moved = [step + b if h > 0 else Fraction(0) for h, b in zip(high, beyond, strict=True)]
    given_ = [h + d for h, d in zip(high, moved, strict=True)]
    gamma = layer.terms * U / (1 - layer.terms * U)
    found = []
    for j in range(m):
        size = [abs(Fraction(float(layer.weights[i, j]))) for i in range(n)]
        reached = sum((g * s for g, s in zip(given_, size, strict=True)), Fraction(0))
        shift = sum((d * s for d, s in zip(moved, size, strict=True)), Fraction(0))
        flushed = LEAST * (sum(given_, Fraction(0)) + 2 * n + 2 + sum(size, Fraction(0)))
        found.append(shift + gamma * (reached + abs(layer.bias[j])) + layer.rounding + flushed)
    return found


def errors(layer: ArbLayer, high: list[Any]) -> list[tuple[Any, Any]]:
    """Of inputs quantised within half a step."""
    return layer.error(high, layer.moved(high))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"share": Fraction(1, 254)},
        {"shift": Fraction(1, 7)},
        {"input_cap": Fraction(2)},
        {"rounding": Fraction(1, 3)},
        {
            "share": Fraction(1, 510),
            "shift": Fraction(1, 9),
            "input_cap": Fraction(1, 2),
            "rounding": Fraction(5),
        },
        {"terms": 2**19 - 1},
    ],
)
@pytest.mark.parametrize("high", [[0, 1, 3], [2, 0, 0], [0, 0, 0], [1, 1, 1]])
def test_errors_are_the_documented_ones(more: dict[str, Any], high: list[int]) -> None:
    layer = facts([[1, -2], [3, 0], [-4, 5]], [7, -1], **dict(more))
    with ctx.workprec(128):
        given = [arb(h) for h in high]
        found = [exact(value) for value, _ in errors(ArbLayer(layer), given)]
    expected = error_by_hand(layer, [Fraction(h) for h in high])
    for mine, by_hand in zip(found, expected, strict=True):
        assert by_hand <= mine <= by_hand * (1 + Fraction(1, 2**100)) + Fraction(1, 2**200)


def test_layers_of_which_nothing_is_proved() -> None:
    with pytest.raises(InvalidError, match="nothing is proved in float32"):
        ArbLayer(facts([[1]], [0], terms=2**19))
    with ctx.workprec(128):
        errors(ArbLayer(facts([[2.0**126]], [0])), [arb(1)])
        with pytest.raises(InvalidError, match="float32 could overflow"):
            errors(ArbLayer(facts([[2.0**126]], [0])), [arb(2)])
        with pytest.raises(InvalidError, match="float32 could overflow"):
            errors(ArbLayer(facts([[0]], [2**127])), [arb(0)])
        with pytest.raises(InvalidError, match="no float32"):
            ArbLayer(facts([[1]], [0], cap=Fraction(1, 3)))


NUMBERS = st.integers(-64, 64).map(lambda n: n / 8)


@given(
    NUMBERS,
    NUMBERS,
    st.none() | st.integers(0, 40).map(lambda n: n / 8),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=150, derandomize=True)
def test_lines_enclose_what_a_neuron_passes_on(
    one: float, two: float, cap: float | None, upper_slope: float, lower_slope: float
) -> None:
    """And each touches it: a larger offset would be loose, a smaller one wrong."""
    low, high = min(one, two), max(one, two)
    roof = None if cap is None else arb(cap)
    with ctx.workprec(128):
        up, upper_intercept, down, lower_intercept = (
            exact(value)
            for value in lines_of(arb(low), arb(high), roof, (upper_slope, lower_slope))
        )
        at = [Fraction(low) + (Fraction(high) - Fraction(low)) * n / 64 for n in range(65)]
        at += [end for end in (Fraction(0), Fraction(cap or 0)) if low <= end <= high]
        values = [exact(passed(arb(float(p)), roof)) for p in at]
    ceiling = [
        max(p, Fraction(0)) if cap is None else min(max(p, Fraction(0)), Fraction(cap)) for p in at
    ]
    assert values == ceiling
    above = [up * p + upper_intercept - f for p, f in zip(at, values, strict=True)]
    below = [f - down * p - lower_intercept for p, f in zip(at, values, strict=True)]
    assert 0 <= min(above) < Fraction(1, 2**100)
    assert 0 <= min(below) < Fraction(1, 2**100)
    assert (up, down) == (Fraction(upper_slope), Fraction(lower_slope))


@pytest.mark.parametrize(
    ("end", "classes"),
    [("logits", 3), ("float softmax", 3), ("int8 softmax", 10), ("int8 softmax", 63)],
)
def test_gaps(end: str, classes: int) -> None:
    last = facts(np.ones((1, classes)), [0] * classes, relu=False)
    gap = float(Derivation(Deployed((last,), end), 0).gap)
    if end == "int8 softmax":
        assert (1 - exp(-gap)) * 256 / classes == pytest.approx(
            4
        )  # four quanta of the largest probability
    else:
        assert gap == {"logits": 0, "float softmax": 2.0**-10}[end]
    if classes == 63:
        more = facts(np.ones((1, 64)), [0] * 64, relu=False)
        with pytest.raises(InvalidError, match="64 classes or more"):
            _ = Derivation(Deployed((more,), end), 0).gap


def asker(done: bool, seen: list[Encoding]) -> cubes.Ask:
    """Records what it is asked."""

    def ask(tally: Tally, encoding: Encoding) -> bool:
        seen.append(encoding)
        return done

    return ask


def hard(monkeypatch: pytest.MonkeyPatch) -> Query[RungSet]:
    """A robust problem that bounds alone do not decide, without the cheap search."""
    monkeypatch.setattr(cubes, "greedy", lambda tally, rungs: None)
    for seed in range(60):
        opened, rungs = (
            numpy_opened(random_dense(seed, (36, 20, 20, 20, 3)), SHAPE),
            rungs_of(seed, ("6", "1"), 8),
        )
        label = int(opened.evaluator.outputs(rungs.base[None, :]).argmax())
        problem = Query(rungs, Label(label), (opened,), Budget(600), True)
        asked = list[Encoding]()
        if cubes.solve(problem, asker(False, asked), 10**6).each[0].proved and len(asked) > 1:
            return problem
    raise AssertionError("no such problem")


def test_what_is_not_settled_is_split_down_to_points(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, asked = hard(monkeypatch), list[Encoding]()
    findings = cubes.solve(problem, asker(False, asked), 10**6)
    assert findings.each[0].proved and findings.each[0].effective == 0 and findings.transfer is None
    assert findings.evaluated == findings.each[0].evaluated <= problem.points.count
    assert all(each.refutations and each.ladder.count > 1 for each in asked)
    assert len({each.ladder.path for each in asked}) == len(asked)
    once = list[Encoding]()
    assert cubes.solve(problem, asker(True, once), 10**6).each[0].proved
    assert [each.ladder.path for each in once] == [()], "one that is believed ends the search"
    enclosure = enclosure_of(problem.networks[0].network)
    assert enclosure is not None
    count = survey(
        LadderBounds(enclosure, problem.points, problem.label), whole(problem.points)
    ).unstable
    for most, expected in ((count, True), (count - 1, False)):
        few = list[Encoding]()
        cubes.solve(problem, asker(True, few), most)
        assert (() in [each.ladder.path for each in few]) is expected
    none = list[Encoding]()
    cubes.solve(problem, asker(True, none), -1)
    assert none == [], "too many open ReLUs: split without asking"


def fooled() -> tuple[Opened, RungSet, Any]:
    """A network, a ladder that starts with another label than it goes on with, and all labels."""
    for seed in range(60):
        opened, rungs = (
            numpy_opened(random_dense(seed, (36, 9, 3)), SHAPE),
            rungs_of(seed, ("4", "1")),
        )
        said = opened.evaluator.outputs(rungs.images(rungs.knapsack.masks(0, rungs.count))).argmax(
            axis=1
        )
        if (said != said[0]).sum() > 1:
            return opened, rungs, said
    raise AssertionError("no such network")


def test_the_first_point_that_is_wrong_is_the_hint() -> None:
    opened, rungs, said = fooled()
    masks, label, wrong = (
        rungs.knapsack.masks(0, rungs.count),
        int(said[0]),
        np.flatnonzero(said != said[0]),
    )
    tally = Tally(judge_of(opened, rungs, Label(label)), 60.0)
    cubes.run(tally, masks[: wrong[0]])
    assert tally.hint is None and tally.searched == wrong[0]
    cubes.run(tally, masks[wrong[0] :])
    assert tally.hint is not None and np.array_equal(tally.hint, masks[wrong[0]])
    assert tally.searched == len(masks)
    assert not np.shares_memory(tally.hint, masks)


def test_networks_without_bounds_are_refused() -> None:
    problem = random_problem(0)
    networks = [opened.network for opened in problem.networks]
    assert refusal(networks) is None
    box = numpy_opened(random_dense(0, (36, 3)), SHAPE, black_box=True)
    mixed = [networks[0], box.network]
    assert str(refusal(mixed)).startswith("no bounds for test; float MLPs, dense .tflite files")
    other = replace(box.network, path="b.onnx", black_box="Tanh")
    assert str(refusal([box.network, other])).startswith("no bounds for test and b.onnx (Tanh); ")


@pytest.mark.parametrize("seed", range(6))
def test_a_survey_names_the_most_threatened_class_first(seed: int) -> None:
    """Float logits: a threat for each rival that the bounds do not beat, in order, and no other."""
    problem = random_problem(seed)
    dense = problem.networks[0].network.dense
    assert dense is not None
    bounds = LadderBounds(float32_enclosure(dense), problem.points, problem.label)
    part = whole(problem.points)
    found, lows = survey(bounds, part), bounds.margins(part).low
    rivals = [r for r in range(dense.classes) if r != problem.label]
    expected = sorted((low, r) for low, r in zip(lows.tolist(), rivals, strict=True) if low <= 0)
    assert [rival for rival, _, _ in found.threats] == [r for _, r in expected]
    assert found.margin == lows.min()
    for rival, signs, limit in found.threats:
        assert (
            limit == 0
            and signs[problem.label] == 1
            and signs[rival] == -1
            and np.abs(signs).sum() == 2
        )
    open_ones = sum(int(((k.low < 0) & (k.high > 0)).sum()) for k in bounds.neurons(part)[:-1])
    assert found.unstable == open_ones
