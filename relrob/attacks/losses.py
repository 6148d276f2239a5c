"""Losses of attacks as functions of logits, with their derivatives: what `Gradients.pulled` asks.

A loss is large where the attack does well. Losses are per image; nothing is averaged over a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relrob.attacks.goal import Goal
from relrob.domain.arrays import Doubles, Floats, Ints

# From logits (m, classes) and the images' rows to (loss (m,), derivative (m, classes)).
Loss = Callable[[Floats, Ints], tuple[Doubles, Floats]]


def cross_entropy(goal: Goal) -> Loss:
    """-log softmax of the true label; with targets, log softmax of the target. Source: Goodfellow
    et al. 2015, Kurakin et al. 2017."""
    chosen = goal.labels if goal.targets is None else goal.targets
    sign = 1.0 if goal.targets is None else -1.0

    def loss(logits: Floats, rows: Ints) -> tuple[Doubles, Floats]:
        wide = logits.astype(np.float64)
        wide = wide - wide.max(axis=1, keepdims=True)
        powers = np.exp(wide)
        total = powers.sum(axis=1)
        picked = (np.arange(len(logits)), chosen[rows])
        slope = powers / total[:, None]
        # The slope at the chosen label, p - 1, without the cancellation of a p near 1.
        slope[picked] = 0.0
        slope[picked] = -slope.sum(axis=1)
        return sign * (np.log(total) - wide[picked]), (sign * slope).astype(np.float32)

    return loss


def margin(goal: Goal) -> Loss:
    """The largest other logit minus the true label's, above 0 where the network is wrong; with
    targets, the target's logit minus the largest other."""

    def loss(logits: Floats, rows: Ints) -> tuple[Doubles, Floats]:
        here = np.arange(len(logits))
        mine = goal.labels[rows] if goal.targets is None else goal.targets[rows]
        wide = logits.astype(np.float64)
        value = wide[here, mine]
        wide[here, mine] = -np.inf
        rival = wide.argmax(axis=1)
        sign = 1.0 if goal.targets is None else -1.0
        slope = np.zeros(logits.shape, np.float32)
        slope[here, rival], slope[here, mine] = sign, -sign
        return sign * (wide[here, rival] - value), slope

    return loss


def dlr(labels: Ints, targets: Ints) -> Loss:
    """The targeted difference of logits ratio: -(z_y - z_t) / (z_1 - (z_3 + z_4) / 2), z_1 >= z_2
    >= ... the sorted logits. Source: Croce & Hein 2020, eq. 7. It needs 4 logits.

    `labels` (n,): y of each image. `targets` (n,): t.
    """

    def loss(logits: Floats, rows: Ints) -> tuple[Doubles, Floats]:
        here = np.arange(len(logits))
        wide = logits.astype(np.float64)
        order = np.argsort(-wide, axis=1, kind="stable")
        first, third, fourth = order[:, 0], order[:, 2], order[:, 3]
        mine, theirs = labels[rows], targets[rows]
        gap = wide[here, mine] - wide[here, theirs]
        spread = wide[here, first] - (wide[here, third] + wide[here, fourth]) / 2 + 1e-12
        slope = np.zeros_like(wide)
        for place, share in ((first, 1.0), (third, -0.5), (fourth, -0.5)):
            slope[here, place] += share * gap / spread**2
        slope[here, mine] -= 1 / spread
        slope[here, theirs] += 1 / spread
        return -gap / spread, slope.astype(np.float32)

    return loss


def weighted(weights: Floats) -> Loss:
    """The sum of the logits times these weights (rows, classes), one row an image: the gradient of
    any one logit, or of a difference."""

    def loss(logits: Floats, rows: Ints) -> tuple[Doubles, Floats]:
        mine = weights[rows].astype(np.float32)
        return (logits.astype(np.float64) * mine).sum(axis=1), mine

    return loss


def seeds_of(loss: Loss, rows: Ints) -> tuple[Callable[[Floats], Floats], list[Doubles]]:
    """(the seeds of `loss` for candidates of the images `rows`, a list that the losses of each
    chunk are appended to)."""
    values: list[Doubles] = []
    at = 0

    def seeds(logits: Floats) -> Floats:
        nonlocal at
        found, slope = loss(logits, rows[at : at + len(logits)])
        at += len(logits)
        values.append(found)
        return slope

    return seeds, values
