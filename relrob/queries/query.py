"""Queries: is a property true of these networks on every point of a region?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relrob.errors import ShapeError, UsageError
from relrob.networks.open import Opened
from relrob.queries.properties import Property, label_of
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

    Raises ShapeError when an image has not as many values as a network reads, and what the property
    raises of a network that cannot be asked (DatasetError where it has no such class).
    """

    points: P_co
    wanted: Property
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
            self.wanted.check(network.classes)

    @property
    def label(self) -> int:
        """The label that is wanted. Raises UsageError for another property: whoever asks for a
        label answers queries about labels alone."""
        return label_of(self.wanted, "this solver")

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
        head = json.dumps([networks, *self.wanted.described()])
        return hashlib.sha256(head.encode() + b"\n" + self.points.described()).hexdigest()
