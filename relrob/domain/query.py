"""Queries: does this network give this label on the whole of this region? Content-addressed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import read_only
from relrob.domain.network import Network
from relrob.domain.region import Ladder
from relrob.errors import DatasetError, ShapeError, UsageError


@dataclass(frozen=True)
class Budget:
    """What a solver may spend on one image and one network: `seconds` of its own work."""

    seconds: float = 60.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError(f"time limit {self.seconds:g}", "seconds above 0", "--time-limit 60")


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


@dataclass(frozen=True, eq=False)
class Query:
    """(network, region, image, label): `image` is (H, W, C), uint8 levels or float32 in [0,1].

    Raises DatasetError, or ShapeError when the image has not as many values as the network reads.
    """

    network: Network
    region: Ladder
    image: NDArray[Any]
    label: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", check_image(self.image))
        if self.image.size != self.network.inputs:
            raise ShapeError(
                f"an image of shape {self.image.shape}", f"{self.network.inputs} values"
            )
        if not 0 <= self.label < self.network.classes:
            raise DatasetError(
                f"label {self.label}", f"0 to {self.network.classes - 1}, the network's classes"
            )

    @property
    def digest(self) -> str:
        """SHA-256 over the network's bytes and runtime, the region, the image and the label
        (hex)."""
        region = {key: str(value) for key, value in asdict(self.region).items()}
        head = json.dumps(
            [
                self.network.sha256,
                self.network.runtime,
                self.network.layout,
                self.region.kind,
                region,
                self.label,
            ],
            sort_keys=True,
        )
        body = f"{self.image.dtype}{self.image.shape}".encode() + self.image.tobytes()
        return hashlib.sha256(head.encode() + body).hexdigest()
