"""Images that tell LiteRT's kernels apart: ties, saturation, empty rows, single pixels, 8-bit
levels and noise."""

from __future__ import annotations

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network


def hostile_images(network: Network) -> Floats:
    """70 seeded images (n, d) float32 in [0,1]: black, white, one pixel, multiples of 1/2^k (halves
    to round), 8-bit noise."""
    rng = np.random.default_rng(7)
    d = network.inputs
    images = rng.random((70, d), dtype=np.float32)
    images[0], images[1] = 0, 1
    images[2] = 0
    images[2, d // 2] = 1
    images[3] = np.float32(1e-6)
    for row in range(4, 20):
        images[row] = rng.integers(0, 2 ** (row % 8) + 1, d).astype(np.float32) / np.float32(
            2 ** (row % 8)
        )
    # The values are multiples of half a quantum of a row whose largest value is 1.
    for row in range(20, 36):
        images[row] = rng.integers(0, 255, d).astype(np.float32) / np.float32(254)
    levels = rng.integers(0, 256, (20, d)).astype(np.float32) / np.float32(255)
    images[36:56] = levels * (rng.random((20, d)) < 0.2)
    return images
