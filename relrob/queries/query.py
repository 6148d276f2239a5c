"""Queries: is a property true of these networks on every point of a region?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relrob.errors import DatasetError, ShapeError, UsageError
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.spots import Spots
from relrob.regions.points import Points

P = TypeVar("P", bound=Points)
P_co = TypeVar("P_co", bound=Points, covariant=True)


@dataclass(frozen=True)
class Budget:
    """What a solver may spend on one image and one network: `seconds` of its own work."""

    seconds: float = 60.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError(f"time limit {self.seconds:g}", "seconds above 0", "--time-limit 60")


@dataclass(frozen=True, eq=False)
class Query(Generic[P_co]):
    """Is the property `wanted` true of each network on every one of `points`?

    `counts`: visit every point and count, or stop at a verdict; points that cannot be counted never
    are. `certify`: keep what a certificate needs. `spots`: where points of what is proved are run.
    The last four say how the answer is found, and are no part of the digest.

    Raises ShapeError when an image has not as many values as a network reads, DatasetError when a
    network has no such class.
    """

    points: P_co
    wanted: Label
    networks: tuple[Opened, ...]
    budget: Budget
    counts: bool = False
    certify: bool = False
    spots: Spots = field(default_factory=Spots)

    def __post_init__(self) -> None:
        for network in (opened.network for opened in self.networks):
            if len(self.points.base) != network.inputs:
                raise ShapeError(
                    f"an image of {len(self.points.base)} values", f"{network.inputs} values"
                )
            if not 0 <= self.label < network.classes:
                raise DatasetError(
                    f"label {self.label}", f"0 to {network.classes - 1}, the network's classes"
                )

    @property
    def label(self) -> int:
        """The label that is wanted."""
        return self.wanted.label

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the networks' bytes, runtimes and layouts, the points and the
        property."""
        networks = [
            [
                opened.network.sha256,
                opened.network.runtime,
                opened.network.layout,
                *([] if opened.network.contract.identity else [opened.network.contract.text()]),
            ]
            for opened in self.networks
        ]
        head = json.dumps([networks, type(self.wanted).__name__, self.wanted.label])
        return hashlib.sha256(head.encode() + b"\n" + self.points.described()).hexdigest()
