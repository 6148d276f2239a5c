"""Exact integer bounds on a fixed-point network over a cell: a box of codes, with ranges of the
outputs of hidden neurons.

A rival can win only where some integer forms of the last hidden layer are all >= 0 (`threats`). Any
multipliers m >= 0 of these forms, and any multipliers v of the accumulators, give an upper bound of
sum m.form over the cell (Lagrangian duality; Boyd and Vandenberghe, Convex Optimization, Ch. 5).
Going backward, a neuron adds at most max { g h(a) - v a } over its accumulators a, where h is the
staircase clip(a >> shift); each code x adds at most max { c x }. A bound below 0 closes the cell.
All numbers are integers: nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Ints
from relrob.networks.fixed.network import FixedLayer, FixedNetwork

# int64, or Python integers where int64 could overflow.
Whole = NDArray[Any]
_SAFE: Final = 2.0**61


@dataclass(frozen=True, eq=False)
class Form:
    """The form coefficients . h + constant; h (n,) are the values that enter the last layer."""

    coefficients: Ints
    constant: int


@dataclass(frozen=True, eq=False)
class Threat:
    """One way to lose the label: `rival` can be the answer only where all `forms` are >= 0."""

    rival: int
    forms: tuple[Form, ...]


def threats(network: FixedNetwork, label: int) -> list[Threat]:
    """Every way in which another class can win. Ties go to the lower index, and outputs tie where
    they are clipped."""
    last, found = network.layers[-1], []
    unit, top, bottom = 1 << last.shift, last.high << last.shift, (last.low + 1) << last.shift
    columns, offset = last.weights.T, last.offset.tolist()
    mine = Form(columns[label], offset[label])
    for rival in (other for other in range(network.classes) if other != label):
        theirs = Form(columns[rival], offset[rival])
        ahead = _combined(theirs, mine, -1 if rival > label else unit - 1)
        # Here the label's output is below the upper end.
        short = _combined(None, mine, top - 1)
        if rival > label:
            found.append(Threat(rival, (ahead, short, _combined(theirs, None, -bottom))))
            continue
        found.append(Threat(rival, (ahead, short)))
        found.append(Threat(rival, (_combined(theirs, None, -top), _combined(mine, None, -top))))
        found.append(Threat(rival, (_combined(None, mine, bottom - 1),)))
    return found


def _combined(plus: Form | None, minus: Form | None, constant: int) -> Form:
    """The form plus - minus + constant."""
    coefficients: Any = 0
    for sign, form in ((1, plus), (-1, minus)):
        if form is not None:
            coefficients, constant = (
                coefficients + sign * form.coefficients,
                constant + sign * form.constant,
            )
    return Form(np.asarray(coefficients, dtype=np.int64), constant)


def settled(network: FixedNetwork, cell: CodeCell) -> int | None:
    """The label of all code vectors of the cell, if all give the last layer the same values; else
    None."""
    last, low = network.layers[-1], cell.low[-1]
    if (low != cell.high[-1]).any():
        return None
    outputs = np.clip((low @ last.weights + last.offset) >> last.shift, last.low, last.high)
    return int(outputs.argmax())


# Layer (0: the codes), neuron, value k, and side: 0 for "at most k", 1 for "above k".
Split = tuple[int, int, int, int]


@final
@dataclass(frozen=True, eq=False)
class CodeCell:
    """A cell of code vectors.

    `low`, `high`: ends (n,) of the codes, then of each hidden layer's outputs; `sums`: ends of each
    hidden layer's accumulators, offset included; `natural`: the same before the outputs' ranges cut
    them; `path`: the splits that lead to the cell.
    """

    low: tuple[Ints, ...]
    high: tuple[Ints, ...]
    sums: tuple[tuple[Ints, Ints], ...]
    natural: tuple[tuple[Ints, Ints], ...]
    path: tuple[Split, ...] = ()

    def split(self, network: FixedNetwork, layer: int, neuron: int, value: int) -> list[CodeCell]:
        """The half in which the neuron is at most `value`, and the other half; empty ones are left
        out."""
        halves = []
        for side in (0, 1):
            low, high = list(self.low), list(self.high)
            ends = high if side == 0 else low
            ends[layer] = ends[layer].copy()
            ends[layer][neuron] = value + side
            cell = _cell(network, low, high, (*self.path, (layer, neuron, value, side)))
            halves += [cell] if cell is not None else []
        return halves


@dataclass(frozen=True, eq=False)
class Closed:
    """A closed cell: the exact bound closes it with these multipliers. Without any, it is empty or
    its code vectors have one label."""

    path: tuple[Split, ...]
    forms: Whole | None = None
    sums: tuple[Whole, ...] = ()


def cell_of(network: FixedNetwork, low: Ints, high: Ints) -> CodeCell:
    """The cell of a box of codes."""
    lows, highs = [low], [high]
    for layer in network.layers[:-1]:
        width = layer.weights.shape[1]
        lows.append(np.full(width, layer.low))
        highs.append(np.full(width, layer.high))
    cell = _cell(network, lows, highs, ())
    assert cell is not None  # noqa: S101 - a box of codes is not empty
    return cell


def _cell(
    network: FixedNetwork, low: list[Ints], high: list[Ints], path: tuple[Split, ...]
) -> CodeCell | None:
    """The cell of these ranges: accumulators by interval arithmetic, then the outputs, layer by
    layer; None when a range is empty."""
    sums, natural = [], []
    for number, layer in enumerate(network.layers[:-1], start=1):
        least, most = interval(layer, low[number - 1], high[number - 1])
        natural.append((least, most))
        first, last = steps(layer, low[number], high[number], least, most)
        if (first > last).any():
            return None
        sums.append((first, last))
        low[number] = np.clip(first >> layer.shift, layer.low, layer.high)
        high[number] = np.clip(last >> layer.shift, layer.low, layer.high)
    return CodeCell(tuple(low), tuple(high), tuple(sums), tuple(natural), path)


def interval(layer: FixedLayer, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """The least and the largest accumulators (n_out,) for inputs in [low, high]. Exact:
    `FixedNetwork` keeps sums below 2^63."""
    plus, minus = np.maximum(layer.weights, 0), np.minimum(layer.weights, 0)
    return low @ plus + high @ minus + layer.offset, high @ plus + low @ minus + layer.offset


def steps(
    layer: FixedLayer, low: Whole, high: Whole, least: Whole, most: Whole
) -> tuple[Whole, Whole]:
    """The first and the last accumulator in [least, most] (n,) with an output in [low, high]; first
    > last where there is none."""
    first = np.where(low > layer.low, np.maximum(low << layer.shift, least), least)
    last = np.where(high < layer.high, np.minimum(((high + 1) << layer.shift) - 1, most), most)
    return first, last


def bound(
    network: FixedNetwork, cell: CodeCell, threat: Threat, forms: Whole, sums: tuple[Whole, ...]
) -> int:
    """Upper bound of sum forms[k] * form k over the cell.

    The multipliers are integers: `forms` (k,) >= 0, `sums` (n,) of each hidden layer's
    accumulators, of any sign.
    """
    safe = _magnitude(network, cell, threat, forms, sums) < _SAFE
    kind = np.int64 if safe else object
    given: Whole = np.zeros(len(cell.low[-1]), dtype=kind)
    total = 0
    for weight, form in zip(forms.tolist(), threat.forms, strict=True):
        given = given + form.coefficients.astype(kind) * weight
        total += weight * form.constant
    for number in range(len(network.layers) - 2, -1, -1):
        layer, price = network.layers[number], sums[number].astype(kind)
        ends = (cell.low[number + 1], cell.high[number + 1], *cell.sums[number])
        total += int(_best(layer, given, price, *(each.astype(kind) for each in ends)).sum())
        total += sum(
            v * o for v, o in zip(sums[number].tolist(), layer.offset.tolist(), strict=True)
        )
        given = layer.weights.astype(kind) @ price
    low, high = cell.low[0].astype(kind), cell.high[0].astype(kind)
    return total + int(np.maximum(given * low, given * high).sum())


def _best(
    layer: FixedLayer, gain: Whole, price: Whole, low: Whole, high: Whole, least: Whole, most: Whole
) -> Whole:
    """max { gain h(a) - price a : least <= a <= most, low <= h(a) <= high } (n,).

    On one step of the staircase the best a is an end of the step. Between the outer steps the best
    value is linear in the step. So four steps are enough.
    """
    found = None
    for step in (low, np.minimum(low + 1, high), np.maximum(high - 1, low), high):
        first, last = steps(layer, step, step, least, most)
        value = gain * step - np.where(price > 0, price * first, price * last)
        found = value if found is None else np.maximum(found, value)
    return np.asarray(found)


def _magnitude(
    network: FixedNetwork, cell: CodeCell, threat: Threat, forms: Whole, sums: tuple[Whole, ...]
) -> float:
    """A float64 above the magnitude of every number that `bound` forms."""
    given = np.zeros(len(cell.low[-1]))
    total = 0.0
    for weight, form in zip(forms.tolist(), threat.forms, strict=True):
        given = given + np.abs(form.coefficients.astype(np.float64)) * weight
        total += weight * abs(form.constant)
    for number in range(len(network.layers) - 2, -1, -1):
        layer, price = network.layers[number], np.abs(sums[number].astype(np.float64))
        largest = np.maximum(np.abs(cell.low[number + 1]), np.abs(cell.high[number + 1])) + 1.0
        far = (
            np.maximum(*(np.abs(end.astype(np.float64)) for end in cell.natural[number]))
            + 2.0**layer.shift
        )
        total += float(
            given @ largest + price @ (far + largest * 2.0**layer.shift + np.abs(layer.offset))
        )
        given = np.abs(layer.weights.astype(np.float64)) @ price
    return 4 * (
        total
        + float(given @ np.maximum(np.abs(cell.low[0]), np.abs(cell.high[0])))
        + float(given.sum())
    )
