"""Gradients by the values that a file reads, as gradients by pixels."""

from __future__ import annotations

from functools import reduce
from typing import final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.feed import entry, fed, reversed_channels


@final
class Pixels:
    """The way from pixels (n, d) in raster order to the values (n, d) that a network's file reads,
    in its order, and the way back of gradients."""

    def __init__(self, network: Network) -> None:
        self._network, self._order = network, pixel_order(network)
        ones = np.ones(network.inputs)
        self._factor = reduce(lambda a, step: a * step[0], entry(network), ones).astype(np.float32)
        self._bgr = reversed_channels(network) if network.contract.bgr else None

    def values(self, images: Floats) -> Floats:
        """The values of images, as its runtime is fed them."""
        values = fed(images, self._network)
        return values if self._order is None else np.ascontiguousarray(values[:, self._order])

    def back(self, gradients: Floats) -> Floats:
        """Gradients by pixels of gradients by values."""
        if self._order is not None:
            ordered = np.empty_like(gradients)
            ordered[:, self._order] = gradients
            gradients = ordered
        gradients = gradients * self._factor
        return gradients if self._bgr is None else np.ascontiguousarray(gradients[:, self._bgr])
