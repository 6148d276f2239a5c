"""Two groups of runs compared: the mean difference, its bootstrap interval, and the effect size.

A claim of a direction is reproduced where the whole interval lies on its side of 0, not reproduced
where it lies on the other, and inconclusive otherwise, or with fewer than `LEAST` pairs. The
interval is the percentile interval (Efron and Tibshirani 1993, chapter 13) of the mean of paired
differences. Pairs that share a training seed are drawn together: they are not independent. Where
there is one seed only, runs are the units, and the finding speaks of this one network; its text
says so.

Networks and images are both samples. Seeds may share their images, and then no draw of seeds shows
what other images would have done. So each draw also moves the mean by a normal number with the
variance that the images give it (`relrob.report.study.sampled`): an image that several networks
share counts once, and a difference on the same images has the variance of the paired difference.
Where every run has images of its own, their spread is in the draws already, and the interval is a
little too wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.report.study.judgement import Judgement
from relrob.report.study.sampled import Sampled, combined, covariances, lifted

LEAST: Final = 3
_DRAWS: Final = 10_000
_SEED: Final = 20_291
# A spread of differences below this, as a share of their mean, is none.
_ROUNDING: Final = 1e-9


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


Side = Mapping[tuple[Any, ...], Sampled | float]


def effect(first: Side, second: Side) -> Effect | None:
    """The effect of the pairs that both have; None where there are none.

    Keys: (cluster, ...), such as (training seed, run). Draws are the same every time.
    """
    keys = [key for key in first if key in second]
    pairs = {key: combined([(1.0, first[key]), (-1.0, second[key])]) for key in keys}
    return _summed(*_drawn(pairs, 0)) if pairs else None


def apart(first: Side, second: Side) -> Effect | None:
    """The effect of two groups of networks that have nothing in common, such as networks of two
    data sets: every seed and run of each side counts, and the sides are drawn apart. None where one
    is empty.

    `clusters` and `seeds` are those of the side that has fewer, `pairs` the values of both. The
    size is over the root of the mean of both variances.
    """
    if not first or not second:
        return None
    one, other = (_drawn(_lifted(side), stream) for stream, side in enumerate((first, second)))
    (mine, units, seeds, means), (theirs, few, fewer, against) = one, other
    spread = float(np.sqrt((_variance(mine) + _variance(theirs)) / 2))
    mean = float(mine.mean() - theirs.mean())
    low, high = np.percentile(means - against, [2.5, 97.5])
    size = mean / spread if spread > _ROUNDING * max(1.0, abs(mean)) else None
    count = len(mine) + len(theirs)
    return Effect(mean, float(low), float(high), size, min(units, few), count, min(seeds, fewer))


def _lifted(side: Side) -> dict[tuple[Any, ...], Sampled]:
    return {key: lifted(figure) for key, figure in side.items()}


def _variance(values: Doubles) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _summed(every: Doubles, units: int, seeds: int, means: Doubles) -> Effect:
    spread = float(np.sqrt(_variance(every)))
    low, high = np.percentile(means, [2.5, 97.5])
    mean = float(every.mean())
    size = mean / spread if spread > _ROUNDING * max(1.0, abs(mean)) else None
    return Effect(mean, float(low), float(high), size, units, len(every), seeds)


def _drawn(
    figures: Mapping[tuple[Any, ...], Sampled], stream: int
) -> tuple[Doubles, int, int, Doubles]:
    """(all values, independent units, seeds, means (draws,) of these figures in as many clusters,
    drawn with replacement, and of other images)."""
    clusters: dict[Any, list[Sampled]] = {}
    for key, figure in figures.items():
        clusters.setdefault(key[0], []).append(figure)
    seeds = len(clusters)
    units = list(clusters.values()) if seeds > 1 else [[d] for v in clusters.values() for d in v]
    every = np.array([figure.value for unit in units for figure in unit])
    return every, len(units), seeds, _resampled(units, stream)


def _resampled(units: list[list[Sampled]], stream: int) -> Doubles:
    rng = np.random.default_rng(_SEED + stream)
    sums = [combined([(1.0, figure) for figure in unit]) for unit in units]
    values = np.array([each.value for each in sums])
    counts = np.array([len(unit) for unit in units])
    chosen = rng.integers(0, len(units), (_DRAWS, len(units)))
    whole = counts[chosen].sum(axis=1)
    means: Doubles = values[chosen].sum(axis=1) / whole
    shared = covariances(sums)
    if not shared.any():
        return means
    times = (chosen[:, :, None] == np.arange(len(units))).sum(axis=1)
    variance = np.einsum("ij,jk,ik->i", times, shared, times)
    noise: Doubles = np.sqrt(np.maximum(variance, 0.0)) / whole
    return means + noise * rng.standard_normal(_DRAWS)
