"""The values that a network's file reads of pixels, by its input contract (docs/inputs.md).

One transformation in float32, of a fixed order, stands in front of every runtime and emulator; the
same steps over the reals, with their roundings, stand at the head of every model.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Network

# Roundings of a step of the contract, generous: one is made, and a constant is widened.
ROUNDINGS: Final = 8
# (scale, shift) of each value, flat: v becomes v * scale + shift.
Entry = tuple[tuple[Doubles, Doubles], ...]


def fed(images: Floats, network: Network) -> Floats:
    """The values (n, d), in (H, W, C) raster order, of images (n, d) float32 in that order.

    They are ((scale * pixel) - mean) / std, each operation rounded to float32, with constants that
    are the float32 of their nearest float64. The channels are reversed first where the contract
    says "bgr". The same array comes back where the file reads pixels as they are.
    """
    contract = network.contract
    if contract.plain:
        return images
    values = images if not contract.bgr else images[:, reversed_channels(network)]
    scale, mean, std = _constants(network)
    # A factor of 1 and an offset of 0 change no bit.
    values = values * scale if (scale != 1).any() else values
    values = values - mean if mean.any() else values
    values = values / std if (std != 1).any() else values
    return np.ascontiguousarray(values)


def entry(network: Network) -> Entry:
    """The steps of the contract on the values (d,) that the file reads, in raster order, but for
    the order of the channels."""
    scale, mean, std = (array.astype(np.float64) for array in _constants(network))
    one, none = np.ones(network.inputs), np.zeros(network.inputs)
    steps = ((scale * one, none), (one, -mean * one), (one / std, none))
    return tuple(step for step in steps if (step[0] != 1).any() or step[1].any())


def reversed_channels(network: Network) -> Ints:
    """The raster index of the pixel behind each value that a "bgr" contract feeds, (d,); it is its
    own inverse."""
    indices = np.arange(network.inputs, dtype=np.int64).reshape(network.image_shape)
    return np.ascontiguousarray(indices[:, :, ::-1]).reshape(-1)


def _constants(network: Network) -> tuple[Floats, Floats, Floats]:
    """Scale, mean and std of each value, (d,) in raster order."""
    contract, channels = network.contract, network.image_shape[2]
    each = ((contract.scale,), contract.mean or (0,), contract.std or (1,))
    rows = (np.array([float(n) for n in numbers], np.float32) for numbers in each)
    wide = (row if len(row) == channels else np.repeat(row, channels) for row in rows)
    scale, mean, std = (np.tile(row, network.inputs // channels) for row in wide)
    return scale, mean, std
