"""Examples that nobody would recognise, told by a rule instead of by eye.

Shrestha and Großmann 2024 (Sec. 6, observation 1.2) leave out boundary attacks' examples that look
like noise, by eye, and find the true class among the two that the network thinks most likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.attacks.metrics import Spread, norms_of
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm

# An example less correlated with its image is not recognised: 13 of 200 of a boundary attack on a
# 1-bit network, as many as the paper's authors found by eye, and none on the float network.
LEAST: Final = 0.5


@dataclass(frozen=True)
class Recognition:
    """Successes of an attack that are not recognised: `count` of them, of which `in_top_2` have the
    true class among the network's two most likely. `norms`: distances of the other successes."""

    count: int
    in_top_2: int
    norms: dict[Norm, Spread]

    def json(self) -> dict[str, Any]:
        """The fields, beside the rule."""
        return {
            "rule": f"correlation below {LEAST}",
            "count": self.count,
            "in_top_2": self.in_top_2,
            "norms_without": {norm.value: spread.json() for norm, spread in self.norms.items()},
        }


def recognition(
    adversarial: Floats, images: Floats, outputs: Floats, labels: Ints, success: Bools
) -> Recognition:
    """The rule, for examples (n, d) of images (n, d); `outputs` (n, classes): the network's on the
    examples; `labels` (n,): true; `success` (n,): which of them count."""
    lost = success & (correlations(adversarial, images) < LEAST)
    top = in_top(outputs, labels, 2)
    kept = norms_of(adversarial, images, success & ~lost)
    return Recognition(int(lost.sum()), int((lost & top).sum()), kept)


def correlations(images: Floats, others: Floats) -> Doubles:
    """Pearson's correlation (n,) of flat images (n, d) with others, row by row: 1 where both are
    equal, 0 where one of them is of one colour."""
    mine, theirs = _centred(images), _centred(others)
    scale = np.sqrt((mine * mine).sum(axis=1) * (theirs * theirs).sum(axis=1))
    product = (mine * theirs).sum(axis=1)
    found = np.divide(product, scale, out=np.zeros(len(product)), where=scale > 0)
    return np.where((images == others).all(axis=1), 1.0, found)


def in_top(outputs: Floats, labels: Ints, count: int) -> Bools:
    """Is the label (n,) among the `count` largest outputs (n, classes)? Of equal outputs the first
    counts as the larger; a row with NaN has none.

    >>> in_top(np.array([[3.0, 2.0, 1.0]], np.float32), np.array([1]), 2).tolist()
    [True]
    """
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :count]
    found = (order == labels[:, None]).any(axis=1)
    return np.asarray(found & ~np.isnan(outputs).any(axis=1))


def _centred(images: Floats) -> Doubles:
    wide = images.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=1, keepdims=True))
