"""Array types and the one helper that makes an array read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Levels = NDArray[np.uint8]
# A point of a region: a mask (F,) of a ladder, or an image (d,) of a ball.
Proposal = Bools | Floats


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A C-contiguous, read-only array of the same values.

    The array itself, if it is such an array that nobody else can write to; else a copy.

    >>> frozen(np.zeros(2)).flags.writeable
    False
    """
    if array.flags.c_contiguous and _sealed(array):
        return array
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def _sealed(array: NDArray[Any]) -> bool:
    """Is the array read-only, and every array that it is a view of?"""
    holder: Any = array
    while isinstance(holder, np.ndarray):
        if holder.flags.writeable:
            return False
        holder = holder.base
    return holder is None or isinstance(holder, bytes)
