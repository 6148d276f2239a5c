"""Does a network read images in another way than it is given them?

The usual readings are tried, and one is named where it fits far better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relrob.audit.exact import mcnemar
from relrob.audit.kinship import as_probabilities, divergence
from relrob.audit.reading import OWN, Reader, Reading, present, usual
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.networks.evaluator import labels

# Images of the first and the second round, and readings that reach the next round.
_ROUNDS: Final = ((24, 6), (160, 3))
# Of the loss so large a share, as a multiple of what a right reading leaves, may be left on the
# images of the second round: their mean loss varies.
_UNSURE: Final = 1.25
# Images of the last round.
_LAST: Final = 2000
# So large a share of right labels needs no other reading.
ENOUGH: Final = 0.995
# A reading is found where at most this share of the errors is left, or so many more labels are
# right, beyond chance,
_LEFT: Final = 0.85
_GAIN: Final = 0.1
_CHANCE: Final = 1e-2
# and where it leaves at most this share of the mean loss: against true labels, against another
# network, and for the images' own mean and std, which help networks that are hardly trained.
_CALMER: Final = 0.68
_CALMER_OTHER: Final = 0.45
_CALMER_OWN: Final = 0.4
# A reading goes on where it is not worse than the present one by more than this on the sample.
_SLACK: Final = 0.01
# A reading is as good as the best one where it is not worse beyond this chance.
_WORSE: Final = 0.01
# A reading may have this times the least mean loss.
_SURPRISE: Final = 1.05
# Under a reading no label has more images than this.
_ONE: Final = 0.9


@dataclass(frozen=True, eq=False)
class Aim:
    """What a network should say of images: `labels` (n,) and `shares` (n, classes), the probability
    of each class. `calmer`: the share of the loss that a right reading leaves at most."""

    labels: Ints
    shares: Doubles
    calmer: float

    @staticmethod
    def true(truth: Ints, classes: int) -> Aim:
        """The true labels (n,)."""
        return Aim(truth, np.eye(classes)[truth], _CALMER)

    @staticmethod
    def other(outputs: Floats) -> Aim:
        """The outputs (n, classes) of another network."""
        return Aim(labels(outputs), as_probabilities(outputs), _CALMER_OTHER)

    def of(self, images: Ints) -> Aim:
        """The same of some of the images."""
        return replace(self, labels=self.labels[images], shares=self.shares[images])


@dataclass(frozen=True, eq=False)
class Tried:
    """A reading of some images: outputs (k, classes), labels (k,), which of these are right, and
    the mean `loss`, the divergence from the right probabilities."""

    reading: Reading
    outputs: Floats
    labels: Ints
    right: Bools
    loss: float

    @property
    def share(self) -> float:
        """Of the labels, those that are right."""
        return float(self.right.mean())


def found_reading(
    reader: Reader,
    pixels: NDArray[Any],
    outputs: Floats,
    aim: Aim,
    preferred: Sequence[Reading] = (),
) -> Tried | None:
    """The reading of images (n, H, W, C) that fits far better than the present one, on all of them,
    or None.

    `outputs`: of all images as they are read now. `aim`: the labels that are right, those of
    the data or of the other network. `preferred`: readings that win where they are as good.

    Every reading runs 24 images and six run 160. Those that lower the loss there, three at most
    and none for a network that is read as it should be, run 2,000; the one that is found runs all.
    """
    if float((labels(outputs) == aim.labels).mean()) >= ENOUGH:
        return None
    order = np.random.default_rng(0).permutation(len(pixels))[:_LAST]
    some = aim.of(order)
    now = _tried(present(reader.network), outputs[order], some)
    usuals = sorted(usual(reader.network, pixels), key=lambda each: each not in preferred)
    chosen = _screened(reader, pixels[order], some, now, usuals)
    chosen += [each for each in preferred if each in usuals and each not in chosen]
    fitting = [
        each
        for reading in chosen
        if far_better(each := tried_on(reader, pixels[order], some, reading), now, aim.calmer)
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda each: each.share)
    fitting += [
        each
        for reading in _simpler(best.reading, now.reading, usuals)
        if reading not in chosen
        and far_better(each := tried_on(reader, pixels[order], some, reading), now, aim.calmer)
    ]
    found = _plainest(fitting, best, now.reading, usuals, preferred)
    return tried_on(reader, pixels, aim, found.reading)


def tried_on(reader: Reader, pixels: NDArray[Any], aim: Aim, reading: Reading) -> Tried:
    """A reading of these images."""
    return _tried(reading, reader.outputs(pixels, reading), aim)


def _tried(reading: Reading, outputs: Floats, aim: Aim) -> Tried:
    given = labels(outputs)
    return Tried(reading, outputs, given, given == aim.labels, divergence(outputs, aim.shares))


def _screened(
    reader: Reader, pixels: NDArray[Any], aim: Aim, now: Tried, left: Sequence[Reading]
) -> list[Reading]:
    """The few of these readings that do best on the first images, and calm the network there."""
    scored = [_Screened(0.0, 0.0, each) for each in left]
    for size, kept in _ROUNDS:
        first = aim.of(np.arange(min(size, len(pixels))))
        scored = [_screen(reader, pixels[:size], first, each.reading) for each in scored]
        scored = sorted(scored, key=lambda each: -each.share)[:kept]
    begun = slice(0, _ROUNDS[-1][0])
    least = float(now.right[begun].mean()) - _SLACK
    loss = divergence(now.outputs[begun], aim.shares[begun])
    most = min(_UNSURE * aim.calmer, 1.0) * loss
    return [each.reading for each in scored if each.share >= least and each.loss <= most]


class _Screened(NamedTuple):
    """A reading on the first images: its share of right labels and its mean loss."""

    share: float
    loss: float
    reading: Reading


def _screen(reader: Reader, pixels: NDArray[Any], aim: Aim, reading: Reading) -> _Screened:
    tried = tried_on(reader, pixels, aim, reading)
    return _Screened(tried.share, tried.loss, reading)


def far_better(each: Tried, now: Tried, calmer: float) -> bool:
    """Does a reading mend many errors, beyond chance, and lower the loss, without one label for
    nearly all images?"""
    gained, lost = int((each.right & ~now.right).sum()), int((now.right & ~each.right).sum())
    most = np.unique(each.labels, return_counts=True)[1].max() / len(each.labels)
    errors = int((~now.right).sum())
    return bool(
        (errors + lost - gained <= _LEFT * errors or gained - lost >= _GAIN * len(now.right))
        and mcnemar(lost, gained) <= _CHANCE
        and each.loss <= min(calmer, _CALMER_OWN if each.reading.name == OWN else 1) * now.loss
        and most <= _ONE
    )


def _simpler(best: Reading, now: Reading, readings: Sequence[Reading]) -> list[Reading]:
    """The readings that differ from the present one in a part of what the best one differs in."""

    def parts(reading: Reading) -> tuple[object, ...]:
        contract = reading.contract
        return reading.order, contract.bgr, (contract.scale, contract.mean, contract.std)

    return [
        each
        for each in readings
        if each.changes(now) < best.changes(now)
        and all(
            mine in pair
            for mine, pair in zip(
                parts(each), zip(parts(best), parts(now), strict=True), strict=True
            )
        )
    ]


def _plainest(
    fitting: Sequence[Tried],
    best: Tried,
    now: Reading,
    usuals: Sequence[Reading],
    preferred: Sequence[Reading],
) -> Tried:
    """Of the readings that are as good as the best, those that change least; of these the most
    usual one that surprises the network no more than others."""

    def as_good(each: Tried) -> bool:
        lost, gained = (best.right & ~each.right).sum(), (each.right & ~best.right).sum()
        return mcnemar(int(lost), int(gained)) > _WORSE or gained >= lost

    good = [each for each in fitting if as_good(each)]
    fewest = min(each.reading.changes(now) for each in good)
    left = [each for each in good if each.reading.changes(now) == fewest]
    least = min(each.loss for each in left)
    calm = [each for each in left if each.loss <= _SURPRISE * least or each.reading in preferred]
    return min(calm, key=lambda each: usuals.index(each.reading))
