"""The decision procedures: one protocol for all regions, typed by the points that they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet
from relrob.regions.points import Points

P_contra = TypeVar("P_contra", bound=Points, contravariant=True)


class Solver(Protocol[P_contra]):
    """A decision procedure. It proposes; `relrob.deciding.decide` replays and pronounces."""

    @property
    def name(self) -> str:
        """The solver's name, its method in `relrob.registry.SOLVERS`."""
        ...

    @property
    def complete(self) -> bool:
        """True when UNKNOWN comes only from the budget."""
        ...

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """None when it takes a query about these networks in such a region, of a kind that the
        registry names, else the sentence that says why not."""
        ...

    def solve(self, query: Query[P_contra]) -> Findings:
        """Spend at most the budget on each network. Never raises for a budget."""
        ...


class Work(Protocol):
    """A solver's work on one query, a step at a time. Every `share` is of a network's time limit,
    counted from the start."""

    def open(self) -> tuple[int, ...]:
        """The networks without a verdict."""
        ...

    def count(self, share: float) -> None:
        """Count on all networks until done, or, where `share` is below 1, until one of them has
        spent it."""
        ...

    def progress(self, number: int) -> float:
        """Share of the points that are counted on a network."""
        ...

    def search(self, number: int, share: float) -> None:
        """Look for the verdict of one network, without counts, until it has spent its share."""
        ...

    def spent(self, number: int) -> float:
        """Share of its time limit that a network has spent."""
        ...

    def leave(self, number: int, seconds: float, proved: bool) -> None:
        """Another solver spent these seconds on a network, and proved it right everywhere or
        not."""
        ...

    def findings(self) -> Findings:
        """What is known so far."""
        ...


class Stepwise(Solver[RungSet], Protocol):
    """A solver of ladders whose work can be stopped and taken up again."""

    def begin(self, query: Query[RungSet]) -> Work:
        """The work, with its cheap search for a witness done."""
        ...
