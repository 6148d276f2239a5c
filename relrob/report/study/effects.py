"""Two groups of runs compared: the mean difference, its bootstrap interval, and the effect size.

A claim of a direction is reproduced where the whole interval lies on its side of 0, not reproduced
where it lies on the other, and inconclusive otherwise, or with fewer than `LEAST` pairs. The
interval is the percentile interval (Efron and Tibshirani 1993, chapter 13) of the mean of paired
differences. Pairs that share a training seed are drawn together: they are not independent. Where
there is one seed only, runs are the units, and the finding speaks of this one network; its text
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.report.study.judgement import Judgement

LEAST: Final = 3
_DRAWS: Final = 10_000
_SEED: Final = 20_291


@dataclass(frozen=True)
class Effect:
    """`mean`: of the differences, first less second; `low`, `high`: its 95 % interval; `size`: the
    mean over the standard deviation of the differences (Cohen's d of pairs), None where that is 0
    or there is one pair; `clusters`: independent units; `pairs`; `seeds`: training seeds."""

    mean: float
    low: float
    high: float
    size: float | None
    clusters: int
    pairs: int
    seeds: int

    def judged(self, sign: int, margin: float = 0.0) -> Judgement:
        """The claim that the difference has this sign (+1 or -1), by more than `margin`."""
        if self.clusters < LEAST:
            return Judgement.OPEN
        low, high = (self.low, self.high) if sign > 0 else (-self.high, -self.low)
        if low > margin:
            return Judgement.REPRODUCED
        return Judgement.NOT if high < margin else Judgement.OPEN

    def near(self, most: float) -> Judgement:
        """The claim that the two differ by at most `most`."""
        if self.clusters < LEAST:
            return Judgement.OPEN
        if max(-self.low, self.high) <= most:
            return Judgement.REPRODUCED
        return Judgement.NOT if self.low > most or self.high < -most else Judgement.OPEN

    @property
    def text(self) -> str:
        """The numbers of a table's cell."""
        size = "" if self.size is None else f", d = {self.size:.2f}"
        ends = f"({self.low:+.3f} to {self.high:+.3f})"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.mean:+.3f} {ends}{size}, {seeds}, {self.pairs} pairs"


def effect(
    first: Mapping[tuple[Any, ...], float], second: Mapping[tuple[Any, ...], float]
) -> Effect | None:
    """The effect of the pairs that both have; None where there are none.

    Keys: (cluster, ...), such as (training seed, run). Draws are the same every time.
    """
    keys = [key for key in first if key in second]
    if not keys:
        return None
    clusters: dict[Any, list[float]] = {}
    for key in keys:
        clusters.setdefault(key[0], []).append(first[key] - second[key])
    seeds = len(clusters)
    units = list(clusters.values()) if seeds > 1 else [[d] for v in clusters.values() for d in v]
    groups = [np.array(values) for values in units]
    every = np.concatenate(groups)
    means = _resampled(groups)
    spread = float(every.std(ddof=1)) if len(every) > 1 else 0.0
    low, high = np.percentile(means, [2.5, 97.5])
    mean = float(every.mean())
    size = mean / spread if spread > 0 else None
    return Effect(mean, float(low), float(high), size, len(groups), len(every), seeds)


def _resampled(groups: list[Doubles]) -> Doubles:
    """Means (draws,) of the differences in as many clusters, drawn with replacement."""
    rng = np.random.default_rng(_SEED)
    sums = np.array([values.sum() for values in groups])
    counts = np.array([len(values) for values in groups])
    chosen = rng.integers(0, len(groups), (_DRAWS, len(groups)))
    means: Doubles = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    return means
