"""The goal of an attack: another label than the true one, or a label of its own for each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.domain.arrays import Bools, Ints, read_only
from relrob.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Goal:
    """`labels` (n,): the true label of each image. `targets` (n,): the label that each shall get,
    or None: any other than its own.

    Raises ShapeError where there are more or fewer targets than labels.
    """

    labels: Ints
    targets: Ints | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(np.asarray(self.labels, np.int64)))
        if self.targets is None:
            return
        object.__setattr__(self, "targets", read_only(np.asarray(self.targets, np.int64)))
        if self.targets.shape != self.labels.shape:
            raise ShapeError(
                f"{len(self.targets)} target labels for {len(self.labels)} images", "one an image"
            )

    def reached(self, found: Ints, rows: Ints | slice = slice(None)) -> Bools:
        """Do these labels (m,) of candidates for the images `rows` meet the goal? (m,). The label
        -1 of outputs with NaN is no class, and wrong.

        >>> Goal(np.array([3, 3]), np.array([5, 5])).reached(np.array([4, 5])).tolist()
        [False, True]
        """
        if self.targets is not None:
            return np.asarray(found == self.targets[rows])
        return np.asarray(found != self.labels[rows])

    def of(self, rows: Ints | slice) -> Goal:
        """The goal of some of the images."""
        targets = None if self.targets is None else self.targets[rows]
        return Goal(self.labels[rows], targets)
