"""The shapes that a `.tflite` graph computes beside an image, and the targets of its RESHAPEs.

A converter writes "the same batch, flattened" as SHAPE, STRIDED_SLICE and PACK. These operators are
followed as lists of sizes with -1 for the batch; every other use of them has no rules.
"""

from __future__ import annotations

import numpy as np

from relrob.certificates.checking.reading import tflite as lite
from relrob.certificates.checking.reading.entry import completed
from relrob.certificates.checking.reading.facts import NoRulesError

COMPUTED = (lite.SHAPE, lite.STRIDED_SLICE, lite.PACK)


class Shapes:
    """Sizes by the number of the tensor that holds them, -1 for the batch."""

    def __init__(self, graph: lite.Graph) -> None:
        self._graph = graph
        self._sizes: dict[int, list[int]] = {}

    def compute(self, operator: lite.Operator, at: int, shape: tuple[int, ...]) -> None:
        """Follows an operator of `COMPUTED`; `at`, `shape`: the tensor of the image's value, and
        its shape without the batch.

        Raises:
            NoRulesError: the operator computes anything but the batch size or [batch, n, ...].
        """
        self._sizes[operator.output] = self._result(operator, at, shape)

    def _result(self, operator: lite.Operator, at: int, shape: tuple[int, ...]) -> list[int]:
        options = operator.given
        if operator.kind == lite.SHAPE:
            if operator.inputs != [at] or options.whole(0, "b") != lite.INT32:
                raise NoRulesError("the shape of something else than the value")
            return [-1, *shape]
        if operator.kind == lite.STRIDED_SLICE:
            taken = [self._vector(place) for place in operator.inputs[1:]]
            masks = [options.whole(slot, "i") for slot in range(5)]
            known = self._sizes.get(operator.inputs[0])
            plain = taken == [[0], [1], [1]] and masks == [0, 0, 0, 0, 1]
            if not plain or options.whole(5, "?") or not known:
                raise NoRulesError("a slice of a shape other than its batch")
            return known[:1]
        parts = [self._vector(place) for place in operator.inputs]
        flat = all(len(part) == 1 for part in parts) and options.whole(1, "i") == 0
        if not flat or options.whole(0, "i") != len(parts) or operator.inputs[0] not in self._sizes:
            raise NoRulesError("a shape that is put together in another way")
        return [part[0] for part in parts]

    def _vector(self, place: int) -> list[int]:
        """A shape: computed from the value's, or a constant."""
        if place in self._sizes:
            return self._sizes[place]
        values = self._graph.constant(place, lite.INT32)
        return [int(size) for size in values.reshape(-1).astype(np.int64)]

    def target(self, operator: lite.Operator, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, without the batch, that a RESHAPE gives a value of `shape`.

        Raises:
            NoRulesError: the batch is not kept apart, or two shapes are named.
        """
        asked = None if operator.options is None else operator.options.vector(0, "<i4")
        sizes = None
        if asked is not None and len(asked):
            sizes = [int(size) for size in asked.astype(np.int64)]
        if len(operator.inputs) == 2:
            known = self._vector(operator.inputs[1])
            if sizes is not None and sizes != known and operator.inputs[1] not in self._sizes:
                raise NoRulesError("a RESHAPE to two shapes")
            sizes = known
        if sizes is None or len(sizes) < 2 or sizes[0] not in (-1, 1) or len(operator.inputs) > 2:
            raise NoRulesError("a RESHAPE that does not keep the batch apart")
        return completed(tuple(sizes[1:]), shape)
