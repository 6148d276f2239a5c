"""The points of run leaves, run again on the named runtime, one image at a time.

No other module of the checker opens a runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.levels import Region
from relrob.domain.network import Network
from relrob.networks.load import load_network
from relrob.networks.open import open_network

_BLOCK: Final = 1024
# The margin of an infinite output over a finite one.
LARGEST: Final = float(np.finfo(np.float64).max)


@dataclass(frozen=True, eq=False)
class Runner:
    """The network's file on its runtime; `data`: the bytes that were digested."""

    network: Network
    data: bytes

    def outputs(
        self, masks: list[tuple[int, ...]], region: Region, label: int
    ) -> list[tuple[int, float]]:
        """(label, margin) of each point, one image at a time."""
        evaluator = open_network(self.network, 1, self.data, batch=1)
        base: NDArray[np.float32] = np.array([float(pixel) for pixel in region.pixels], np.float32)
        moved = [
            np.array(
                [float(region.pixels[a] + c) for a, c in zip(axes, change, strict=True)], np.float32
            )
            for axes, change in zip(region.axes, region.change, strict=True)
        ]
        seen: list[tuple[int, float]] = []
        for start in range(0, len(masks), _BLOCK):
            images = np.repeat(base[None, :], len(masks[start : start + _BLOCK]), axis=0)
            for image, taken in zip(images, masks[start : start + _BLOCK], strict=True):
                for g in taken:
                    image[region.axes[g]] = moved[g]
            for row in evaluator.outputs(images).astype(np.float64):
                if np.isnan(row).any():
                    raise InvalidError(f"{self.network.runtime} gives outputs that are no numbers")
                own, rest = (
                    float(row[label]),
                    max(value for at, value in enumerate(row.tolist()) if at != label),
                )
                seen.append(
                    (
                        int(row.argmax()),
                        0.0 if own == rest else min(max(own - rest, -LARGEST), LARGEST),
                    )
                )
        return seen


def runner(described: Network, data: bytes) -> Runner:
    """The file as relrob's loader opens it.

    Raises:
        InvalidError: the file changed, or the loader finds another format, layout, arithmetic or
            number of classes than the certificate names.
    """
    found = load_network(
        described.path,
        image_shape=described.image_shape,
        classes=described.classes,
        runtime=described.runtime,
        layout=described.layout.value,
    )
    if found.sha256 != described.sha256:
        raise InvalidError(f"{described.path} changed while it was checked")
    same = ("format", "layout", "arithmetic", "classes")
    if any(getattr(found, name) != getattr(described, name) for name in same):
        raise InvalidError(
            f"{described.path} is not a {described.format} file of {described.arithmetic.value} "
            "arithmetic as described"
        )
    return Runner(found, data)
