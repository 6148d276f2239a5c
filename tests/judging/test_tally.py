"""What solvers share (tally.py), against plain Python over every point of small ladders with
made-up labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from relrob.attacks.greedy import greedy
from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.network import Arithmetic
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason
from relrob.judging import judges as tally_module
from relrob.judging.folded import FoldedDense, Judged
from relrob.judging.judges import FoldedJudge, RuntimeJudge, Seen, judge_of
from relrob.judging.tally import Tally, charged
from relrob.judging.transfer import TransferCount
from relrob.queries.findings import Finding, Share
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part, whole
from tests.support import numpy_opened, random_dense

LABEL, CLASSES = 1, 3


def small(radius: str = "3/2", features: int = 6, seed: int = 3) -> RungSet:
    """A ladder of few points with unequal costs."""
    image = np.random.default_rng(seed).integers(0, 256, size=(4, 4), dtype=np.uint8)
    return rung_set(Ladder(Fraction(radius), Fraction(1, 3), features, 2), image)


def all_masks(rungs: RungSet) -> Bools:
    """Every point, found without the ladder's own enumeration."""
    every = np.array(list(product((False, True), repeat=rungs.features)))
    return every[
        [
            sum(c for c, moved in zip(rungs.costs, row, strict=True) if moved) <= rungs.budget
            for row in every
        ]
    ]


@dataclass
class TableJudge:
    """Says of a point what two tables have, by the binary number of its mask; one point in `nth`
    counts as thin."""

    table: Ints
    least: Doubles
    blocks: int = 0

    def see(self, masks: Bools) -> Seen:
        self.blocks += 1
        at = masks @ (1 << np.arange(masks.shape[1]))
        return Seen(self.table[at], self.least[at], int((at % 5 == 0).sum()))


def judge(seed: int, features: int = 6, wrong: float = 0.4) -> TableJudge:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random(1 << features) < wrong, rng.choice([0, 2], 1 << features), LABEL)
    least = np.where(table == LABEL, 1, -1) * np.round(rng.uniform(0.01, 1, 1 << features), 6)
    return TableJudge(table.astype(np.int64), least)


def tally(judge: TableJudge, limit: float = 60.0) -> Tally:
    return Tally(judge, LABEL, limit)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 7, 100])
def test_visits_add_up_to_a_plain_count(seed: int, size: int) -> None:
    rungs, table = small(), judge(seed)
    masks = all_masks(rungs)
    masks = masks[np.random.default_rng(seed).permutation(len(masks))]
    told = tally(table)
    said = np.concatenate(
        [told.visit(masks[at : at + size], rungs) for at in range(0, len(masks), size)]
    )
    seen = TableJudge(table.table, table.least).see(masks)
    costs = [rungs.cost(mask) for mask in masks]
    wrong = [at for at in range(len(masks)) if seen.labels[at] != LABEL]
    assert said.tolist() == seen.labels.tolist()
    assert (told.visited, told.effective, told.close_calls) == (
        len(masks),
        len(wrong),
        seen.close_calls,
    )
    assert told.margin == told.least_margin == seen.margins.min()
    assert (
        told.least_point is not None
        and told.least_point.tolist() == masks[seen.margins.argmin()].tolist()
    )
    cheapest = min(wrong, key=lambda at: costs[at])  # the first of equals, as min has it
    assert told.closest is not None and told.closest.tolist() == masks[cheapest].tolist()
    assert Fraction(int(told.closest_cost), rungs.denominator) == costs[cheapest]
    assert told.spent > 0 and not told.late


def test_what_a_tally_keeps_is_its_own() -> None:
    rungs = small()
    told, masks = tally(judge(0)), all_masks(rungs)
    told.visit(masks, rungs)
    assert told.least_point is not None and told.closest is not None
    kept = (told.least_point.tolist(), told.closest.tolist())
    masks[:] = ~masks
    assert (told.least_point.tolist(), told.closest.tolist()) == kept


def split_up(part: Part, depth: int) -> Iterator[Part]:
    """Parts of different sizes that make up the whole."""
    if depth == 0 or not part.free:
        yield part
        return
    inside, outside = part.split(part.free[depth % len(part.free)])
    yield from split_up(inside, depth - 1)
    yield from split_up(outside, depth - 1)


@pytest.mark.parametrize(("said", "effective"), [(LABEL, False), (0, True)])
def test_parts_count_all_their_points(said: int, effective: bool) -> None:
    rungs = small()
    told = tally(judge(0))
    parts = sorted(split_up(whole(rungs), 4), key=lambda part: (-part.spent, part.moved))
    for part in parts:
        told.accept(part, said, 0.5 - part.count / 100)
    count = len(all_masks(rungs))
    assert (told.proved, told.effective, told.visited) == (count, count if effective else 0, 0)
    assert told.margin == min(0.5 - part.count / 100 for part in parts)
    assert told.least_point is None
    if effective:  # the clean image is the cheapest point of all
        assert told.closest is not None and not told.closest.any() and told.closest_cost == 0
    else:
        assert told.closest is None


def test_a_part_is_represented_by_its_cheapest_point() -> None:
    rungs = small()
    inside, _ = whole(rungs).split(2)
    deeper, _ = inside.split(inside.free[0])
    told = tally(judge(0))
    told.accept(deeper, 2, -0.5)
    told.accept(inside, 2, -0.25)
    told.accept(deeper, 2, -0.125)  # dearer: changes nothing but counts
    assert told.closest is not None
    assert np.flatnonzero(told.closest).tolist() == [2]
    assert told.closest_cost == rungs.costs[2]
    assert (told.effective, told.margin) == (inside.count + 2 * deeper.count, -0.5)


MASK = np.array([True, False])
OTHER = np.array([False, True])
# what a tally holds -> (proved, effective, proposals, stopped) with and without counts
FINDINGS = [
    ({"finished": True}, (True, 0, [], None), (True, None, [], None)),
    (
        {"finished": True, "least_point": OTHER},
        (True, 0, [OTHER], None),
        (True, None, [OTHER], None),
    ),
    (
        {"finished": True, "effective": 3, "closest": MASK},
        (False, 3, [MASK], None),
        (False, None, [MASK], None),
    ),
    ({"finished": True, "hint": OTHER}, (False, 0, [OTHER], None), (False, None, [OTHER], None)),
    (
        {"effective": 1, "closest": MASK, "hint": OTHER},
        (False, None, [MASK], None),
        (False, None, [MASK], None),
    ),
    (
        {"hint": MASK, "least_point": OTHER},
        (False, None, [MASK, OTHER], None),
        (False, None, [MASK, OTHER], None),
    ),
    (
        {"least_point": OTHER},
        (False, None, [OTHER], Reason.TIME),
        (False, None, [OTHER], Reason.TIME),
    ),
    ({}, (False, None, [], Reason.TIME), (False, None, [], Reason.TIME)),
]


@pytest.mark.parametrize(("held", "counted", "uncounted"), FINDINGS)
def test_findings_claim_no_more_than_was_seen(
    held: dict[str, object], counted: tuple[object, ...], uncounted: tuple[object, ...]
) -> None:
    told = tally(judge(0))
    for name, value in held.items():
        setattr(told, name, value)
    for counts, expected in ((True, counted), (False, uncounted)):
        found = told.finding(counts)
        proposals = [mask.tolist() for mask in found.proposals]
        wanted = [mask.tolist() for mask in expected[2]]  # type: ignore[attr-defined]
        assert (found.proved, found.effective, proposals, found.stopped) == (
            *expected[:2],
            wanted,
            expected[3],
        )


def test_findings_report_margins_and_points() -> None:
    told = tally(judge(0))
    assert told.finding(True).margin is None  # nothing was seen: no number stands for that
    told.margin, told.visited, told.searched, told.close_calls = -0.5, 4, 9, 2
    found = told.finding(True)
    assert isinstance(found, Finding)
    assert (found.margin, found.evaluated, found.close_calls) == (-0.5, 9, 2)
    told.visited = 12
    assert told.finding(True).evaluated == 12


def naive_greedy(
    table: TableJudge, rungs: RungSet
) -> tuple[tuple[int, ...], tuple[int, ...] | None, int]:
    """(features moved last, witness, points run), in plain Python."""
    moved: list[int] = []
    runs = 0
    while True:
        spent = sum(rungs.costs[g] for g in moved)
        options = [
            g
            for g in range(rungs.features)
            if g not in moved and spent + rungs.costs[g] <= rungs.budget
        ]
        if not options:
            return tuple(sorted(moved)), None, runs
        runs += len(options)
        at = {g: sum(1 << h for h in [*moved, g]) for g in options}
        best = min(options, key=lambda g: table.least[at[g]])
        moved.append(best)
        if table.table[at[best]] != LABEL:
            return tuple(sorted(moved)), tuple(sorted(moved)), runs


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("wrong", [0.0, 0.15])
def test_greedy_takes_the_best_feature_each_time(seed: int, wrong: float) -> None:
    rungs, table = small(radius="2", seed=seed), judge(seed, wrong=wrong)
    _, witness, runs = naive_greedy(table, rungs)
    told = tally(table)
    greedy(told, rungs)
    assert (told.hint is None) == (witness is None)
    if told.hint is not None:
        assert np.flatnonzero(told.hint).tolist() == list(witness or ())
    assert (told.searched, told.visited, told.effective) == (runs, 0, 0)


def test_greedy_moves_a_feature_that_costs_exactly_the_radius() -> None:
    rungs = small()
    dear = max(rungs.costs)
    table = judge(1, wrong=1.0)
    for budget, searched in ((dear, True), (min(rungs.costs) - 1, False)):
        told = tally(table)
        greedy(told, replace(rungs, costs=(dear,) * 6 if searched else rungs.costs, budget=budget))
        assert (told.searched, told.hint is not None) == ((6, True) if searched else (0, False))


def test_greedy_stops_when_it_is_late() -> None:
    told = tally(judge(0, wrong=0.0), limit=0.5)
    told.spent = 0.5
    assert not told.late  # the limit itself is allowed
    told.spent = 0.75
    assert told.late
    greedy(told, small())
    assert (told.searched, told.spent) == (0, 0.75)


def test_listing_blocks_is_charged_to_every_network(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(float(2**tick) for tick in range(20))
    monkeypatch.setattr(tally_module, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    one, two = tally(judge(0)), tally(judge(1))
    given = charged(iter("abc"), [one, two])
    assert next(given) == "a"
    # begins at 1; the first reads 2 and the second 4
    assert (one.spent, two.spent) == (1.0, 3.0)
    assert list(given) == ["b", "c"]
    assert one.spent == 1.0 + 8.0 + 64.0 + 512.0  # the end of the list took time as well
    with pytest.raises(ZeroDivisionError), one.clock():
        raise ZeroDivisionError
    assert one.spent == 585.0 + 4096.0  # time spent on what fails counts too


def naive_transfer(rungs: RungSet, masks: Bools, first: Ints, second: Ints) -> list[Share]:
    """Over all effective points, the cheapest and the dearest of them."""
    points = [
        (rungs.cost(mask), b != LABEL, a == b)
        for mask, a, b in zip(masks, first, second, strict=True)
        if a != LABEL
    ]
    costs = [cost for cost, _, _ in points]
    chosen = [
        points,
        [p for p in points if p[0] == min(costs)],
        [p for p in points if p[0] == max(costs)],
    ]
    return [Share(len(c), sum(t for _, t, _ in c), sum(t and s for _, t, s in c)) for c in chosen]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [1, 5, 64])
def test_transfer_of_points_is_a_plain_count(seed: int, size: int) -> None:
    rungs = small(seed=seed)
    masks = all_masks(rungs)
    first, second = judge(seed).see(masks).labels, judge(seed + 100).see(masks).labels
    count = TransferCount(rungs, LABEL)
    for at in range(0, len(masks), size):
        count.add_points(masks[at : at + size], first[at : at + size], second[at : at + size])
    assert [count.result.all, count.result.closest, count.result.farthest] == naive_transfer(
        rungs, masks, first, second
    )


@pytest.mark.parametrize(("first", "second"), list(product(range(CLASSES), repeat=2)))
def test_transfer_of_parts_is_that_of_their_points(first: int, second: int) -> None:
    rungs = small()
    by_part, by_point = TransferCount(rungs, LABEL), TransferCount(rungs, LABEL)
    for number, part in enumerate(split_up(whole(rungs), 3)):
        said = first if number % 3 else LABEL  # some parts are right whatever the case
        dearest = part.dearest()
        assert dearest is not None
        by_part.add_part(part, said, second, dearest)
        every = part.masks(0, part.count)
        by_point.add_points(every, np.full(part.count, said), np.full(part.count, second))
    assert by_part.result == by_point.result


@pytest.mark.parametrize("softmax", [False, True])
def test_both_judges_give_the_runtimes_labels(softmax: bool) -> None:
    rungs = small(radius="6", features=8)
    masks = all_masks(rungs)
    for seed in range(5):
        opened = numpy_opened(random_dense(seed, (16, 12, CLASSES), softmax), (4, 4, 1))
        outputs = opened.evaluator.outputs(rungs.images(masks)).astype(np.float64)
        by_runtime, by_folding = RuntimeJudge(opened, rungs, LABEL), judge_of(opened, rungs, LABEL)
        assert isinstance(by_folding, FoldedJudge)
        for rows in (
            slice(0, 3),
            slice(None),
            slice(5, 6),
        ):  # fewer again: rows of an earlier block must not show
            for each in (by_runtime, by_folding):
                seen = each.see(masks[rows])
                assert seen.labels.tolist() == outputs[rows].argmax(axis=1).tolist()
                best = np.delete(outputs[rows], LABEL, axis=1).max(axis=1)
                assert np.allclose(seen.margins, outputs[rows, LABEL] - best, atol=1e-4)


@pytest.mark.parametrize(
    ("arithmetic", "dense"), [(Arithmetic.INTEGER, True), (Arithmetic.FLOAT32, False)]
)
def test_only_float_mlps_are_folded(arithmetic: Arithmetic, dense: bool) -> None:
    opened = numpy_opened(random_dense(0, (16, 12, CLASSES)), (4, 4, 1), black_box=not dense)
    opened = replace(opened, network=replace(opened.network, arithmetic=arithmetic))
    assert isinstance(judge_of(opened, small(), LABEL), RuntimeJudge)


@dataclass(frozen=True)
class Said:
    """Folded arithmetic that says the same whatever the points: one answer for each row asked."""

    judged: Judged

    def judge(self, masks: Bools) -> Judged:
        assert len(masks) == len(self.judged.labels)
        return self.judged


@pytest.mark.parametrize("probabilities", [False, True])
def test_thin_points_go_to_the_runtime_and_only_they(probabilities: bool) -> None:
    """Labels of thin points are the runtime's; their margins too, where it gives logits, else their
    sign."""
    rungs = small()
    opened = numpy_opened(random_dense(10, (16, 12, CLASSES), softmax=probabilities), (4, 4, 1))
    masks = all_masks(rungs)
    outputs = opened.evaluator.outputs(rungs.images(masks)).astype(np.float64)
    label = int(outputs[0].argmax())
    right, other = (
        np.flatnonzero((outputs.argmax(axis=1) == label) == same) for same in (True, False)
    )
    rows = np.concatenate([right[:3], other[:3]])
    assert len(rows) == 6
    folded = np.array([0.25, -0.25, np.nan] * 2, dtype=np.float32)
    for close in (
        np.ones(len(rows), dtype=np.bool_),
        np.arange(len(rows)) % 2 == 0,
        np.zeros(len(rows), np.bool_),
    ):
        said = Judged(np.full(len(rows), 7, dtype=np.int64), folded, close)
        judge = FoldedJudge(opened, rungs, label, cast(FoldedDense, Said(said)))
        seen = judge.see(masks[rows])
        runtime = outputs[rows]
        assert seen.close_calls == close.sum()
        assert seen.labels.tolist() == np.where(close, runtime.argmax(axis=1), 7).tolist()
        best = np.delete(runtime, label, axis=1).max(axis=1)
        for at in range(len(rows)):
            if not close[at]:
                wanted = float(folded[at])
            elif not probabilities:
                wanted = float(runtime[at, label] - best[at])
            elif rows[at] in right:
                wanted = 0.25 if at % 3 == 0 else 0.0
            else:
                wanted = -0.25 if at % 3 == 1 else 0.0
            assert seen.margins[at] == pytest.approx(wanted, abs=1e-5, nan_ok=True)
