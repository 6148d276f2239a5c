"""An L-infinity ball as a box of codes, the integers that a fixed-point network reads for
pixels."""

from __future__ import annotations

import numpy as np

from relrob.domain.arrays import Floats, Ints
from relrob.networks.fixed.network import FixedNetwork
from relrob.regions.ball import BallSet


def code_box(network: FixedNetwork, ball: BallSet) -> tuple[Ints, Ints]:
    """The least and the largest code (d,) of each pixel in an L-infinity ball, exact.

    Codes are monotone in pixels. Where codes are coarser than float32, every code between two codes
    is that of some pixel between their pixels.
    """
    low, high = (network.codes(end[None, :])[0] for end in ball.ends())
    return low, high


def coded(network: FixedNetwork, ball: BallSet, codes: Ints) -> Floats | None:
    """The image (d,) of the ball nearest to codes / scale; None if its codes are others."""
    image = np.clip((codes / network.pixel_scale).astype(np.float32), *ball.ends())
    return image if np.array_equal(network.codes(image[None, :])[0], codes) else None
