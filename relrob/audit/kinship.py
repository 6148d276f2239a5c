"""How far are the logits of two networks from each other, beside the spread of the reference's own?

A quantised network has the logits of its reference and a little noise; another network, or the same
one after more training, has others. docs/audit-checks.md derives the statistic and has the
measurements behind its thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints

# Classes count whose probability is at least e^-5, or 10 steps of the outputs' grid.
_FLOOR: Final = -5.0
_STEPS: Final = 10
# Fewer differences of logits say nothing.
_FEWEST: Final = 40
# Images of a class below which its spread is not counted.
_FEW_IMAGES: Final = 5
_NORMAL: Final = 1.4826  # the standard deviation of a normal variable over its median deviation
_GRIDS: Final = (256, 32768, 65536)  # steps of 8 and 16 bits of a softmax

# Above these a network of at least 8 bits has no faithful quantisation that was measured.
ANOTHER: Final = 0.265
STALE: Final = 0.15
DRIFTED: Final = 0.05
SLOPE: Final = 0.03
# Logits that follow the reference's by less than half, or more than half as much again, are others.
FOLLOWS: Final = 0.5


@dataclass(frozen=True)
class Kinship:
    """The quantised network's differences of logits against the reference's, on the same images.

    `noise`: their deviation from the best line, over the spread of the reference's within a class.
    `slope`: of that line, `slope_error` its standard error. `pairs`: differences behind these.
    """

    noise: float
    slope: float
    slope_error: float
    pairs: int

    @property
    def verdict(self) -> str:
        """For a quantised network of at least 8 bits: "another-network", "stale-weights", or ""
        where it may be faithful."""
        if self.noise >= ANOTHER or abs(self.slope - 1) > FOLLOWS:
            return "another-network"
        drifted = abs(self.slope - 1) > SLOPE + 4 * self.slope_error
        return "stale-weights" if self.noise >= STALE or (self.noise >= DRIFTED and drifted) else ""

    def json(self) -> dict[str, Any]:
        """The fields, rounded."""
        return {
            "noise": round(self.noise, 6),
            "slope": round(self.slope, 6),
            "slope_error": round(self.slope_error, 6),
            "pairs": self.pairs,
        }


def kinship(reference: Floats, quantised: Floats) -> Kinship | None:
    """From outputs (n, classes), logits or probabilities; None where too few images say anything.

    For the reference's label c of an image and another class k, x = logit_k - logit_c of the
    reference and y that of the quantised network; y = slope x + rest on the classes that come near
    the label.
    """
    step = max(_grid(reference), _grid(quantised))
    x_all, y_all = _differences(reference, quantised)
    labels = np.asarray(reference.argmax(axis=1), np.int64)
    spread = _spread(x_all, labels)
    near = _log_softmax(x_all) > max(_FLOOR, np.log(_STEPS * step) if step else _FLOOR)
    near[np.arange(len(labels)), labels] = False
    near &= np.isfinite(x_all) & np.isfinite(y_all)
    x, y = x_all[near], y_all[near]
    if len(x) < _FEWEST or not spread or not np.ptp(x):
        return None
    slope, rest = _line(x, y)
    deviation = _deviation(rest)
    error = deviation / (float(x.std()) * np.sqrt(len(x)))
    return Kinship(deviation / spread, slope, float(error), len(x))


def log_margins(outputs: Floats) -> Doubles:
    """The largest logit minus the next of each row (n, classes) -> (n,), of logits or
    probabilities. It is NaN for a row with NaN."""
    top = np.partition(_logits(outputs), -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0])


def probabilities(outputs: Floats) -> bool:
    """Are the rows probabilities?"""
    wide = outputs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        one = np.abs(wide.sum(axis=1) - 1).max(initial=0.0) < 0.1
        return bool(one and wide.min(initial=0.0) >= 0 and wide.max(initial=0.0) <= 1)


def divergence(outputs: Floats, aim: Doubles) -> float:
    """The mean Kullback-Leibler divergence of the outputs' probabilities from those of `aim` (n,
    classes), none below 2^-9. For true labels, whose rows hold one 1, it is the mean of -log of
    their probability. It is infinite where an output is no number."""
    with np.errstate(invalid="ignore"):
        mine, theirs = (np.maximum(each, 2.0**-9) for each in (as_probabilities(outputs), aim))
        found = float((aim * (np.log(theirs) - np.log(mine))).sum(axis=1).mean())
    return max(found, 0.0) if np.isfinite(found) else float("inf")


def as_probabilities(outputs: Floats) -> Doubles:
    """The rows as probabilities, through a softmax where they are logits."""
    wide = outputs.astype(np.float64)
    if probabilities(outputs):
        return wide
    result: Doubles = np.exp(_log_softmax(wide))
    return result


def _grid(outputs: Floats) -> float:
    """The step between probabilities that a quantised softmax gives, 0.0 where there is none."""
    if not probabilities(outputs):
        return 0.0
    wide = outputs.astype(np.float64)
    return next((1 / n for n in _GRIDS if np.array_equal(wide * n, np.rint(wide * n))), 0.0)


def _logits(outputs: Floats) -> Doubles:
    """Logits, up to a number for each row. A probability of 0 counts as half a step of its grid."""
    wide = outputs.astype(np.float64)
    least = _grid(outputs) / 2 or 1e-37
    return np.log(np.maximum(wide, least)) if probabilities(outputs) else wide


def _differences(reference: Floats, quantised: Floats) -> tuple[Doubles, Doubles]:
    """The logits of both minus that of the reference's label, (n, classes) each."""
    rows, labels = np.arange(len(reference)), reference.argmax(axis=1)
    both = (_logits(outputs) for outputs in (reference, quantised))
    x, y = (logits - logits[rows, labels][:, None] for logits in both)
    return x, y


def _log_softmax(logits: Doubles) -> Doubles:
    high = logits - logits.max(axis=1, keepdims=True)
    result: Doubles = high - np.log(np.exp(high).sum(axis=1, keepdims=True))
    return result


def _spread(x: Doubles, labels: Ints) -> float:
    """The median over pairs of a label and another class of the differences' deviation."""
    found = [
        np.delete(_deviations(x[labels == label]), label)
        for label in np.unique(labels)
        if (labels == label).sum() >= _FEW_IMAGES
    ]
    every = np.concatenate([np.zeros(0), *found])
    every = every[np.isfinite(every)]
    return float(np.median(every)) if len(every) else 0.0


def _line(x: Doubles, y: Doubles) -> tuple[float, Doubles]:
    """The slope of a line through most of the points, and the rest of all of them."""
    most: Bools = np.ones(len(x), bool)
    slope, rest = _fitted(x, y, most)
    for _ in range(3):
        most = np.abs(rest) <= 3 * max(_deviation(rest), 1e-12)
        if most.sum() < _FEWEST:
            break
        slope, rest = _fitted(x, y, most)
    return slope, rest


def _fitted(x: Doubles, y: Doubles, these: Bools) -> tuple[float, Doubles]:
    """The slope of the line of least squares through these points, and the rest of all."""
    columns = np.stack([x[these], np.ones(int(these.sum()))], axis=1)
    slope, offset = np.linalg.lstsq(columns, y[these], rcond=None)[0]
    return float(slope), y - slope * x - offset


def _deviation(values: Doubles) -> float:
    """A standard deviation that a few far values do not move."""
    return float(_deviations(values[:, None])[0])


def _deviations(values: Doubles) -> Doubles:
    """That of each column."""
    middle = np.median(values, axis=0)
    return np.asarray(_NORMAL * np.median(np.abs(values - middle), axis=0))
