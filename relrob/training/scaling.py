"""The scaling of pixels in training, which the first layer takes in afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Scaling:
    """The scaling of pixels in training, to (pixel - mean)/deviation, which `fold` moves into the
    weights of the saved network.

    `full`: the stored value of white, 255 or 1. `mean` and `deviation`: over all pixels of the
    training images, in [0, 1].
    """

    full: float
    mean: float
    deviation: float

    @staticmethod
    def of(images: Any, standardise: bool) -> Scaling:
        """The scaling of these images: uint8 levels or float32 in [0, 1]; without `standardise`,
        pixels stay in [0, 1]."""
        full = 255.0 if images.dtype == np.uint8 else 1.0
        if not standardise:
            return Scaling(full, 0.0, 1.0)
        return Scaling(
            full,
            float(images.mean(dtype=np.float64)) / full,
            float(images.std(dtype=np.float64)) / full or 1.0,
        )

    def apply(self, stored: Any) -> Any:
        """Scaled float32 tensor of stored pixels, any shape."""
        return (tf.cast(stored, tf.float32) / self.full - self.mean) / self.deviation

    def fold(self, dense: Any) -> None:
        """Change the first dense layer from one of scaled pixels to the same function of pixels."""
        weights, bias = (value.astype(np.float64) for value in dense.get_weights())
        weights = weights / self.deviation
        dense.set_weights(
            [
                weights.astype(np.float32),
                (bias - self.mean * weights.sum(axis=0)).astype(np.float32),
            ]
        )
