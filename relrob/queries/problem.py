"""What a solver is given and what it gives back. A solver proposes; `relrob.deciding.decide`
replays and pronounces."""

from __future__ import annotations

from dataclasses import dataclass, field

from relrob.domain.query import Budget
from relrob.networks.open import Opened
from relrob.queries.spots import Spots
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet


@dataclass(frozen=True, eq=False)
class Problem:
    """Does each network give `label` on every point of `rungs`? `counts`: visit every point and
    count, or stop at a verdict. `certify`: keep what a certificate needs; `spots`: where points of
    what is proved are run.
    """

    rungs: RungSet
    label: int
    networks: tuple[Opened, ...]
    budget: Budget
    counts: bool
    certify: bool = False
    spots: Spots = field(default_factory=Spots)


@dataclass(frozen=True, eq=False)
class BallProblem:
    """Does each network give `label` on every image of `ball`? `certify`, `spots`: as in
    `Problem`."""

    ball: BallSet
    label: int
    networks: tuple[Opened, ...]
    budget: Budget
    certify: bool = False
    spots: Spots = field(default_factory=Spots)
