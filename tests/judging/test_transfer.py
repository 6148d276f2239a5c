"""Transfer between two networks against a plain count."""

from __future__ import annotations

from itertools import product

import pytest

from relrob.domain.arrays import Bools, Ints
from relrob.judging.transfer import Same, TransferCount
from relrob.queries.findings import Share
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from tests.judging.tally_cases import (
    CLASSES,
    LABEL,
    all_masks,
    judge,
    small,
    split_up,
)


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
    one, two = judge(seed), judge(seed + 100)
    count = TransferCount(rungs)
    for at in range(0, len(masks), size):
        some = masks[at : at + size]
        count.add_points(some, one.see(some), two.see(some))
    assert [count.result.all, count.result.closest, count.result.farthest] == naive_transfer(
        rungs, masks, one.see(masks).labels, two.see(masks).labels
    )


@pytest.mark.parametrize(("first", "second"), list(product(range(CLASSES), repeat=2)))
def test_transfer_of_parts_is_that_of_their_points(first: int, second: int) -> None:
    rungs = small()
    by_part, by_point = TransferCount(rungs), TransferCount(rungs)
    for number, part in enumerate(split_up(whole(rungs), 3)):
        said = first if number % 3 else LABEL  # some parts are right whatever the case
        dearest = part.dearest()
        assert dearest is not None
        by_part.add_part(part, (said != LABEL, second != LABEL), said == second, dearest)
        every = part.masks(0, part.count)
        pair = [Same(part.count, label, label != LABEL) for label in (said, second)]
        by_point.add_points(every, *pair)
    assert by_part.result == by_point.result
