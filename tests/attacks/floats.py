"""Small arrays of float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.domain.arrays import Floats


def floats(values: Any) -> Floats:
    """Values as a float32 array."""
    return np.asarray(values, np.float32)
