"""Convex sets of images, as the first layer of a network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.networks.enclosure import Deviation


class Hull(Protocol):
    """A convex set of moves z (f,) along the directions of a region. The set holds 0."""

    def support(self, gains: Doubles) -> Doubles:
        """The support function, column by column: (f, n) -> (n,).

        At least max { z @ gains : z in the set }, up to `WIDEST_SLACK` times the largest
        |z| @ |gains| of the smallest box around the set.
        """
        ...

    def maximiser(self, gains: Doubles) -> Doubles:
        """A z (f,) of the set at which z @ gains, `gains` (f,), is largest, up to rounding."""
        ...


@dataclass(frozen=True, eq=False)
class At:
    """A set of images as the first layer sees it.

    `start` (n,): pre-activations where nothing moves; `moves` (f, n): the change by each direction;
    `hull`: the possible moves; `deviation`: of the runtime from real arithmetic; `magnitude` (n,):
    of the terms of a pre-activation. `start` and `moves` are right up to `WIDEST_SLACK` times the
    magnitude.
    """

    start: Doubles
    moves: Doubles
    hull: Hull
    deviation: Deviation
    magnitude: Doubles

    def highest(self, gains: Doubles) -> Doubles:
        """At least the most that moves can add, column by column: (f, n) -> (n,).

        Infinite where a gain is not a finite number.
        """
        return np.where(np.isfinite(gains.sum(axis=0)), self.hull.support(gains), np.inf)
