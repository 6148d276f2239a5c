"""Linear bounds (`relrob.bounding.linear`) over a ball cut by [0,1]^n. Its directions are pixels.

The support function of a ball cut by a box is a sum (L-infinity), the sum of the largest terms
(L0), or a fractional knapsack (L1). In L2 it is bounded by weak duality: any multiplier m >= 0
gives the upper bound sup_d { g.d - m/2 (|d|^2 - r^2) }, d in the box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import Final, final

import numpy as np

from relrob.bounding.linear import LinearBounds, Margins
from relrob.bounding.relaxation import Phase, PreActivations
from relrob.bounding.sets import At
from relrob.bounding.slopes import optimised, tuned
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.region import Norm
from relrob.networks.enclosure import Enclosure
from relrob.regions.ball import BallSet

_ROUNDS: Final = 24
# The relative accuracy of a multiplier. Any is sound; the bound errs by the square of its error.
_CLOSE: Final = 2.0**-20
# The number of pixels, by gain, that are tried before all of them.
_FIRST: Final = 32


@final
@dataclass(frozen=True, eq=False)
class BallHull:
    """The moves d (f,) with -down <= d <= up and `norm`(d) <= `radius`."""

    down: Doubles
    up: Doubles
    norm: Norm
    radius: float

    def support(self, gains: Doubles) -> Doubles:
        """At least max d @ gains, column by column: (f, n) -> (n,)."""
        if self.norm is Norm.LINF:
            return ((self.up + self.down) @ np.abs(gains) + (self.up - self.down) @ gains) / 2
        if self.norm is Norm.L2:
            multiplier = self._multiplier(gains)
            moves = self._box_maximiser(gains, multiplier)
            value = (moves * gains).sum(axis=0) - multiplier / 2 * (
                (moves * moves).sum(axis=0) - self.radius**2
            )
            return np.asarray(value)
        size, room = np.abs(gains), self._room(gains)
        if self.norm is Norm.L0:
            most = min(int(self.radius), len(gains))
            terms = size * room
            return np.asarray(
                np.partition(terms, len(terms) - most, axis=0)[len(terms) - most :].sum(axis=0)
            )
        order, share = self._shares(size, room)
        return np.asarray((np.take_along_axis(size, order, axis=0) * share).sum(axis=0))

    def maximiser(self, gains: Doubles) -> Doubles:
        """Moves d (f,) of the ball with the largest d @ gains, `gains` (f,), up to rounding."""
        column = gains[:, None]
        if self.norm is Norm.LINF:
            return np.where(gains > 0, self.up, np.where(gains < 0, -self.down, 0.0))
        if self.norm is Norm.L2:
            return self._box_maximiser(column, self._multiplier(column))[:, 0]
        size, room, moves = np.abs(column), self._room(column), np.zeros_like(gains)
        if self.norm is Norm.L0:
            chosen = np.argsort(-(size * room)[:, 0], kind="stable")[: int(self.radius)]
            moves[chosen] = (np.sign(column) * room)[chosen, 0]
            return moves
        order, share = self._shares(size, room)
        moves[order[:, 0]] = share[:, 0]
        return moves * np.sign(gains)

    def _room(self, gains: Doubles) -> Doubles:
        """The farthest move of each pixel to the side where its gain points: (f, n)."""
        return np.asarray(np.where(gains > 0, self.up[:, None], self.down[:, None]))

    def _shares(self, size: Doubles, room: Doubles) -> tuple[Ints, Doubles]:
        """The fractional knapsack of the L1 ball: the k best pixels by gain, and the move of each.

        Both are (k, n), column by column.
        """
        lost, most = np.where(room > 0, -size, 0.0), _FIRST
        while True:
            if most < len(lost):
                order = np.argpartition(lost, most, axis=0)[:most]
                order = np.take_along_axis(
                    order, np.argsort(np.take_along_axis(lost, order, axis=0), axis=0), axis=0
                )
            else:
                order = np.argsort(lost, axis=0)
            spent = np.take_along_axis(room, order, axis=0)
            before = np.cumsum(spent, axis=0) - spent
            if most >= len(lost) or bool((before[-1] + spent[-1] >= self.radius).all()):
                return order, np.clip(self.radius - before, 0.0, spent)
            most *= 4

    def _box_maximiser(self, gains: Doubles, multiplier: Doubles) -> Doubles:
        """The maximiser of g.d - m/2 |d|^2 over the box: (f, n)."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            free = np.where(gains == 0, 0.0, gains / multiplier)
        return np.asarray(np.clip(free, -self.down[:, None], self.up[:, None]))

    def _multiplier(self, gains: Doubles) -> Doubles:
        """The multiplier (n,) at which the maximiser has norm `radius`; near 0 where the box alone
        keeps it shorter.

        Newton's method from above. Pixels that the last multiplier puts at an end of their box stay
        there; the others share the rest.
        """
        room, squares = self._room(gains) ** 2, gains * gains
        found = np.sqrt(squares.sum(axis=0)) / self.radius
        for _ in range(_ROUNDS):
            full = squares >= room * (found * found)
            left = self.radius**2 - np.where(full, room, 0.0).sum(axis=0)
            better = np.sqrt(
                np.where(full, 0.0, squares).sum(axis=0)
                / np.maximum(left, np.finfo(np.float64).tiny)
            )
            better = np.minimum(found, better)
            done = bool((better >= found * (1 - _CLOSE)).all())
            found = better
            if done:
                break
        return np.asarray(found + np.finfo(np.float64).tiny)


@final
@dataclass(frozen=True, eq=False)
class Moves:
    """A ball as moves of single pixels.

    Move k changes pixel axes[k] by z_k change[k], z_k in [0,1], where z @ costs <= room. `axes`
    (f,): pixels; `change` (f,): float64, outward; `costs` (f,), `room`: integers; no costs: no
    limit. Only L1 and L-infinity balls, and the hulls of lattices, are such sets.
    """

    axes: Ints
    change: Doubles
    costs: tuple[int, ...]
    room: int

    @property
    def free(self) -> tuple[int, ...]:
        """The moves, by number."""
        return tuple(range(len(self.axes)))

    @property
    def integral(self) -> bool:
        """False: a move is made to any extent."""
        return False

    def prices(self) -> tuple[list[int], int]:
        """Costs and room."""
        return list(self.costs), self.room

    def point(self, ball: BallSet, shares: Doubles) -> Floats | None:
        """The image of the ball at the extents z = `shares` (f,)."""
        moves = np.zeros(len(ball.base))
        np.add.at(moves, self.axes, self.change * shares)
        return ball.point(moves)


def moves_of(ball: BallSet) -> Moves | None:
    """The ball as moves; None for L2 and L0."""
    if ball.norm not in (Norm.L1, Norm.LINF):
        return None
    up, down = np.flatnonzero(ball.up), np.flatnonzero(ball.down)
    change = np.concatenate([ball.up[up], -ball.down[down]])
    if ball.norm is Norm.LINF:
        return Moves(np.concatenate([up, down]), change, (), 0)
    exact = [Fraction(float(size)) for size in np.abs(change)]
    unit = lcm(*(size.denominator for size in exact), Fraction(ball.radius).denominator)
    costs = tuple(int(size * unit) for size in exact)
    return Moves(np.concatenate([up, down]), change, costs, int(Fraction(ball.radius) * unit))


@final
class MovedBounds:
    """Bounds over a whole ball, as `relrob.encoding.encode` takes them."""

    def __init__(self, bounds: BallBounds) -> None:
        self.enclosure, self.label = bounds.enclosure, bounds.label
        self._at, self._margins = bounds.at, bounds.margins()

    def margins(self, part: Moves) -> Margins:
        """Those of the ball."""
        return self._margins

    def neurons(self, part: Moves) -> tuple[PreActivations, ...]:
        """Those of the ball."""
        return self._margins.every

    def at(self, part: Moves) -> At:
        """The ball with the moves as directions."""
        return replace(self._at, moves=part.change[:, None] * self._at.moves[part.axes])


@final
class BallBounds:
    """Bounds of one enclosed network around one image, for one label."""

    def __init__(self, enclosure: Enclosure, ball: BallSet, label: int) -> None:
        self.enclosure, self.ball, self.label = enclosure, ball, label
        self._linear = LinearBounds(enclosure, label)
        first, base = enclosure.layers[0], ball.base.astype(np.float64)
        largest = np.maximum(base + ball.up, ball.down)
        hull = BallHull(ball.down, ball.up, ball.norm, ball.radius)
        start = base @ first.weights + first.bias
        magnitude = 3 * (largest @ first.size) + np.abs(first.bias)
        self.at = At(start, first.weights, hull, first.deviation(largest), magnitude)

    def margins(
        self, alphas: tuple[Doubles, ...] | None = None, phases: tuple[Phase, ...] | None = None
    ) -> Margins:
        """Bounds over the whole ball, or its part in these phases; `slopes` (d,) over the pixels.

        `alphas` (n,) of each hidden layer: lower slopes in [0, 1] of neurons that may change sign.
        """
        return self._linear.margins(self.at, (), alphas, phases)

    def alphas(self, found: Margins) -> tuple[Doubles, ...]:
        """Optimised alphas for the ball whose bounds are `found`."""
        return optimised(self._linear, self.at, found)

    def tuned(
        self, found: Margins, phases: tuple[Phase, ...]
    ) -> tuple[tuple[Doubles, ...], tuple[Phase, ...]]:
        """Optimised alphas, and phases with optimised betas, for the part of bounds `found`."""
        return tuned(self._linear, self.at, found, phases)

    def branching_scores(self, found: Margins, phases: tuple[Phase, ...]) -> list[Doubles]:
        """The branching scores (n,) of the neurons of each hidden layer, for the part."""
        return self._linear.branching_scores(found, phases)
