"""Which images are attacked: by the label that networks give them, and drawn at random.

Zhao et al. 2018 attack a whole validation set. Shrestha and Großmann 2024 draw 1,000 test images
that the source labels rightly, without replacement, in three independent runs; or they attack more
and keep the first that the target labels rightly too.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from relrob.attacks.parameters import whole_number
from relrob.domain.arrays import Bools, Ints
from relrob.errors import UsageError
from relrob_datasets.read_as import listed


class Filter(StrEnum):
    """Which images count, of those that were chosen."""

    NONE = "none"
    SOURCE_CORRECT = "source_correct"
    BOTH_CORRECT = "both_correct"

    @staticmethod
    def of(text: str) -> Filter:
        """From its word; hyphens stand for underscores. Raises UsageError.

        >>> Filter.of("source-correct").value
        'source_correct'
        """
        try:
            return Filter(str(text).strip().replace("-", "_"))
        except ValueError:
            words = ", ".join(each.value for each in Filter)
            raise UsageError(f"filter {text!r}", words, "--filter source_correct") from None

    def kept(self, source: Bools, target: Bools) -> Bools:
        """Which images (n,) count, where the source and the target label these rightly (n,)."""
        if self is Filter.NONE:
            return np.ones(len(source), np.bool_)
        return source.copy() if self is Filter.SOURCE_CORRECT else np.asarray(source & target)


def sample_size(count: int) -> int:
    """The number of --sample. Raises UsageError unless it is a whole one above 0."""
    return whole_number("a sample of", count, 1, "--sample 1000")


def drawn(candidates: Ints, count: int, seed: int) -> Ints:
    """`count` of the candidates (n,), at random without replacement, in their own order. Raises
    UsageError where there are fewer.

    >>> drawn(np.arange(5), 5, 0).tolist()
    [0, 1, 2, 3, 4]
    """
    count = sample_size(count)
    if count > len(candidates):
        raise UsageError(
            f"a sample of {count:,} images of {len(candidates):,} that may be attacked",
            f"up to {len(candidates):,}",
            "more --images, or another --filter",
        )
    # The first number tells this draw from others of the same seed.
    rng = np.random.default_rng([0x5A3B1E, seed])
    places = rng.choice(len(candidates), count, replace=False)
    return np.asarray(candidates[np.sort(places)])


def first(kept: Bools, indices: Ints, most: int | None) -> Bools:
    """Those of the kept images (n,) that are the first `most` by their `indices` (n,); all of them
    for None. Source: the code of Shrestha and Großmann 2024, which attacks 2,000 images and keeps
    the first 1,000 that the target labels rightly.

    >>> first(np.array([True, False, True, True]), np.array([9, 1, 4, 6]), 2).tolist()
    [False, False, True, True]
    """
    places = np.flatnonzero(kept)
    found = np.zeros(len(kept), np.bool_)
    found[places[np.argsort(indices[places], kind="stable")[:most]]] = True
    return found


def targets_of(
    text: str, labels: Ints, classes: int, least: Ints, seed: int, names: Sequence[str] = ()
) -> Ints:
    """The label (n,) that each image shall get.

    `text`: a label, for every image, those of that class included; "next": the true label plus 1,
    and 0 after the last; "random": another label than the true one; "least": the label `least` (n,)
    that the clean image is least like (Kurakin et al. 2017); else one of `names`, the classes in
    the order of labels. A name that is a number as well is a name. Raises UsageError.
    """
    if text == "next":
        return (labels + 1) % classes
    if text == "least":
        return np.asarray(least, np.int64)
    if text == "random":
        rng = np.random.default_rng([0x7A26E7, seed])
        return (labels + rng.integers(1, classes, len(labels))) % classes
    if text in names:
        return np.full(len(labels), list(names).index(text), np.int64)
    if not (text.isascii() and text.isdigit() and int(text[:9]) < classes and len(text) < 10):
        raise UsageError(
            f"target {text!r}",
            f"a label 0..{classes - 1}, next, random or least"
            + (f", or a class name: {listed(names)}" if names else ""),
            "--target-label next",
        )
    return np.full(len(labels), int(text), np.int64)
