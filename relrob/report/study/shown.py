"""What figures of stages show beside rows: examples of attacks, and distributions of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Curves:
    """Cumulative distributions: `shares` of the values of each kind ("weights", "activations") that
    are at most each point of `grid` (k,). Raises ShapeError."""

    grid: Doubles
    shares: Mapping[str, Doubles]

    def __post_init__(self) -> None:
        if any(each.shape != self.grid.shape for each in self.shares.values()):
            raise ShapeError(
                f"curves of {[each.shape for each in self.shares.values()]}", f"{self.grid.shape}"
            )


@dataclass(frozen=True, eq=False)
class Examples:
    """Clean `images` and `adversarial` ones (n, H, W, C) in [0, 1], with their true `labels` and
    the labels `found` (n,) that the network gives the adversarial ones."""

    images: Floats
    adversarial: Floats
    labels: Ints
    found: Ints

    def first(self, most: int) -> Examples:
        """The first so many."""
        return Examples(*(values[:most] for values in vars(self).values()))

    @property
    def distances(self) -> Doubles:
        """L2 (n,) of each example from its image."""
        moves = (self.adversarial - self.images).reshape(len(self.images), -1)
        return np.asarray(np.linalg.norm(moves.astype(np.float64), axis=1))


class Shown(Protocol):
    """The files of a study's finished stages. With several of these axes the first is taken."""

    def curves(self, group: str, **axes: Any) -> Curves | None:
        """The distributions of a stage; None where it is not there."""
        ...

    def examples(self, group: str, **axes: Any) -> Examples | None:
        """The examples of a stage; None where it is not there, or its examples were left out."""
        ...


class Nothing:
    """No files: rows alone."""

    def curves(self, group: str, **axes: Any) -> Curves | None:
        """None."""
        return None

    def examples(self, group: str, **axes: Any) -> Examples | None:
        """None."""
        return None
