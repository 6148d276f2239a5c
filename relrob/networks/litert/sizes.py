"""RESHAPE, and the operators with which a converted Flatten asks for the batch: SHAPE,
STRIDED_SLICE, PACK."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from relrob.networks.litert.flat import Flat, NotModelledError, Operator, Tensor

BATCH_SIZE: Final = ("SHAPE", "STRIDED_SLICE", "PACK")
Dims = tuple[int, ...]


class Sizes:
    """The tensors that hold sizes.

    `_shapes`: the shape of a batch. `_batches`: its first entry. `_packed`: shapes that are asked
    for.
    """

    def __init__(self, flat: Flat) -> None:
        self._flat = flat
        self._shapes: set[int] = set()
        self._batches: set[int] = set()
        self._packed: dict[int, Dims] = {}

    def step(self, operator: Operator, path: Sequence[int]) -> None:
        """One of BATCH_SIZE; `path`: tensors of the images so far. Raises NotModelledError."""
        if not operator.inputs or len(operator.outputs) != 1:
            raise NotModelledError(f"{operator.name} is not part of a Flatten")
        source, target = operator.inputs[0], operator.outputs[0]
        if self._flat.tensors[target].type != "INT32":
            raise NotModelledError(f"{operator.name} is not part of a Flatten")
        if operator.kind == "SHAPE" and operator.inputs == (source,) and source in path:
            self._shapes.add(target)
        elif operator.kind == "STRIDED_SLICE" and source in self._shapes and self._first(operator):
            self._batches.add(target)
        elif operator.kind == "PACK" and source in self._batches:
            if operator.options.get("valuesCount") != len(operator.inputs):
                raise NotModelledError(f"{operator.name} packs another number of values")
            self._packed[target] = tuple(self._number(place) for place in operator.inputs[1:])
        else:
            raise NotModelledError(f"{operator.name} is not part of a Flatten")

    def _first(self, operator: Operator) -> bool:
        """Does a STRIDED_SLICE take the entry 0?"""
        found = [vector(self._flat.at(place)) for place in operator.inputs[1:]]
        return found == [(0,), (1,), (1,)]

    def _number(self, place: int) -> int:
        """A constant scalar."""
        tensor = self._flat.at(place)
        if not tensor.constant or tensor.type != "INT32" or tensor.shape != ():
            raise NotModelledError(f"tensor {place} is not a constant size")
        return int(tensor.values())

    def reshaped(self, operator: Operator, dims: Dims) -> Dims:
        """The shape of an image after a RESHAPE of all of its values. Raises NotModelledError."""
        asked = operator.options.get("newShape")
        wanted = asked if isinstance(asked, tuple) and asked else None
        if len(operator.inputs) == 2 and operator.inputs[1] in self._packed:
            shape: Dims | None = (-1, *self._packed[operator.inputs[1]])
        elif len(operator.inputs) == 2:
            shape = vector(self._flat.at(operator.inputs[1]))
        else:
            shape = wanted if len(operator.inputs) == 1 else None
        if shape is None or len(shape) < 2 or (wanted is not None and not _alike(wanted, shape)):
            raise NotModelledError(f"{operator.name} has a shape that is not plain")
        if shape[0] not in (-1, 1) or min(shape[1:]) < 1 or prod(shape[1:]) != prod(dims):
            raise NotModelledError(f"{operator.name} does not keep the values of an image together")
        return shape[1:]


def _alike(asked: Dims, shape: Dims) -> bool:
    """Do the two places where a RESHAPE may name its shape agree, but for the batch?"""
    return len(asked) == len(shape) and asked[1:] == shape[1:] and asked[0] in (-1, 1)


def vector(tensor: Tensor) -> Dims | None:
    """The values of a constant vector of int32, else None."""
    if not tensor.constant or tensor.type != "INT32" or len(tensor.shape) != 1:
        return None
    return tuple(int(value) for value in np.atleast_1d(tensor.values()))
