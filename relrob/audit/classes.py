"""Faults that labels alone show: classes in another order, one label for all, no better than
chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.audit.exact import mcnemar
from relrob.domain.arrays import Ints
from relrob.registry import load

# A permutation is found where it brings the labels to this agreement, and leaves at most this share
# of the disagreements, and the rest is no chance.
_AGREE: Final = 0.5
_LEFT: Final = 0.5
_CHANCE: Final = 1e-6
# Images by which a class must have moved.
_MOVED: Final = 3
# A label that so large a share of images has is the only one.
ONE: Final = 0.98
SPREAD: Final = 0.9
# (accuracy - chance) / (1 - chance) below this is near chance.
SKILL: Final = 0.2


@dataclass(frozen=True)
class Permutation:
    """Class `moved[0][0]` of one side is class `moved[0][1]` of the other, and so on.

    `before`, `after`: agreement as the labels are, and with the classes put back; the latter with
    each half of the images by the order that the other half shows.
    """

    moved: tuple[tuple[int, int], ...]
    before: float
    after: float
    order: tuple[int, ...]

    @property
    def text(self) -> str:
        """In words.

        >>> Permutation(((3, 8), (8, 3)), 0.8, 0.99, (0, 1, 2, 8, 4, 5, 6, 7, 3, 9)).text
        'classes 3 and 8 are swapped'
        """
        if len(self.moved) == 2 and self.moved[0] == self.moved[1][::-1]:
            return f"classes {self.moved[0][0]} and {self.moved[0][1]} are swapped"
        steps = ", ".join(f"{one} -> {other}" for one, other in self.moved)
        return f"classes are permuted ({steps})"


def confusion(first: Ints, second: Ints, classes: int) -> Ints:
    """Numbers of images with each label of `first` (rows) and `second` (columns). Labels outside
    0..classes-1 count nowhere."""
    known = (first >= 0) & (second >= 0) & (first < classes) & (second < classes)
    cells = first[known] * classes + second[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def permutation(first: Ints, second: Ints, classes: int) -> Permutation | None:
    """The order of the classes of `second` that fits `first` far better than the present one, or
    None.

    It solves the assignment problem of the confusion. An order is believed only where each half of
    the images confirms the order of the other half: agreement of at least a half, at most half of
    the disagreements left, a difference beyond chance (McNemar, 1e-6), and better than the most
    frequent class alone.
    """
    same = first == second
    if same.all() or len(first) < 2:
        return None
    order = _assigned(confusion(first, second, classes))
    if order == tuple(range(classes)):
        return None
    after = np.empty(len(first), bool)
    for half in (0, 1):
        there, here = slice(half, None, 2), slice(1 - half, None, 2)
        found = np.array(_assigned(confusion(first[there], second[there], classes)))
        after[here] = first[here] == _renamed(second[here], found)
    p = mcnemar(int((same & ~after).sum()), int((after & ~same).sum()))
    share, left = float(after.mean()), float((~after).mean() / (~same).mean())
    if share < max(_AGREE, float(same.mean())) or left > _LEFT or p > _CHANCE:
        return None
    # One label for nearly all images, on both sides, agrees under some order of the classes.
    chance = most(first)[1]
    if share - chance < SKILL * (1 - chance):
        return None
    moved = _moved(order, confusion(first, second, classes))
    return Permutation(moved, float(same.mean()), share, order) if moved else None


def renamed(labels: Ints, found: Permutation) -> Ints:
    """The labels with the classes put back."""
    return _renamed(labels, np.array(found.order))


def constant(labels: Ints, beside: Ints) -> tuple[int, float] | None:
    """The one label that nearly all images have, and their share, where the labels `beside` them
    are spread; else None."""
    label, share = most(labels)
    return (
        (label, share) if len(labels) > 1 and share >= ONE and most(beside)[1] <= SPREAD else None
    )


def skill(labels: Ints, truth: Ints) -> float:
    """(accuracy - chance) / (1 - chance), where chance always says the most frequent class. It is
    the accuracy where there is one class."""
    chance, right = most(truth)[1], float((labels == truth).mean())
    return right if chance == 1 else (right - chance) / (1 - chance)


def most(labels: Ints) -> tuple[int, float]:
    """The most frequent label, and the share of it."""
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / len(labels))


def _assigned(table: Ints) -> tuple[int, ...]:
    """For each column the row that it stands for, such that most images agree. Columns that the
    images do not decide stay, where their row is free."""
    stay = np.eye(len(table)) / (2 * len(table))
    assigned = load("scipy.optimize:linear_sum_assignment")
    rows, columns = assigned(table + stay, maximize=True)
    return tuple(int(row) for row in rows[np.argsort(columns)])


def _renamed(labels: Ints, order: Ints) -> Ints:
    known = (labels >= 0) & (labels < len(order))
    return np.where(known, order[np.where(known, labels, 0)], labels)


def _moved(order: tuple[int, ...], table: Ints) -> tuple[tuple[int, int], ...]:
    """(row, column) of the classes that images show in another place."""
    return tuple(
        (row, column)
        for row, column in sorted((row, column) for column, row in enumerate(order))
        if row != column and table[row, column] >= _MOVED
    )
