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


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A C-contiguous, read-only array of the same values (a copy unless it is one already).

    >>> frozen(np.zeros(2)).flags.writeable
    False
    """
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    return copy
