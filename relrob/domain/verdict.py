"""Verdicts: three-valued, never a bool. UNKNOWN has a reason, NOT_ROBUST a witness."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from fractions import Fraction

import numpy as np

from relrob.domain.arrays import Floats, read_only
from relrob.domain.network import Arithmetic


class Status(StrEnum):
    """The three verdicts."""

    ROBUST = "ROBUST"
    NOT_ROBUST = "NOT_ROBUST"
    UNKNOWN = "UNKNOWN"


class Reason(Enum):
    """The reason why a verdict is UNKNOWN; its value is the sentence that the user reads."""

    TIME = "the time limit ended the search before all was decided"
    BOUNDS = "the bounds are not tight enough to decide"
    REPLAY = "a solver's witness was classified right when the named runtime replayed it"
    CRASH = "the solver stopped with an error"
    MEMORY = "the memory limit was reached"
    UNBOUNDED = "a search met no witness, and there are no bounds on this network"


@dataclass(frozen=True, eq=False)
class Witness:
    """A perturbed image that the network misclassifies, already replayed on the network's runtime.

    `image`: flat float32 (d,) in raster order; `moved`: the features that were moved; `cost`: the
    exact L1 change; `label`: the network's label for it; `margin`: the output of the true label
    minus the largest other, at most 0.
    """

    image: Floats
    moved: tuple[int, ...]
    cost: Fraction
    label: int
    margin: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", read_only(np.asarray(self.image, dtype=np.float32)))


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer to one query.

    `arithmetic`, `runtime`: the ones that the verdict speaks of; `solver`: the one that decided;
    `margin`: the smallest margin met (the label's output minus the largest other), None where
    nothing was run; `evaluated`: number of points at which the network was run (of a ball or
    lattice, an image that several steps of `auto` ran counts in each); `disagreements`:
    number of a solver's witnesses that the replay refuted (0 is the healthy value); `tie`: the
    witness has the true label's output among the largest, and no point that was met is clearer.
    """

    status: Status
    arithmetic: Arithmetic
    runtime: str
    solver: str
    margin: float | None = None
    witness: Witness | None = None
    reason: Reason | None = None
    evaluated: int = 0
    disagreements: int = 0
    tie: bool = False

    def __post_init__(self) -> None:
        if (self.status is Status.NOT_ROBUST) != (self.witness is not None):
            raise ValueError("a witness belongs to NOT_ROBUST, and to it alone")
        if (self.status is Status.UNKNOWN) != (self.reason is not None):
            raise ValueError("a reason belongs to UNKNOWN, and to it alone")
