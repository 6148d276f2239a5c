"""Judges that say what a table has, small ladders, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.region import Ladder
from relrob.judging.judges import Seen
from relrob.judging.tally import Tally
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import Part

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
        labels = self.table[at]
        return Seen(labels, labels != LABEL, self.least[at], int((at % 5 == 0).sum()))


def judge(seed: int, features: int = 6, wrong: float = 0.4) -> TableJudge:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random(1 << features) < wrong, rng.choice([0, 2], 1 << features), LABEL)
    least = np.where(table == LABEL, 1, -1) * np.round(rng.uniform(0.01, 1, 1 << features), 6)
    return TableJudge(table.astype(np.int64), least)


def tally(judge: TableJudge, limit: float = 60.0) -> Tally:
    return Tally(judge, limit)


def split_up(part: Part, depth: int) -> Iterator[Part]:
    """Parts of different sizes that make up the whole."""
    if depth == 0 or not part.free:
        yield part
        return
    inside, outside = part.split(part.free[depth % len(part.free)])
    yield from split_up(inside, depth - 1)
    yield from split_up(outside, depth - 1)
