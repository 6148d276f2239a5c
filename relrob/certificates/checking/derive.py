"""Re-derive a bound leaf in Arb ball arithmetic: every number here is a ball that contains the
exact value.

The runtime's pre-activations P of a layer are real ones p of inputs that quantising moved by at
most m, up to an error e. A hidden neuron passes on f(P) = min(max(P, 0), cap), which lies between
two lines over [low, high], whatever their slopes are, once their offsets are its extreme distances
from them at low, 0, cap and high. Going backward through these lines, a linear form of a layer
becomes one of the features z, whose maximum over { z in [0,1]^F : costs.z <= room } is at most
lambda * room + sum_g max(0, gain_g - lambda * cost_g) for ANY lambda >= 0 (weak duality; the lambda
of the fractional knapsack makes it equal). So slopes and lambdas cannot make a bound wrong, only
loose. On the part where some P are at least 0, and others at most 0, an upper bound stays one when
multiples of these P, none below 0 there, are added to what is bounded (the multipliers, or betas,
are arbitrary too).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from flint import arb, arb_mat, ctx, fmpq

from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.levels import Region, at_levels
from relrob.certificates.checking.reading.facts import Deployed, Facts

PRECISION: Final = 128
_ZERO: Final = Fraction(0)
_LEAST: Final = Fraction(1, 2**125)  # more than a subnormal number that counts as 0 can lose


@dataclass(frozen=True, eq=False)
class _Lines:
    """Of each neuron: `upper_slope` * P + `upper_intercept` >= f(P) >= `lower_slope` * P +
    `lower_intercept`, |P - p| <= `error` for real p of inputs that are `moved` by at most that much
    (in the first layer: for real p of the inputs as they are)."""

    upper_slope: list[Any]
    upper_intercept: list[Any]
    lower_slope: list[Any]
    lower_intercept: list[Any]
    error: list[Any]
    moved: list[Any]


def ball(value: Fraction | int | float) -> Any:
    """A ball around a number."""
    return (
        arb(fmpq(value.numerator, value.denominator)) if isinstance(value, Fraction) else arb(value)
    )


def _matrix(rows: list[list[Any]]) -> Any:
    return arb_mat(len(rows), len(rows[0]), [value for row in rows for value in row])


def _split(matrix: Any) -> tuple[Any, Any]:
    """max(entry, 0) and min(entry, 0), their sum contains the matrix."""
    entries = matrix.entries()
    plus = [value.nonnegative_part() for value in entries]
    minus = [-(-value).nonnegative_part() for value in entries]
    shape = (matrix.nrows(), matrix.ncols())
    return arb_mat(*shape, plus), arb_mat(*shape, minus)


class _Layer:
    """Balls of one layer, made once a certificate."""

    def __init__(self, facts: Facts) -> None:
        if facts.terms >= 1 << 19:
            raise InvalidError("a layer of so many inputs that nothing is proved in float32")
        self.facts = facts
        n, m = facts.weights.shape
        self.weights = arb_mat(n, m, facts.weights.ravel().tolist())
        sizes = np.abs(facts.weights) if facts.sizes is None else facts.sizes
        self.size = arb_mat(n, m, sizes.ravel().tolist())
        self.columns = (arb_mat(1, n, [1] * n) * self.size).entries()
        self.bias = [ball(value) for value in facts.bias]
        none = np.zeros(m)
        self.extra, self.slack = (
            [arb(value) for value in (none if given is None else given).tolist()]
            for given in (facts.extra, facts.slack)
        )
        self.cap = None if facts.cap is None else ball(facts.cap)
        if self.cap is not None and not self.cap.is_exact():
            raise InvalidError("a scale of an int8 layer that is no float32")

    def moved(self, high: list[Any]) -> list[Any]:
        """By how much quantising moves each of the inputs in [0, high]."""
        facts = self.facts
        step = ball(facts.share) * max(high, default=arb(0)) + ball(facts.shift)
        input_cap = None if facts.input_cap is None else ball(facts.input_cap)
        beyond = [arb(0) if input_cap is None else (h - input_cap).nonnegative_part() for h in high]
        return [(step + b).upper() if h > 0 else arb(0) for h, b in zip(high, beyond, strict=True)]

    def error(self, high: list[Any], moved: list[Any]) -> list[tuple[Any, Any]]:
        """How far pre-activations can be from real ones of the inputs in [0, high], and from real
        ones of the moved inputs."""
        facts, n = self.facts, len(high)
        given = [h + m for h, m in zip(high, moved, strict=True)]
        sums = (_matrix([moved, given]) * self.size).table()
        u = arb(2) ** -24
        gamma = facts.terms * u / (1 - facts.terms * u)
        total = sum(given, arb(0)) + 2 * n + 2
        if not facts.terms:  # over the reals
            stored = ball(facts.rounding)
            return [((shift + stored).upper(), stored.upper()) for shift in sums[0]]
        found, least = [], ball(_LEAST * facts.lift)
        limit = ball(facts.most_out)
        largest = max(given, default=arb(0))
        more = zip(self.extra, self.slack, strict=True)
        for shift, reached, bias, column, (extra, slack) in zip(
            *sums, self.bias, self.columns, more, strict=True
        ):
            spread = reached + abs(bias) + extra
            if not spread < limit or not largest < ball(facts.most_in):
                raise InvalidError("float32 could overflow")
            error = gamma * spread + ball(facts.rounding) + slack + least * (total + column)
            found.append(((shift + error).upper(), error.upper()))
        return found


def _lines(low: Any, high: Any, cap: Any, slopes: tuple[float, float]) -> tuple[Any, Any, Any, Any]:
    """(rise, over, fall, under) of one neuron, for slopes of any value."""
    ends = [low, high, *(at for at in (arb(0), cap) if at is not None and low < at < high)]
    passed = [_pass(at, cap) for at in ends]
    upper_slope, lower_slope = arb(slopes[0]), arb(slopes[1])
    upper_intercept = max(
        (p - upper_slope * at).upper() for p, at in zip(passed, ends, strict=True)
    )
    lower_intercept = min(
        (p - lower_slope * at).lower() for p, at in zip(passed, ends, strict=True)
    )
    return upper_slope, upper_intercept, lower_slope, lower_intercept


def _pass(value: Any, cap: Any) -> Any:
    """min(max(value, 0), cap) of an exact number."""
    value = value if value > 0 else arb(0)
    return value if cap is None or value < cap else cap


@dataclass
class Derivation:
    """Bounds of one network on parts of one ladder, for one label."""

    deployed: Deployed
    label: int
    _layers: list[_Layer] = field(init=False)
    _splits: dict[int, tuple[Any, Any]] = field(init=False)

    def __post_init__(self) -> None:
        with ctx.workprec(PRECISION):
            self._layers = [_Layer(facts) for facts in self.deployed.layers]
            later = enumerate(self._layers[1:], start=1)
            self._splits = {number: _split(layer.weights) for number, layer in later}

    @property
    def gap(self) -> Any:
        """Real outputs further apart than this give the label of the larger one."""
        classes = self.deployed.layers[-1].weights.shape[1]
        if self.deployed.end == "logits":
            return arb(0)
        if self.deployed.end == "float softmax":
            return arb(2) ** -10
        if classes >= 64:
            raise InvalidError("an int8 softmax over 64 classes or more")
        with ctx.workprec(PRECISION):
            return -(1 - arb(classes) / 64).log()

    def accepts(self, gap: float) -> bool:
        """Is this gap the one that is needed, or that of a float softmax, which is larger, where
        outputs are logits?"""
        larger = self.deployed.end == "logits" and gap == 2.0**-10
        return larger or bool(abs(self.gap - gap) < 2**-40)

    def margin(
        self,
        region: Region,
        slopes: list[dict[int, tuple[float, float]]],
        signs: list[dict[int, tuple[int, float]]] | None = None,
    ) -> Any:
        """Least margin (exact) of the label over the part; `slopes`: of each hidden layer, those of
        its bent neurons; `signs`: of each hidden layer, the side (1: at least 0, -1: at most 0) and
        the beta of the pre-activations that are fixed. None: no image has these signs.

        Raises InvalidError: a neuron without slopes that is neither on nor off, an overflow,
        outputs that could saturate.
        """
        with ctx.workprec(PRECISION):
            part = _Part(
                self._layers, self._splits, region, signs or [{} for _ in self._layers[:-1]]
            )
            try:
                return part.margin(self.label, slopes, self.gap)
            except _EmptyError:
                return None


class _EmptyError(Exception):
    """A part without images."""


class _Part:
    """The backward bounds of one leaf."""

    def __init__(
        self,
        layers: list[_Layer],
        splits: dict[int, tuple[Any, Any]],
        region: Region,
        signs: list[dict[int, tuple[int, float]]],
    ) -> None:
        region, off = at_levels(region, layers[0].facts)
        self._signs = signs
        self._layers, self._splits, self._region = layers, splits, region
        self._costs = [ball(cost) for cost in region.costs]
        self._room = ball(region.room)
        largest, rows = region.largest(), list[list[Any]]()
        if all(
            len(axes) == 1 for axes in region.axes
        ):  # each feature is a pixel: its direction is a row of the weights
            used = {axis: row for row, axis in enumerate(sorted({axes[0] for axes in region.axes}))}
            weights = layers[0].weights.table()
            self._moves = [weights[axis] for axis in used]
            self._uses = [
                (used[axes[0]], ball(moves[0]))
                for axes, moves in zip(region.axes, region.change, strict=True)
            ]
        else:
            for axes, moves in zip(region.axes, region.change, strict=True):
                row = dict(zip(axes, moves, strict=True))
                rows.append([ball(row.get(axis, _ZERO)) for axis in range(len(largest))])
            self._moves = (_matrix(rows) * layers[0].weights).table()
            self._uses = [(number, None) for number in range(len(rows))]
        start = (_matrix([[ball(pixel) for pixel in region.pixels]]) * layers[0].weights).entries()
        self._start = [value + bias for value, bias in zip(start, layers[0].bias, strict=True)]
        self._largest = [ball(pixel).upper() for pixel in largest]
        self._off = None if off is None else [ball(value).upper() for value in off]
        self._hidden: list[_Lines] = []

    def margin(self, label: int, slopes: list[dict[int, tuple[float, float]]], gap: Any) -> Any:
        if not len(slopes) == len(self._signs) == len(self._layers) - 1:
            raise InvalidError(
                f"slopes of {len(slopes)} layers for {len(self._layers) - 1} hidden ones"
            )
        high, moved = self._largest, self._off
        for number, given in enumerate(slopes):
            layer = self._layers[number]
            moved = layer.moved(high) if moved is None else moved
            error = layer.error(high, moved)
            ends = self._ends(number, [alone for alone, _ in error])
            left = [first if number == 0 else later for first, later in error]
            high = self._pass_on(number, ends, given, left, moved)
            moved = None
        last = len(self._layers) - 1
        moved = self._layers[last].moved(high) if moved is None else moved
        both = self._layers[last].error(high, moved)
        error, rest = [alone for alone, _ in both], [later for _, later in both]
        facts = self._layers[last].facts
        others = [other for other in range(len(error)) if other != label]
        roof = self._layers[last].cap
        if roof is not None and facts.floor is not None:
            ends = self._ends(last, error)
            if not (
                ends[label][0] > ball(facts.floor) + gap
                and all(ends[o][1] < roof - gap for o in others)
            ):
                raise InvalidError("outputs that could saturate, and tie")
        least = [
            -worst - rest[label] - rest[other]
            for other, worst in zip(others, self._worst(label, others, moved), strict=True)
        ]
        return min(value.lower() for value in _finite(least))

    def _worst(self, label: int, others: list[int], moved: list[Any]) -> list[Any]:
        """Upper bounds of output(other) - output(label), in real arithmetic after the hidden
        layers, whose values are `moved`."""
        classes = len(others) + 1
        pick = [[0] * len(others) for _ in range(classes)]
        for column, other in enumerate(others):
            pick[other][column], pick[label][column] = 1, -1
        difference = _matrix(pick)
        last = self._layers[-1]
        form = _split(last.weights * difference)
        doubt = (_matrix([moved]) * (form[0] - form[1])).entries()
        if not self._hidden:
            return self._extreme((_matrix([*self._moves, self._start]) * difference).table(), doubt)
        bias = (_matrix([last.bias]) * difference).entries()
        return self._upper(
            form, [value + more for value, more in zip(bias, doubt, strict=True)], with_betas=True
        )

    def _ends(self, number: int, error: list[Any]) -> list[tuple[Any, Any]]:
        """(lower, upper) of the runtime's pre-activations of a layer, exact numbers."""
        layer = self._layers[number]
        if number == 0:
            up = self._extreme([*self._moves, self._start], [arb(0)] * len(error))
            negated = [[-value for value in row] for row in (*self._moves, self._start)]
            down = self._extreme(negated, [arb(0)] * len(error))
        else:
            plus, minus = self._splits[number]
            up = self._upper((plus, minus), layer.bias)
            down = self._upper((-minus, -plus), [-value for value in layer.bias])
        sums = zip(_finite(up), _finite(down), error, strict=True)
        return [((-d - e).lower(), (u + e).upper()) for u, d, e in sums]

    def _pass_on(
        self,
        number: int,
        ends: list[tuple[Any, Any]],
        slopes: dict[int, tuple[float, float]],
        error: list[Any],
        moved: list[Any],
    ) -> list[Any]:
        """Lines over a hidden layer; returns the largest values that it passes on."""
        roof = self._layers[number].cap
        known = [*slopes, *self._signs[number]]
        if known and not 0 <= min(known) <= max(known) < len(ends):
            raise InvalidError(
                f"slopes or a sign of a neuron that layer {number + 1} does not have"
            )
        for neuron, (side, _) in self._signs[number].items():
            low, high = ends[neuron]
            ends[neuron] = (max(low, arb(0)), high) if side > 0 else (low, min(high, arb(0)))
            if ends[neuron][0] > ends[neuron][1]:
                raise _EmptyError
        columns = []
        for neuron, (low, high) in enumerate(ends):
            given = slopes.get(neuron)
            if given is None:
                off = high <= 0 or (
                    roof is not None and roof <= 0
                )  # a grid that ends at 0 passes nothing on
                if not (off or (low >= 0 and (roof is None or high <= roof))):
                    raise InvalidError(
                        f"neuron {neuron} of layer {number + 1} is neither on nor off, and has no slopes"
                    )
                given = (0.0, 0.0) if off else (1.0, 1.0)
            columns.append(_lines(low, high, roof, given))
        upper_slope, upper_intercept, lower_slope, lower_intercept = (
            list(column) for column in zip(*columns, strict=True)
        )
        self._hidden.append(
            _Lines(upper_slope, upper_intercept, lower_slope, lower_intercept, error, moved)
        )
        return [_pass(high, roof) for _, high in ends]

    def _upper(
        self, form: tuple[Any, Any], constant: list[Any], with_betas: bool = False
    ) -> list[Any]:
        """Upper bounds of the columns of `form` (split by sign) over what the last hidden layer
        passes on, plus constants; `with_betas`: with the multiples of pre-activations whose signs
        are fixed."""
        for depth in range(len(self._hidden) - 1, 0, -1):
            lines, layer = self._hidden[depth], self._layers[depth]
            above = [
                o + r * (e + b)
                for o, r, e, b in zip(
                    lines.upper_intercept, lines.upper_slope, lines.error, layer.bias, strict=True
                )
            ]
            below = [
                o + f * (b - e)
                for o, f, e, b in zip(
                    lines.lower_intercept, lines.lower_slope, lines.error, layer.bias, strict=True
                )
            ]
            added = _matrix([above]) * form[0] + _matrix([below]) * form[1]
            slope = _scaled(lines.upper_slope, form[0]) + _scaled(lines.lower_slope, form[1])
            if with_betas:
                beta, worth = self._betas(depth, layer.bias)
                slope, constant = (
                    slope + _columns(beta, slope.ncols()),
                    [value + worth for value in constant],
                )
            form = _split(layer.weights * slope)
            added += _matrix([lines.moved]) * (form[0] - form[1])
            constant = [value + more for value, more in zip(constant, added.entries(), strict=True)]
        lines = self._hidden[0]
        above = [
            o + r * (s + e)
            for o, r, s, e in zip(
                lines.upper_intercept, lines.upper_slope, self._start, lines.error, strict=True
            )
        ]
        below = [
            o + f * (s - e)
            for o, f, s, e in zip(
                lines.lower_intercept, lines.lower_slope, self._start, lines.error, strict=True
            )
        ]
        start = (_matrix([above]) * form[0] + _matrix([below]) * form[1]).entries()
        slope = _scaled(lines.upper_slope, form[0]) + _scaled(lines.lower_slope, form[1])
        if with_betas:
            beta, worth = self._betas(0, self._start)
            slope, start = slope + _columns(beta, slope.ncols()), [value + worth for value in start]
        gains = (_matrix(self._moves) * slope).table() if self._moves else []
        return self._extreme([*gains, start], constant)

    def _betas(self, depth: int, start: list[Any]) -> tuple[list[Any], Any]:
        """Signed multiples of a layer's pre-activations, and what they add at most beside what
        moves: P is `start` and more, up to the layer's error."""
        beta, worth, errors = [arb(0)] * len(start), arb(0), self._hidden[depth].error
        for neuron, (side, size) in self._signs[depth].items():
            beta[neuron] = arb(side * size)
            worth += beta[neuron] * start[neuron] + arb(size) * errors[neuron]
        return beta, worth

    def _extreme(self, rows: list[list[Any]], constant: list[Any]) -> list[Any]:
        """Upper bounds of constant + last row + max over the hull of z @ the other rows, column by
        column."""
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
        where all fits."""
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


def _finite(values: list[Any]) -> list[Any]:
    """The values, none of which is infinite or no number at all."""
    if not all(value.is_finite() for value in values):
        raise InvalidError("numbers beyond all bounds")
    return values


def _columns(values: list[Any], width: int) -> Any:
    """A matrix whose every column is the same."""
    return arb_mat(len(values), width, [value for value in values for _ in range(width)])


def _scaled(factors: list[Any], matrix: Any) -> Any:
    """Rows of a matrix times factors."""
    width = matrix.ncols()
    scaled = [value * factors[at // width] for at, value in enumerate(matrix.entries())]
    return arb_mat(matrix.nrows(), width, scaled)
