"""Where in a graph layers stand: the order of two lists of layers says nothing of branches, and the
layers from which each is computed do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from relrob.domain.arrays import Bools
from relrob.networks.weighted import Weighted

Pair = tuple[int, int]


def parents(layers: Sequence[Weighted], number: int) -> tuple[Weighted, ...]:
    """The nearest of the layers from which layer `number` is computed."""
    behind = layers[number].ancestors
    further = frozenset().union(*(layers[each].ancestors for each in behind))
    return tuple(layers[each] for each in sorted(behind - further))


class Places:
    """The places of the quantised network's layers `theirs` beside those of the reference's layers
    `ours`, as many of every shape.

    An order names a layer of the reference for each place.
    """

    def __init__(self, ours: Sequence[Weighted], theirs: Sequence[Weighted]) -> None:
        self._ours, self._theirs = _ancestry(ours), _ancestry(theirs)
        self._functions = tuple(
            [(layer.activated, layer.relu) for layer in layers] for layers in (ours, theirs)
        )
        shapes = [layer.shape for layer in theirs]
        self._alike = [
            (one, other)
            for one, other in itertools.combinations(range(len(theirs)), 2)
            if shapes[one] == shapes[other]
        ]

    def settled(self, order: Sequence[int], free: Callable[[int, int], bool]) -> list[int]:
        """The order with layers exchanged that stand for each other as well (`free`, of two
        places), where they fit the graph better so: first among the others, then among each other.
        """
        if not self._misplaced(order):
            return list(order)
        pairs = [pair for pair in self._alike if free(*pair)]
        fixed = sorted(set(range(len(order))) - {place for pair in pairs for place in pair})
        found = _improved(order, pairs, lambda tried: self._misplaced(tried, fixed))
        return _improved(found, pairs, self._misplaced)

    def expected(self, order: Sequence[int], sure: Callable[[int], bool]) -> list[int]:
        """The order that the graph asks for: layers whose weights are known (`sure`, of a place)
        change places where `order` has them elsewhere in the graph.

        A layer is elsewhere where other layers are computed from it, or it from others. Where the
        two graphs differ in more than such layers, that one of two layers is computed from the
        other in one graph, and the other from the one in the other graph, says so alone. Parallel
        layers of the same place differ by activations: where each of two has those of the other, in
        both graphs.
        """
        pairs = [pair for pair in self._alike if all(sure(place) for place in pair)]
        found = _improved(order, pairs, self._misplaced)
        if self._misplaced(found):
            return _improved(order, pairs, self._reversed)
        for one, other in pairs:
            exchanged = _exchanged(found, one, other)
            if self._crossed(found, one, other) and not self._misplaced(exchanged):
                found = exchanged
        return found

    def _misplaced(self, order: Sequence[int], among: Sequence[int] | None = None) -> int:
        """Pairs of layers of which one is computed from the other in one graph alone; `among`: of
        which one stands at these places."""
        wrong = self._theirs != self._at(order)
        return int(wrong.sum() if among is None else wrong[among].sum() + wrong[:, among].sum())

    def _reversed(self, order: Sequence[int]) -> int:
        """Pairs of layers that are computed from each other the other way round."""
        return int((self._theirs & self._at(order).T).sum())

    def _at(self, order: Sequence[int]) -> Bools:
        found: Bools = self._ours[np.ix_(order, order)]
        return found

    def _crossed(self, order: Sequence[int], one: int, other: int) -> bool:
        """Has each of two places the activations of the layer that stands at the other?"""
        ours, theirs = self._functions
        first, second = ours[order[one]], ours[order[other]]
        return first != second and (theirs[one], theirs[other]) == (second, first)


def _ancestry(layers: Sequence[Weighted]) -> Bools:
    """(n, n): is the layer of the row an ancestor of that of the column?"""
    found = np.zeros((len(layers), len(layers)), bool)
    for number, layer in enumerate(layers):
        found[sorted(layer.ancestors), number] = True
    return found


def _improved(
    order: Sequence[int], pairs: Sequence[Pair], faults: Callable[[Sequence[int]], int]
) -> list[int]:
    """The order after the exchanges of these pairs that leave the fewest faults, one by one. Of
    several, one of layers that stand in another order than in the reference."""
    found, least = list(order), faults(order)
    while least and pairs:
        fewest, _, pair = min(_tried(found, pairs, faults))
        if fewest >= least:
            break
        found, least = _exchanged(found, *pair), fewest
    return found


def _tried(
    order: Sequence[int], pairs: Iterable[Pair], faults: Callable[[Sequence[int]], int]
) -> Iterator[tuple[int, bool, Pair]]:
    for pair in pairs:
        one, other = pair
        yield faults(_exchanged(order, one, other)), order[one] < order[other], pair


def _exchanged(order: Sequence[int], one: int, other: int) -> list[int]:
    found = list(order)
    found[one], found[other] = found[other], found[one]
    return found
