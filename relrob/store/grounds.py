"""The ground of a verdict ROBUST: a proof, a run of every point, or a search, which proves
nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from relrob.domain.record import NETWORKS, Record


class Ground(StrEnum):
    """`PROVED`: bounds or a solver settle points that nobody ran; `RUN`: every point of the region
    was run; `SEARCHED`: the region is the points that a search looked at."""

    PROVED = "proved"
    RUN = "run"
    SEARCHED = "searched"


@dataclass(frozen=True)
class Grounds:
    """Images on which a network is ROBUST, by the ground of that."""

    proved: int = 0
    run: int = 0
    searched: int = 0

    @property
    def images(self) -> int:
        """All of them."""
        return self.proved + self.run + self.searched

    def json(self) -> dict[str, int]:
        """For summary.json."""
        return dict(vars(self))


def grounds(records: Iterable[Record], network: str) -> Grounds:
    """Of some records in which that network, "reference" or "quantised", is ROBUST."""
    found = Counter(ground(record, network) for record in records)
    return Grounds(*(found[each] for each in Ground))


def ground(record: Record, network: str) -> Ground:
    """The ground of ROBUST. A record of an older relrob has the names of the solvers alone."""
    names = [name.strip() for name in record.decided_by.split(",")]
    name = names[min(NETWORKS.index(network), len(names) - 1)]
    if name == "search":
        return Ground.SEARCHED
    if record.points is None:
        return Ground.PROVED
    proved = record.reference_proved if network == "reference" else record.quantised_proved
    if proved is None:
        all_run = name == "enumerate" or (name == "branch" and record.evaluated >= record.points)
        return Ground.RUN if all_run else Ground.PROVED
    return Ground.PROVED if proved else Ground.RUN
