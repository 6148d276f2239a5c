"""Images: the values that a pixel may have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import read_only
from relrob.errors import DatasetError


def check_image(image: NDArray[Any]) -> NDArray[Any]:
    """The image, read-only: uint8 levels (k/255) or float32 in [0,1], any shape. Raises
    DatasetError otherwise."""
    if image.dtype == np.uint8:
        return read_only(image)
    if image.dtype != np.float32:
        raise DatasetError(f"an image of type {image.dtype}", "uint8 levels or float32 in [0, 1]")
    if not bool(np.isfinite(image).all()):
        raise DatasetError("an image has NaN or infinite pixels", "float32 in [0, 1]")
    if float(image.min(initial=0)) < 0 or float(image.max(initial=0)) > 1:
        raise DatasetError(
            f"an image has pixels in [{image.min():g}, {image.max():g}]",
            "float32 in [0, 1], or uint8 levels",
        )
    return read_only(image)
