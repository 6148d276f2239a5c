"""The checker of proofs about a fixed-point network in an L-infinity ball, in exact integers.

A proof is a partition of the box of codes into cells, and multipliers that close each of them.
Source: docs/certificates.md, "A fixed-point network".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.entries import InvalidError, inside, keys
from relrob.certificates.checking.reading.fixed import FixedFile, Layer

# Up to this scale a float32 pixel becomes a code without rounding in float64.
_FINEST: Final = 1 << 20
# An array of Python integers, which do not overflow.
Whole = NDArray[Any]


class _Layer:
    """A layer in Python's integers: accumulators a = x W + offset, outputs clip(a >> shift, low,
    high)."""

    def __init__(self, layer: Layer) -> None:
        self.shift, self.low, self.high = layer.shift, layer.low, layer.high
        self.weights: Whole = layer.weights.astype(object)
        half = 1 << (layer.shift - 1) if layer.shift else 0
        self.offset = [(b << layer.bias_shift) + half for b in layer.bias.tolist()]

    def output(self, sums: int) -> int:
        """The output of an accumulator."""
        return max(self.low, min(self.high, sums >> self.shift))

    def last(self, output: int) -> int | None:
        """The last accumulator that gives at most this output; None when all do."""
        return None if output >= self.high else ((output + 1) << self.shift) - 1

    def interval(self, low: Sequence[int], high: Sequence[int]) -> list[tuple[int, int]]:
        """Ends of the accumulators for inputs in [low, high]."""
        small, large = np.array(low, dtype=object)[:, None], np.array(high, dtype=object)[:, None]
        ends = (
            np.minimum(self.weights * small, self.weights * large),
            np.maximum(self.weights * small, self.weights * large),
        )
        sums = zip(*(end.sum(axis=0).tolist() for end in ends), self.offset, strict=True)
        return [(least + more, most + more) for least, most, more in sums]


@dataclass(frozen=True)
class _Cell:
    """Ranges of the codes and of each hidden layer's outputs, and of each hidden layer's
    accumulators."""

    outputs: list[list[tuple[int, int]]]
    sums: list[list[tuple[int, int]]]


def box(network: FixedFile, fed: list[Fraction], radius: Fraction) -> list[tuple[int, int]]:
    """The codes of the float32 images within `radius` of `fed`, pixel by pixel."""
    if network.pixel_scale > _FINEST:
        raise InvalidError(f"codes finer than {_FINEST} a pixel")
    found = []
    for pixel in fed:
        ends = (
            inside(max(pixel - radius, Fraction(0)), True),
            inside(min(pixel + radius, Fraction(1)), False),
        )
        low, high = ((end * network.pixel_scale + Fraction(1, 2)).__floor__() for end in ends)
        found.append((_cut_code(network, low), _cut_code(network, high)))
    return found


def _cut_code(network: FixedFile, code: int) -> int:
    return max(network.low, min(network.high, code))


def prove(network: FixedFile, codes: list[tuple[int, int]], label: int, given: Any) -> int:
    """No code vector of the box gets another label than `label`; returns the number of cells.
    Raises InvalidError."""
    layers = [_Layer(layer) for layer in network.layers]
    every = _threats(layers[-1], label, network.classes)
    if not isinstance(given, list) or len(given) != len(every):
        raise InvalidError(
            f"not one list of cells for each of the {len(every)} ways to lose the label"
        )
    cells, known = 0, _Cells(layers, codes)
    for (rival, forms), group in zip(every, given, strict=True):
        leaves = _leaves(group, layers, len(codes))
        for path, entry in leaves:
            if not _closed(layers, known.at(path), entry, forms, label):
                raise InvalidError(f"the cell {path} does not exclude class {rival}")
        cells += len(leaves)
    return cells


Form = tuple[list[int], int]


def _threats(last: _Layer, label: int, classes: int) -> list[tuple[int, list[Form]]]:
    """(class, forms that are all >= 0 where it can win): a higher class needs a larger output, a
    lower one an equal one."""
    column = [last.weights[:, c].tolist() for c in range(classes)]

    def form(plus: int | None, minus: int | None, constant: int) -> Form:
        coefficients = [0] * len(last.weights)
        for sign, c in ((1, plus), (-1, minus)):
            if c is not None:
                coefficients = [a + sign * b for a, b in zip(coefficients, column[c], strict=True)]
                constant += sign * last.offset[c]
        return coefficients, constant

    unit, top, bottom = 1 << last.shift, last.high << last.shift, (last.low + 1) << last.shift
    found: list[tuple[int, list[Form]]] = []
    for rival in range(classes):
        if rival > label:
            more = [form(rival, label, -1), form(None, label, top - 1), form(rival, None, -bottom)]
            found.append((rival, more))
        elif rival < label:
            found.append((rival, [form(rival, label, unit - 1), form(None, label, top - 1)]))
            found.append((rival, [form(rival, None, -top), form(label, None, -top)]))
            found.append((rival, [form(None, label, bottom - 1)]))
    return found


def _leaves(
    group: Any, layers: list[_Layer], pixels: int
) -> list[tuple[list[list[int]], dict[str, Any]]]:
    """(path, entry) of each cell, after checking that the paths are one tree in which every split
    has both its halves."""
    if not isinstance(group, list):
        raise InvalidError("cells that are not a list")
    widths = [pixels, *(len(layer.offset) for layer in layers[:-1])]
    leaves = []
    for each in group:
        path = keys(each, ("path", "forms", "sums"), "a cell")["path"]
        if not (isinstance(path, list) and all(_is_split(split, widths) for split in path)):
            raise InvalidError("a path that does not name neurons")
        leaves.append((path, each))
    groups = [(0, leaves)]
    while groups:
        depth, members = groups.pop()
        if len(members) == 1 and len(members[0][0]) == depth:
            continue
        splits = {tuple(path[depth]) if len(path) > depth else () for path, _ in members}
        if len(splits) != 2 or len({split[:3] for split in splits}) != 1:
            raise InvalidError("cells that leave code vectors out, or hold them twice")
        groups += [
            (depth + 1, [leaf for leaf in members if tuple(leaf[0][depth]) == split])
            for split in splits
        ]
    return leaves


def _is_split(split: Any, widths: list[int]) -> bool:
    """[layer, neuron, value, side]: side 0 for at most `value`, 1 for more."""
    if not (
        isinstance(split, list) and len(split) == 4 and all(type(entry) is int for entry in split)
    ):
        return False
    return 0 <= split[0] < len(widths) and 0 <= split[1] < widths[split[0]] and split[3] in (0, 1)


def _cell(
    layers: list[_Layer], codes: list[tuple[int, int]], path: list[list[int]]
) -> _Cell | None:
    """The cell at the end of a path; None when no code vector is in it."""
    limits: dict[tuple[int, int], tuple[int | None, int | None]] = {}
    for place, neuron, value, side in path:
        low, high = limits.get((place, neuron), (None, None))
        if side == 0:
            high = value if high is None else min(high, value)
        else:
            low = value + 1 if low is None else max(low, value + 1)
        limits[place, neuron] = low, high
    outputs = [[_cut(end, limits.get((0, at), (None, None))) for at, end in enumerate(codes)]]
    sums = []
    for number, layer in enumerate(layers[:-1], start=1):
        if any(low > high for low, high in outputs[-1]):
            return None
        found = []
        for at, (start, most) in enumerate(layer.interval(*zip(*outputs[-1], strict=True))):
            low, high = limits.get((number, at), (None, None))
            before = None if low is None else layer.last(low - 1)
            if low is not None and (before is None or low > layer.high):
                return None
            after = None if high is None else layer.last(high)
            if high is not None and high < layer.low:
                return None
            least = (
                start
                if low is None or low <= layer.low or before is None
                else max(start, before + 1)
            )
            found.append((least, most if after is None else min(most, after)))
        if any(least > most for least, most in found):
            return None
        sums.append(found)
        outputs.append([(layer.output(least), layer.output(most)) for least, most in found])
    return None if any(low > high for low, high in outputs[-1]) else _Cell(outputs, sums)


def _cut(end: tuple[int, int], limits: tuple[int | None, int | None]) -> tuple[int, int]:
    low, high = limits
    return (
        end[0] if low is None else max(end[0], low),
        end[1] if high is None else min(end[1], high),
    )


class _Cells:
    """The cells at the ends of paths, each made once: most ways to lose the label need only the
    whole box."""

    def __init__(self, layers: list[_Layer], codes: list[tuple[int, int]]) -> None:
        self._layers, self._codes = layers, codes
        self._made: dict[tuple[tuple[int, ...], ...], _Cell | None] = {}

    def at(self, path: list[list[int]]) -> _Cell | None:
        """The cell, None when no code vector is in it."""
        name = tuple(tuple(split) for split in path)
        if name not in self._made:
            self._made[name] = _cell(self._layers, self._codes, path)
        return self._made[name]


def _closed(
    layers: list[_Layer],
    cell: _Cell | None,
    entry: dict[str, Any],
    forms: list[Form],
    label: int,
) -> bool:
    """Is the cell empty, of one label, or excluded by its multipliers?"""
    if cell is None:
        return True
    if all(low == high for low, high in cell.outputs[-1]):
        last = layers[-1]
        sums = np.array([low for low, _ in cell.outputs[-1]], dtype=object) @ last.weights
        outputs = [
            last.output(value + more)
            for value, more in zip(sums.tolist(), last.offset, strict=True)
        ]
        if outputs.index(max(outputs)) == label:
            return True
    weights, pulls = entry["forms"], entry["sums"]
    if not (
        _whole(weights, len(forms)) and isinstance(pulls, list) and len(pulls) == len(layers) - 1
    ):
        raise InvalidError("multipliers that are not whole numbers, one for each form and neuron")
    if not all(_whole(pull, len(layer.offset)) for pull, layer in zip(pulls, layers, strict=False)):
        raise InvalidError("multipliers that are not whole numbers, one for each form and neuron")
    return min(weights) >= 0 and _bound(layers, cell, forms, weights, pulls) < 0


def _whole(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) is int for value in values)
    )


def _bound(
    layers: list[_Layer], cell: _Cell, forms: list[Form], weights: list[int], pulls: list[list[int]]
) -> int:
    """An upper bound of sum_k weights[k] * form_k on the cell: accumulators a are freed from their
    inputs x at the price pull * (x W + offset - a) (Lagrangian duality)."""
    total = sum(weight * constant for weight, (_, constant) in zip(weights, forms, strict=True))
    gains = [
        sum(weight * form[0][n] for weight, form in zip(weights, forms, strict=True))
        for n in range(len(forms[0][0]))
    ]
    for number in range(len(layers) - 2, -1, -1):
        layer, pull = layers[number], pulls[number]
        for gain, price, ends in zip(gains, pull, cell.sums[number], strict=True):
            total += max(gain * layer.output(a) - price * a for a in _corners(layer, *ends))
        total += sum(price * more for price, more in zip(pull, layer.offset, strict=True))
        gains = (layer.weights @ np.array(pull, dtype=object)).tolist()
    return total + sum(
        max(gain * low, gain * high)
        for gain, (low, high) in zip(gains, cell.outputs[0], strict=True)
    )


def _corners(layer: _Layer, least: int, most: int) -> set[int]:
    """The candidates for the largest gain * output(a) - price * a on [least, most], for any gain
    and price. On each step of the staircase the term is linear, so its maximum is at an end of a
    step. These ends change linearly from step to step, so it is at the outermost two on either
    side."""
    low, high = layer.output(least), layer.output(most)
    found = {least, most}
    for step in {low, min(low + 1, high), max(high - 1, low), high}:
        end = layer.last(step)
        before = layer.last(step - 1) if step > layer.low else None
        found |= {
            min(most, max(least, at))
            for at in (end, None if before is None else before + 1)
            if at is not None
        }
    return found
