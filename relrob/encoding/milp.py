"""An encoding as rows and columns of a mixed-integer program, and safe lower bounds of its linear
relaxation.

Weak duality holds for any multipliers y that a float solver returns. For every x between its ends
with lower <= A x <= upper
    c.x = y.(A x) + (c - y A).x >= sum_i min y_i r_i + sum_j min (c - y A)_j x_j,
the first minima over the ends r_i of the rows, the second over the ends x_j of the columns
(Neumaier & Shcherbina 2004, Safe bounds in linear and mixed-integer linear programming, Sec. 2).
All columns here have finite ends. The right side is computed in float64 and lowered by more than
its rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.rounding import UNDERFLOW, WIDEST_SLACK
from relrob.encoding.encode import Encoding, Neuron, Refutation


@final
@dataclass(frozen=True, eq=False)
class Program:
    """`lower` <= `matrix` @ x <= `upper`, `least` <= x <= `most`, x an integer where `whole`.

    The columns are the features, then four for each neuron: its pre-activation p, its output a, is
    it on (d), and is it at its cap (e). `features`: their number; `outputs`: the columns of the
    a's.
    """

    matrix: Doubles
    lower: Doubles
    upper: Doubles
    least: Doubles
    most: Doubles
    whole: Bools
    features: int
    outputs: Ints

    def objective(self, refutation: Refutation) -> Doubles:
        """The coefficients of the refutation over the columns."""
        found = np.zeros(len(self.least))
        found[: self.features] = refutation.coefficients[: self.features]
        found[self.outputs] = refutation.coefficients[self.features :]
        return found

    def safe_bound(
        self, multipliers: Doubles, objective: Doubles, least: Doubles, most: Doubles
    ) -> float:
        """A lower bound of objective @ x over the rows and least <= x <= most, for any multipliers;
        -inf where these are not finite."""
        if not np.isfinite(multipliers).all():
            return -inf
        ends = np.where(multipliers > 0, self.lower, self.upper)
        usable = (multipliers != 0) & np.isfinite(ends)
        y = np.where(usable, multipliers, 0.0)
        rows = y * np.where(usable, ends, 0.0)
        rest = objective - y @ self.matrix
        doubt = WIDEST_SLACK * (np.abs(objective) + np.abs(y) @ np.abs(self.matrix))
        far = np.maximum(np.abs(least), np.abs(most))
        value = rows.sum() + np.minimum(rest * least, rest * most).sum()
        lost = WIDEST_SLACK * (
            np.abs(rows).sum() + np.abs(rest) @ far + UNDERFLOW * (len(rows) + len(far) + far.sum())
        )
        lost += 2 * doubt @ far
        return float(value - lost) if np.isfinite(value) and np.isfinite(lost) else -inf


def program(encoding: Encoding) -> Program:
    """The encoding in big-M rows: exact for integers, the triangle of each ReLU once relaxed."""
    f, n = len(encoding.part.free), len(encoding.neurons)
    columns = f + 4 * n
    outputs = f + 4 * np.arange(n) + 1
    rows: list[tuple[Doubles, float, float]] = []
    least, most = np.zeros(columns), np.ones(columns)
    if encoding.costs()[0]:
        budget = np.zeros(columns)
        budget[:f] = _shares(encoding)
        rows.append((budget, -inf, 1.0))
    for number, neuron in enumerate(encoding.neurons):
        at = f + 4 * number
        least[at : at + 4] = neuron.low, 0.0, float(neuron.low >= 0), 0.0
        most[at : at + 4] = neuron.high, neuron.top, 1.0, float(neuron.capped)
        row = np.zeros(columns)
        row[:f], row[outputs] = -neuron.coefficients[:f], -neuron.coefficients[f:]
        row[at] = 1.0
        rows.append((row, neuron.lower, neuron.upper))
        rows += [(_at(columns, at, four), lower, upper) for four, lower, upper in _relu(neuron)]
    whole = np.zeros(columns, dtype=np.bool_)
    whole[:f] = encoding.part.integral
    for kind in (2, 3):
        whole[f + kind :: 4] = True
    matrix = np.array([row for row, _, _ in rows]).reshape(len(rows), columns)
    lower, upper = (np.array([row[end] for row in rows]) for end in (1, 2))
    return Program(matrix, lower, upper, least, most, whole, f, outputs)


def _relu(neuron: Neuron) -> list[tuple[tuple[float, float, float, float], float, float]]:
    """The rows of a ReLU over (p, a, d, e): a <= top d; a <= p - low (1 - d); a >= p, or at the cap
    a >= cap."""
    low = min(neuron.low, 0.0)
    rows = [((0.0, 1.0, -neuron.top, 0.0), -inf, 0.0), ((-1.0, 1.0, -low, 0.0), -inf, -low)]
    if not neuron.capped:
        return [*rows, ((-1.0, 1.0, 0.0, 0.0), 0.0, inf)]
    above = float(np.nextafter(max(neuron.high - neuron.cap_low, 0.0), inf))
    return [
        *rows,
        ((-1.0, 1.0, 0.0, above), 0.0, inf),
        ((0.0, 1.0, 0.0, -neuron.cap_low), 0.0, inf),
    ]


def _at(columns: int, at: int, four: tuple[float, float, float, float]) -> Doubles:
    row = np.zeros(columns)
    row[at : at + 4] = four
    return row


def _shares(encoding: Encoding) -> list[float]:
    """The share of each feature in the rest of the radius, rounded down. Shares sum to at most 1 on
    every point."""
    costs, room = encoding.costs()
    return [float(np.nextafter(float(Fraction(cost, room)), 0.0)) for cost in costs]
