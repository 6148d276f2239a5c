"""The convex hull of a region's moves, and the extremes of linear forms over it.

The hull is { z in [0,1]^F : costs . z <= room }, one z a free feature. Over it a linear form
gains . z is at most lambda * room + sum_g max(0, gain_g - lambda * cost_g), for ANY lambda >= 0
(weak duality). The lambda of the fractional knapsack makes the two equal (G. B. Dantzig,
Discrete-Variable Extremum Problems, Operations Research 5(2), 1957). So lambda is computed in
float64: it cannot make a bound wrong, only loose.
Source: docs/certificates.md, "A bound leaf", step 3.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from flint import arb

from relrob.certificates.checking.arb import ball, matrix
from relrob.certificates.checking.levels import Region

_ZERO: Final = Fraction(0)


class Hull:
    """A region as the first layer sees it: p = start + sum over free g of z_g directions_g.

    `directions`: rows of balls, one ball an output. `start`: one ball an output.
    """

    def __init__(self, region: Region, weights: Any, bias: list[Any]) -> None:
        self._region = region
        self._costs = [ball(cost) for cost in region.costs]
        self._room = ball(region.room)
        if all(len(axes) == 1 for axes in region.axes):
            self._pixelwise(weights)
        else:
            self._featurewise(weights)
        start = (matrix([[ball(pixel) for pixel in region.pixels]]) * weights).entries()
        self.start = [value + more for value, more in zip(start, bias, strict=True)]

    def _pixelwise(self, weights: Any) -> None:
        """Each feature is one pixel: its direction is a row of the weights times its change."""
        region = self._region
        used = {axis: row for row, axis in enumerate(sorted({axes[0] for axes in region.axes}))}
        table = weights.table()
        self.directions = [table[axis] for axis in used]
        self._uses = [
            (used[axes[0]], ball(moves[0]))
            for axes, moves in zip(region.axes, region.change, strict=True)
        ]

    def _featurewise(self, weights: Any) -> None:
        """Features of several pixels: changes (F, d) times weights (d, m)."""
        region, rows = self._region, list[list[Any]]()
        for axes, moves in zip(region.axes, region.change, strict=True):
            row = dict(zip(axes, moves, strict=True))
            rows.append([ball(row.get(axis, _ZERO)) for axis in range(len(region.pixels))])
        self.directions = (matrix(rows) * weights).table()
        self._uses = [(number, None) for number in range(len(rows))]

    def upper(self, rows: list[list[Any]], constant: list[Any]) -> list[Any]:
        """Upper bounds, column by column, of constant + last row + max over the hull of z @ the
        other rows, which belong to `directions`."""
        *directions, start = rows
        found = [value + more for value, more in zip(start, constant, strict=True)]
        if not directions:
            return found
        gains = [
            directions[row] if factor is None else [factor * value for value in directions[row]]
            for row, factor in self._uses
        ]
        for column, price in enumerate(self._prices(gains)):
            worth = [gain[column] for gain in gains]
            extra = [
                (g - price * c).nonnegative_part() for g, c in zip(worth, self._costs, strict=True)
            ]
            found[column] = found[column] + price * self._room + sum(extra, arb(0))
        return found

    def _prices(self, gains: list[list[Any]]) -> list[Any]:
        """The gain per cost at which the fractional knapsack of each column is full, in float64; 0
        where all features fit."""
        worth = np.maximum(np.array([[float(gain) for gain in row] for row in gains]), 0)
        costs = np.array([float(cost) for cost in self._region.costs])[:, None]
        rate = worth / costs
        order = np.argsort(-rate, axis=0, kind="stable")
        filled = np.cumsum(
            np.broadcast_to(costs, rate.shape)[order, np.arange(rate.shape[1])], axis=0
        )
        full = filled > float(self._region.room)
        at = np.argmax(full, axis=0)
        price = np.where(
            full.any(axis=0),
            np.take_along_axis(rate, order, axis=0)[at, np.arange(rate.shape[1])],
            0.0,
        )
        return [arb(value) for value in np.where(np.isfinite(price), price, 0.0).tolist()]
