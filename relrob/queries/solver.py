"""What a decision procedure is."""

from __future__ import annotations

from typing import Protocol

from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding, Findings
from relrob.queries.problem import BallProblem, Problem


class Solver(Protocol):
    """A decision procedure."""

    @property
    def name(self) -> str:
        """The solver's name, its method in `relrob.registry.SOLVERS`."""
        ...

    @property
    def complete(self) -> bool:
        """True when UNKNOWN comes only from the budget."""
        ...

    def accepts(self, problem: Problem) -> str | None:
        """None when the problem can be taken, else the sentence that says why not."""
        ...

    def solve(self, problem: Problem) -> Findings:
        """Spend at most the budget on each network. Never raises for a budget."""
        ...


class Work(Protocol):
    """A solver's work on one problem, a step at a time. Every `share` is of a network's time limit,
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


class Stepwise(Solver, Protocol):
    """A solver whose work can be stopped and taken up again."""

    def begin(self, problem: Problem) -> Work:
        """The work, with its cheap search for a witness done."""
        ...


class BallSolver(Protocol):
    """A decision procedure for balls and lattices."""

    @property
    def name(self) -> str:
        """The solver's name, its method in `relrob.registry.SOLVERS`."""
        ...

    @property
    def complete(self) -> bool:
        """True when UNKNOWN comes only from the budget."""
        ...

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """None when this network can be taken in such a region, else the sentence that says why
        not."""
        ...

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """Spend at most the budget on this network. Never raises for a budget."""
        ...
