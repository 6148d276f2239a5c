"""What solvers share (tally.py), against plain Python over every point of small ladders with
made-up labels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from relrob.attacks.greedy import greedy
from relrob.domain.verdict import Reason
from relrob.judging import tally as tally_module
from relrob.judging.tally import charged
from relrob.queries.findings import Finding
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from tests.judging.tally_cases import (
    LABEL,
    TableJudge,
    all_masks,
    judge,
    small,
    split_up,
    tally,
)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 7, 100])
def test_visits_add_up_to_a_plain_count(seed: int, size: int) -> None:
    rungs, table = small(), judge(seed)
    masks = all_masks(rungs)
    masks = masks[np.random.default_rng(seed).permutation(len(masks))]
    told = tally(table)
    said = np.concatenate(
        [told.visit(masks[at : at + size], rungs).labels for at in range(0, len(masks), size)]
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


@pytest.mark.parametrize("effective", [False, True])
def test_parts_count_all_their_points(effective: bool) -> None:
    rungs = small()
    told = tally(judge(0))
    parts = sorted(split_up(whole(rungs), 4), key=lambda part: (-part.spent, part.moved))
    for part in parts:
        told.accept(part, effective, 0.5 - part.count / 100)
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
    told.accept(deeper, True, -0.5)
    told.accept(inside, True, -0.25)
    told.accept(deeper, True, -0.125)  # dearer: changes nothing but counts
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
