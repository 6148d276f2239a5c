"""The margin of a bound leaf, derived again in ball arithmetic.

A part of the region is propagated forward layer by layer. A hidden neuron is enclosed by two lines
(`relaxation`). Going backward through these lines, a linear form of a layer's outputs becomes one
of the features, whose extremes over the hull are known (`hull`). Slopes and multipliers come from
the certificate: they cannot make a bound wrong, only loose.

On a part where some pre-activations P have fixed signs, side * P >= 0. So an upper bound stays one
when multiples beta * side * P, beta >= 0, are added to what is bounded (Wang et al., Beta-CROWN,
NeurIPS 2021; certificates call these betas `pulls`).
Source: docs/certificates.md, "A bound leaf" and "Balls and lattices".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flint import arb, ctx

from relrob.certificates.checking.arb import (
    PRECISION,
    ball,
    finite,
    matrix,
    repeated,
    scaled,
    signed,
)
from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.hull import Hull
from relrob.certificates.checking.layer import ArbLayer
from relrob.certificates.checking.levels import Region, at_levels
from relrob.certificates.checking.reading.facts import Deployed
from relrob.certificates.checking.relaxation import Lines, lines_of, passed

# Of each neuron that has them: (upper slope, lower slope).
Slopes = dict[int, tuple[float, float]]
# Of each neuron whose sign is fixed: (side, beta); side 1 for P >= 0 and -1 for P <= 0.
Signs = dict[int, tuple[int, float]]


@dataclass
class Derivation:
    """Bounds of one network on parts of one region, for one label.

    Raises:
        InvalidError: a layer that the error analysis does not cover.
    """

    deployed: Deployed
    label: int
    _layers: list[ArbLayer] = field(init=False)
    _splits: dict[int, tuple[Any, Any]] = field(init=False)

    def __post_init__(self) -> None:
        with ctx.workprec(PRECISION):
            self._layers = [ArbLayer(facts) for facts in self.deployed.layers]
            later = enumerate(self._layers[1:], start=1)
            self._splits = {number: signed(layer.weights) for number, layer in later}

    @property
    def gap(self) -> Any:
        """The least difference of two real outputs at which the runtime gives the label of the
        larger one.

        Raises:
            InvalidError: an int8 softmax over 64 classes or more.
        """
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
        """Is this gap the one that is needed? Where outputs are logits, the larger gap of a float
        softmax is accepted too."""
        larger = self.deployed.end == "logits" and gap == 2.0**-10
        return larger or bool(abs(self.gap - gap) < 2**-40)

    def margin(self, region: Region, slopes: list[Slopes], signs: list[Signs] | None = None) -> Any:
        """The least margin (exact) of the label over the part that `region` and `signs` describe;
        None when no image has these signs. `slopes`, `signs`: one mapping a hidden layer.

        Raises:
            InvalidError: a neuron without slopes that is neither on nor off, an overflow, or
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
        layers: list[ArbLayer],
        splits: dict[int, tuple[Any, Any]],
        region: Region,
        signs: list[Signs],
    ) -> None:
        region, off = at_levels(region, layers[0].facts)
        self._layers, self._splits, self._signs = layers, splits, signs
        self._hull = Hull(region, layers[0].weights, layers[0].bias)
        self._largest = [ball(pixel).upper() for pixel in region.largest()]
        self._off = None if off is None else [ball(value).upper() for value in off]
        self._hidden: list[Lines] = []

    def margin(self, label: int, slopes: list[Slopes], gap: Any) -> Any:
        """The least margin of the label, an exact number."""
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
        last = self._layers[-1]
        moved = last.moved(high) if moved is None else moved
        both = last.error(high, moved)
        error, rest = [alone for alone, _ in both], [later for _, later in both]
        others = [other for other in range(len(error)) if other != label]
        self._check_saturation(label, others, error, gap)
        least = [
            -worst - rest[label] - rest[other]
            for other, worst in zip(others, self._worst(label, others, moved), strict=True)
        ]
        return min(value.lower() for value in finite(least))

    def _check_saturation(self, label: int, others: list[int], error: list[Any], gap: Any) -> None:
        """Raises InvalidError where two clipped outputs could be equal."""
        last = self._layers[-1]
        if last.cap is None or last.facts.floor is None:
            return
        ends = self._ends(len(self._layers) - 1, error)
        if not (
            ends[label][0] > ball(last.facts.floor) + gap
            and all(ends[o][1] < last.cap - gap for o in others)
        ):
            raise InvalidError("outputs that could saturate, and tie")

    def _worst(self, label: int, others: list[int], moved: list[Any]) -> list[Any]:
        """Upper bounds of output(other) - output(label), in real arithmetic after the hidden
        layers, whose values quantising moves by at most `moved`."""
        classes = len(others) + 1
        pick = [[0] * len(others) for _ in range(classes)]
        for column, other in enumerate(others):
            pick[other][column], pick[label][column] = 1, -1
        difference = matrix(pick)
        last, hull = self._layers[-1], self._hull
        form = signed(last.weights * difference)
        doubt = (matrix([moved]) * (form[0] - form[1])).entries()
        if not self._hidden:
            return hull.upper((matrix([*hull.directions, hull.start]) * difference).table(), doubt)
        bias = (matrix([last.bias]) * difference).entries()
        constant = [value + more for value, more in zip(bias, doubt, strict=True)]
        return self._upper(form, constant, split=True)

    def _ends(self, number: int, error: list[Any]) -> list[tuple[Any, Any]]:
        """(lower, upper) of the runtime's pre-activations of a layer, exact numbers."""
        layer, hull = self._layers[number], self._hull
        if number == 0:
            rows = [*hull.directions, hull.start]
            up = hull.upper(rows, [arb(0)] * len(error))
            negated = [[-value for value in row] for row in rows]
            down = hull.upper(negated, [arb(0)] * len(error))
        else:
            plus, minus = self._splits[number]
            up = self._upper((plus, minus), layer.bias)
            down = self._upper((-minus, -plus), [-value for value in layer.bias])
        sums = zip(finite(up), finite(down), error, strict=True)
        return [((-d - e).lower(), (u + e).upper()) for u, d, e in sums]

    def _pass_on(
        self,
        number: int,
        ends: list[tuple[Any, Any]],
        slopes: Slopes,
        error: list[Any],
        moved: list[Any],
    ) -> list[Any]:
        """Appends the lines of a hidden layer; returns the largest value of each neuron."""
        cap = self._layers[number].cap
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
                # A grid that ends at 0 passes nothing on.
                off = high <= 0 or (cap is not None and cap <= 0)
                if not (off or (low >= 0 and (cap is None or high <= cap))):
                    raise InvalidError(
                        f"neuron {neuron} of layer {number + 1} is neither on nor off, "
                        "and has no slopes"
                    )
                given = (0.0, 0.0) if off else (1.0, 1.0)
            columns.append(lines_of(low, high, cap, given))
        upper, over, lower, under = (list(column) for column in zip(*columns, strict=True))
        self._hidden.append(Lines(upper, over, lower, under, error, moved))
        return [passed(high, cap) for _, high in ends]

    def _upper(self, form: tuple[Any, Any], constant: list[Any], split: bool = False) -> list[Any]:
        """Upper bounds of the columns of `form` (its positive and negative part) times the outputs
        of the last hidden layer, plus constants; `split`: with the multiples of pre-activations
        whose signs are fixed."""
        for depth in range(len(self._hidden) - 1, 0, -1):
            slope, added = self._through(depth, form, self._layers[depth].bias, split)
            form = signed(self._layers[depth].weights * slope)
            added += matrix([self._hidden[depth].moved]) * (form[0] - form[1])
            constant = [value + more for value, more in zip(constant, added.entries(), strict=True)]
        slope, start = self._through(0, form, self._hull.start, split)
        gains = (matrix(self._hull.directions) * slope).table() if self._hull.directions else []
        return self._hull.upper([*gains, start.entries()], constant)

    def _through(
        self, depth: int, form: tuple[Any, Any], start: list[Any], split: bool
    ) -> tuple[Any, Any]:
        """A form of a hidden layer's outputs as (coefficients of its pre-activations, constants
        (1, columns)); `start`: the part of the pre-activations that does not vary."""
        lines = self._hidden[depth]
        added = matrix([lines.above(start)]) * form[0] + matrix([lines.below(start)]) * form[1]
        slope = scaled(lines.upper_slope, form[0]) + scaled(lines.lower_slope, form[1])
        if split:
            betas, worth = self._betas(depth, start)
            slope += repeated(betas, slope.ncols())
            added = added + matrix([[worth] * slope.ncols()])
        return slope, added

    def _betas(self, depth: int, start: list[Any]) -> tuple[list[Any], Any]:
        """(signed multiple of each pre-activation P of a layer, the most that these multiples add
        beside what varies). P is `start` and what varies, up to the layer's error."""
        betas, worth, errors = [arb(0)] * len(start), arb(0), self._hidden[depth].error
        for neuron, (side, size) in self._signs[depth].items():
            betas[neuron] = arb(side * size)
            worth += betas[neuron] * start[neuron] + arb(size) * errors[neuron]
        return betas, worth
