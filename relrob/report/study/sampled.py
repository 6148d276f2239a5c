"""A figure that was measured on a sample of images, with what each image pulls it by.

A mean m of values v_i over n images moves by (v_i - m) / n where image i counts once more: the
infinitesimal jackknife (Efron and Tibshirani 1993, chapter 22). The sum of the squares of these
pulls is the variance that the draw of the images gives the mean, so that of a rate p is
p (1 - p) / n. Pulls of figures of the same images are added image by image: a difference of two
networks on the same images has the variance of the paired difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relrob.domain.arrays import Doubles, Ints

# The places of images in their data set, and the pull of each.
Pulls = Mapping[str, "Pull"]


@dataclass(frozen=True, eq=False)
class Pull:
    """`places` (n,): images of one data set, each once; `by` (n,): how far each pulls a figure."""

    places: Ints
    by: Doubles


@dataclass(frozen=True, eq=False)
class Sampled:
    """A figure and the pulls of its images, by the name of their data set; no pulls for a figure
    that rests on no sample of images."""

    value: float
    pulls: Pulls


def mean_of(dataset: str, places: Ints, each: Doubles) -> Sampled | None:
    """The mean of the values (n,) of images at these places (n,); an image whose value is NaN does
    not count. None where none counts.

    >>> found = mean_of("mnist", np.arange(4), np.array([1.0, 0.0, 0.0, np.nan]))
    >>> round(found.value, 3), len(found.pulls["mnist"].places)
    (0.333, 3)
    """
    counted = ~np.isnan(each)
    if not counted.any():
        return None
    values = each[counted].astype(np.float64)
    mean = float(values.mean())
    return Sampled(mean, {dataset: Pull(places[counted], (values - mean) / len(values))})


def combined(parts: Sequence[tuple[float, Sampled | float]]) -> Sampled:
    """The sum of figures times their factors, such as 1 and -1 for a difference."""
    value = sum(factor * lifted(figure).value for factor, figure in parts)
    names = dict.fromkeys(name for _, figure in parts for name in lifted(figure).pulls)
    pulls = {}
    for name in names:
        some = [
            (factor, lifted(figure).pulls[name])
            for factor, figure in parts
            if name in lifted(figure).pulls
        ]
        places = np.unique(np.concatenate([pull.places for _, pull in some]))
        by = np.zeros(len(places))
        for factor, pull in some:
            by[np.searchsorted(places, pull.places)] += factor * pull.by
        pulls[name] = Pull(places, by)
    return Sampled(value, pulls)


def averaged(parts: Sequence[Sampled | float]) -> Sampled:
    """The mean of some figures."""
    return combined([(1 / len(parts), part) for part in parts])


def ratio(above: Sampled | float, below: Sampled | float) -> Sampled:
    """One figure over another that is not 0, to first order."""
    one, other = lifted(above), lifted(below)
    value = one.value / other.value
    moved = combined([(1 / other.value, one), (-value / other.value, other)])
    return Sampled(value, moved.pulls)


def lifted(figure: Sampled | float) -> Sampled:
    """A number as a figure that rests on no sample of images."""
    return figure if isinstance(figure, Sampled) else Sampled(float(figure), {})


def covariances(figures: Sequence[Sampled]) -> Doubles:
    """The covariances (k, k) that the draw of the images gives k figures."""
    found = np.zeros((len(figures), len(figures)))
    for name in dict.fromkeys(name for figure in figures for name in figure.pulls):
        known = [(k, f.pulls[name]) for k, f in enumerate(figures) if name in f.pulls]
        places: Any = np.unique(np.concatenate([pull.places for _, pull in known]))
        table = np.zeros((len(figures), len(places)))
        for k, pull in known:
            table[k, np.searchsorted(places, pull.places)] = pull.by
        found += table @ table.T
    return found
