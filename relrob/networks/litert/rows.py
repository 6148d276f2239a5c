"""The rows of a dynamic-range network's first layer as its runtime quantises them, observed behind
an identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.litert.interpreter import LiteRt
from relrob.networks.litert.product import one_layer_file
from relrob.system.files import sha256_bytes

# Images a call of the runtime.
_ROWS = 4


class RowQuantiser:
    """A function of images (n, d), float32 in raster order, that gives the factors of the first
    layer's weights: level times scale.

    `asymmetric`: as in `DynamicFull`. The file of d * d bytes is made when first needed.
    """

    def __init__(self, network: Network, asymmetric: bool) -> None:
        self._network, self._asymmetric = network, asymmetric
        self._order = pixel_order(network)
        self._made: LiteRt | None = None

    def __call__(self, images: Floats) -> Floats:
        if self._made is None:
            self._made = self._make()
        if self._order is None:
            return self._made.outputs(images)
        rows = np.empty_like(images)
        rows[:, self._order] = self._made.outputs(np.ascontiguousarray(images[:, self._order]))
        return rows

    def _make(self) -> LiteRt:
        """The identity on the runtime of the network."""
        d = self._network.inputs
        data = one_layer_file(np.eye(d, dtype=np.int8), self._asymmetric)
        shape = (1, 1, d)
        alone = replace(
            self._network,
            sha256=sha256_bytes(data),
            inputs=d,
            classes=d,
            image_shape=shape,
            dense=None,
        )
        return LiteRt(alone, data, 1, _ROWS)
