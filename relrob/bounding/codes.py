"""An L-infinity ball as a box of the integer codes by which a fixed-point network reads pixels, and
back."""

from __future__ import annotations

import numpy as np

from relrob.domain.arrays import Floats, Ints
from relrob.networks.fixed.network import FixedNetwork
from relrob.regions.ball import BallSet


def code_box(network: FixedNetwork, ball: BallSet) -> tuple[Ints, Ints]:
    """Least and largest codes (d,) of the images in an L-infinity ball, exact: codes are monotone
    in pixels, and while codes are coarser than float32 every code between two is that of some pixel
    between theirs."""
    low, high = (network.codes(end[None, :])[0] for end in ball.ends())
    return low, high


def coded(network: FixedNetwork, ball: BallSet, codes: Ints) -> Floats | None:
    """The image of the ball nearest to codes / scale (d,), if it has these codes."""
    image = np.clip((codes / network.pixel_scale).astype(np.float32), *ball.ends())
    return image if np.array_equal(network.codes(image[None, :])[0], codes) else None
