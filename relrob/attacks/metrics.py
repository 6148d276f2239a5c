"""Rates and distances of an attack's examples, as Matachana et al. 2020 and Shrestha and Großmann
2024 define them.

Of n examples x' of images x with true labels y, on a network f:

    adversarial accuracy  |{f(x') = y}| / n,
    evasion rate          |{f(x') != y}| / n = 1 - adversarial accuracy,
    UER                   the evasion rate over a whole set of images, clean errors included,
    TSR                   |{f(x') = t}| / n for the target t, images of class t included.

Distances are over successes alone: an attack that fails may return the clean image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Any, Final

import numpy as np

from relrob.attacks.attack import distances
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm
from relrob.errors import ShapeError
from relrob.store.proportions import pair, wilson

# Digits of JSON.
_DIGITS: Final = 6
# Changes of label that a result shows.
_FLIPS: Final = 5


@dataclass(frozen=True)
class Spread:
    """Distances of some examples: their mean, median, least and largest. NaN, all four, where there
    are none.

    >>> Spread.of(np.array([1.0, 3.0])).mean, Spread.of(np.zeros(0)).json()["mean"]
    (2.0, None)
    """

    mean: float
    median: float
    least: float
    largest: float

    @staticmethod
    def of(values: Doubles) -> Spread:
        """Of values (n,)."""
        if not len(values):
            return Spread(*[float("nan")] * 4)
        found = (values.mean(), np.median(values), values.min(), values.max())
        return Spread(*map(float, found))

    def json(self) -> dict[str, float | None]:
        """The fields, null where there were no values."""
        return {name: _number(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Metrics:
    """The counts of `samples` examples on one network, and the distances of successes.

    `evaded`: examples with another label than the true one. `hit`: those with the target's label,
    None without targets. `succeeded`: examples that met the goal, which is `hit`, or `evaded`
    without targets; `norms` are over these. Raises ValueError for counts that cannot be.
    """

    samples: int
    evaded: int
    hit: int | None
    norms: Mapping[Norm, Spread]

    def __post_init__(self) -> None:
        if not (0 <= self.evaded <= self.samples and 0 <= (self.hit or 0) <= self.samples):
            raise ValueError(f"{self.evaded} and {self.hit} of {self.samples} examples")

    @property
    def succeeded(self) -> int:
        """Examples that met the goal."""
        return self.evaded if self.hit is None else self.hit

    @property
    def adversarial_accuracy(self) -> float:
        """Share of examples with the true label; NaN for none."""
        return _share(self.samples - self.evaded, self.samples)

    @property
    def evasion_rate(self) -> float:
        """Share of examples with another label; over a whole set of images this is the UER."""
        return _share(self.evaded, self.samples)

    @property
    def targeted_rate(self) -> float:
        """Share of examples with the target's label (TSR); NaN without targets."""
        return float("nan") if self.hit is None else _share(self.hit, self.samples)

    def json(self) -> dict[str, Any]:
        """Counts, rates rounded to 6 digits, Wilson's 95 % interval of the evasion rate, and the
        distances; null for what is not there."""
        interval = wilson(self.evaded, self.samples) if self.samples else None
        return {
            "samples": self.samples,
            "success": self.succeeded,
            "adversarial_accuracy": _number(self.adversarial_accuracy),
            "evasion_rate": _number(self.evasion_rate),
            "evasion_rate_interval": pair(interval),
            "targeted_rate": _number(self.targeted_rate),
            "norms": {norm.value: spread.json() for norm, spread in self.norms.items()},
        }


def metrics_of(
    labels: Ints, found: Ints, adversarial: Floats, images: Floats, targets: Ints | None = None
) -> Metrics:
    """The metrics of examples (n, d) of flat images (n, d).

    `labels` (n,): true; `found` (n,): what the network says of the examples; `targets` (n,): the
    labels that they should get, None for any other than the true one. Raises ShapeError.
    """
    sizes = {len(labels), len(found), len(adversarial), len(images)}
    if len(sizes | ({len(targets)} if targets is not None else set())) > 1:
        raise ShapeError(f"{sorted(sizes)} labels, answers, examples and images", "equal numbers")
    evaded = np.asarray(found != labels)
    hit = None if targets is None else np.asarray(found == targets)
    success = evaded if hit is None else hit
    return Metrics(
        len(labels),
        int(evaded.sum()),
        None if hit is None else int(hit.sum()),
        norms_of(adversarial, images, success),
    )


def flips_of(labels: Ints, found: Ints, success: Bools) -> list[tuple[int, int, int]]:
    """(true label, label of the example, successes) of the most frequent changes of label among the
    successes (n,), the most frequent first and equal ones by their labels: five at most.

    >>> flips_of(np.array([4, 4, 7]), np.array([9, 9, 1]), np.array([True, True, True]))
    [(4, 9, 2), (7, 1, 1)]
    """
    pairs = Counter(zip(labels[success].tolist(), found[success].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(true, said, count) for (true, said), count in ordered[:_FLIPS]]


def norms_of(adversarial: Floats, images: Floats, success: Bools) -> dict[Norm, Spread]:
    """The four distances of the successes (n,) among examples (n, d), image by image: L0 counts
    pixel-channels that moved by more than 1e-6."""
    mine, theirs = adversarial[success], images[success]
    return {norm: Spread.of(distances(mine, theirs, norm)) for norm in Norm}


def averaged(runs: Sequence[float]) -> tuple[float, float]:
    """(mean, sample standard deviation) of a figure over independent runs; the deviation of one run
    is NaN, and so are both of none. Source: Shrestha and Großmann 2024, three runs.

    >>> averaged([0.5, 0.7, 0.6])
    (0.6, 0.1)
    """
    if not runs:
        return float("nan"), float("nan")
    mean = fmean(runs)
    if len(runs) < 2:
        return mean, float("nan")
    spread = sqrt(sum((run - mean) ** 2 for run in runs) / (len(runs) - 1))
    return round(mean, 12), round(spread, 12)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _number(value: float) -> float | None:
    """Rounded for JSON; null for NaN."""
    return None if np.isnan(value) else round(value, _DIGITS)
