"""Does a network read images in another way than it is given them?

The usual readings are tried, and one is named where it fits far better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.exact import mcnemar
from relrob.audit.reading import Reader, Reading, present, usual
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.networks.evaluator import labels

# Images for the first and the second round, and readings that reach the second and the third.
_ROUNDS: Final = ((48, 8), (480, 4))
# So large a share of right labels needs no other reading.
ENOUGH: Final = 0.995
# A reading is found where at most this share of the errors is left, or so many more labels are
# right, beyond chance.
_LEFT: Final = 0.85
_GAIN: Final = 0.1
_CHANCE: Final = 1e-4
# A reading goes on where it is not worse than the present one by more than this on the sample.
_SLACK: Final = 0.01
# A reading that changes less, or is more usual, is preferred unless it is worse beyond this chance.
_WORSE: Final = 1e-3
# A reading under which a network gives one label to more images than this is none.
_ONE: Final = 0.9

Right = Callable[[Ints, Ints], Bools]  # (labels, indices of their images) -> is each right?


@dataclass(frozen=True, eq=False)
class Tried:
    """A reading on all images: outputs (n, classes), labels (n,), and which of them are right."""

    reading: Reading
    outputs: Floats
    labels: Ints
    right: Bools

    @property
    def share(self) -> float:
        """Of the labels, those that are right."""
        return float(self.right.mean())


def found_reading(
    reader: Reader,
    pixels: NDArray[Any],
    outputs: Floats,
    right: Right,
    first: Sequence[Reading] = (),
) -> Tried | None:
    """The reading of images (n, H, W, C) that fits far better than the present one, or None.

    `outputs`: of all images as they are read now. `right`: says which labels are right: those of
    the data, or those of the other network. `first`: readings that are preferred.

    Some hundred images run in every reading, and all of them in at most 10.
    """
    everything = np.arange(len(pixels))
    now = Tried(
        present(reader.network), outputs, labels(outputs), right(labels(outputs), everything)
    )
    if now.share >= ENOUGH:
        return None
    usuals = _first(first, usual(reader.network, pixels))
    chosen = _screened(reader, pixels, now, right, usuals)
    chosen += [each for each in usuals[: len(first)] if each not in chosen]
    tried = [tried_on(reader, pixels, each, right) for each in chosen]
    fitting = [each for each in tried if _far_better(each, now)]
    if not fitting:
        return None
    best = max(fitting, key=lambda each: each.share)
    simpler = _simpler(best.reading, now.reading, usuals)
    tried += [tried_on(reader, pixels, each, right) for each in simpler if each not in chosen]
    return _plainest([each for each in tried if _far_better(each, now)], best, now.reading, usuals)


def _first(first: Sequence[Reading], readings: Sequence[Reading]) -> list[Reading]:
    """The readings, those of `first` in front."""
    return sorted(readings, key=lambda each: each not in first)


def tried_on(reader: Reader, pixels: NDArray[Any], reading: Reading, right: Right) -> Tried:
    """A reading on all images."""
    outputs = reader.outputs(pixels, reading)
    given = labels(outputs)
    return Tried(reading, outputs, given, right(given, np.arange(len(pixels))))


def _screened(
    reader: Reader, pixels: NDArray[Any], now: Tried, right: Right, left: Sequence[Reading]
) -> list[Reading]:
    """The few readings that do best on a sample, those of `left`."""
    order = np.random.default_rng(0).permutation(len(pixels))
    for size, kept in _ROUNDS:
        some = order[:size]
        scores = [
            float(right(labels(reader.outputs(pixels[some], each)), some).mean()) for each in left
        ]
        best = sorted(range(len(left)), key=lambda at: -scores[at])[:kept]
        left = [left[at] for at in best]
    least = float(now.right[some].mean()) - _SLACK
    return [left[at] for at, place in enumerate(best) if scores[place] >= least]


def _far_better(each: Tried, now: Tried) -> bool:
    """Does a reading mend many errors, beyond chance, without one label for all?"""
    gained, lost = int((each.right & ~now.right).sum()), int((now.right & ~each.right).sum())
    most = np.unique(each.labels, return_counts=True)[1].max() / len(each.labels)
    return bool(
        (
            (~each.right).sum() <= _LEFT * (~now.right).sum()
            or gained - lost >= _GAIN * len(now.right)
        )
        and mcnemar(lost, gained) <= _CHANCE
        and most <= _ONE
    )


def _simpler(best: Reading, now: Reading, readings: Sequence[Reading]) -> list[Reading]:
    """The readings that differ from the present one in a part of what the best one differs in."""
    parts = ("order", "bgr", "values")

    def part(reading: Reading, name: str) -> object:
        if name == "order":
            return reading.order
        contract = reading.contract
        return contract.bgr if name == "bgr" else (contract.scale, contract.mean, contract.std)

    return [
        each
        for each in readings
        if each.changes(now) < best.changes(now)
        and all(part(each, name) in (part(best, name), part(now, name)) for name in parts)
    ]


def _plainest(
    fitting: Sequence[Tried], best: Tried, now: Reading, usuals: Sequence[Reading]
) -> Tried:
    """The reading of the fewest changes, the most usual first, that is not worse than the best
    beyond chance."""

    def as_good(each: Tried) -> bool:
        lost, gained = (best.right & ~each.right).sum(), (each.right & ~best.right).sum()
        return mcnemar(int(lost), int(gained)) > _WORSE or gained >= lost

    good = [each for each in fitting if as_good(each)]
    return min(good, key=lambda each: (each.reading.changes(now), usuals.index(each.reading)))
