"""What a solver is given and what it gives back. A solver proposes; `relrob.deciding.decide` replays and pronounces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from relrob.domain.arrays import Bools, Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.query import Budget
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Reason
from relrob.networks.evaluator import Evaluator
from relrob.queries.spots import Spots
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet


@dataclass(frozen=True, eq=False)
class Opened:
    """A network that is ready to run: in batches, and one image at a time as it is deployed (for replays); `role`: "reference" or
    "quantised", where that is known."""

    network: Network
    evaluator: Evaluator
    replayer: Evaluator
    role: str = ""


@dataclass(frozen=True, eq=False)
class Problem:
    """Does each network give `label` on every point of `rungs`? `counts`: visit every point and count, or stop at a verdict.
    `certify`: keep what a certificate needs; `spots`: where points of what is proved are run.
    """

    rungs: RungSet
    label: int
    networks: tuple[Opened, ...]
    budget: Budget
    counts: bool
    certify: bool = False
    spots: Spots = field(default_factory=Spots)


@dataclass(frozen=True)
class Leaf:
    """A part of the ladder on which one network was proved right: `path`, the splits that lead to it (`Part.path`), and whether a
    `bound` proved it or every point was run."""

    path: tuple[int, ...]
    bound: bool


@dataclass(frozen=True, eq=False)
class Finding:
    """What a solver found on one network.

    `proved`: no effective perturbation exists; `effective`: their exact number, None when not every point was visited;
    `proposals`: masks (F,) of suspected witnesses, best first; `margin`: smallest margin met; `stopped`: why it gave up;
    `evaluated`: points at which the network was run; `thin`: those that folded arithmetic left to the runtime;
    `leaves`: the parts that a proof rests on, where the problem asked for them; `step`: what settled it where that was not the
    solver's own procedure: "witness" (the cheap search) or "bounds" (of the whole ladder); from a chain, the solver's name too.
    """

    proved: bool
    effective: int | None
    proposals: tuple[Bools, ...]
    margin: float | None
    evaluated: int
    stopped: Reason | None = None
    thin: int = 0
    leaves: tuple[Leaf, ...] | None = None
    step: str = ""


@dataclass(frozen=True)
class Share:
    """Of `effective` perturbations of the first network, how many fool the second too (`transferred`), and with the same label."""

    effective: int = 0
    transferred: int = 0
    same_class: int = 0


@dataclass(frozen=True)
class Transfer:
    """Transfer from the first network to the second, over all effective perturbations, the closest and the farthest (exact)."""

    all: Share
    closest: Share
    farthest: Share


@dataclass(frozen=True, eq=False)
class Findings:
    """One finding a network, and the transfer counts where every point was visited on both. `evaluated`: distinct points run."""

    each: tuple[Finding, ...]
    transfer: Transfer | None
    evaluated: int


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
    """A solver's work on one problem, a step at a time. Every `share` is of a network's time limit, counted from the start."""

    def open(self) -> tuple[int, ...]:
        """The networks without a verdict."""
        ...

    def count(self, share: float) -> None:
        """Count on all networks until done, or, where `share` is below 1, until one of them has spent it."""
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
        """Another solver spent these seconds on a network, and proved it right everywhere or not."""
        ...

    def findings(self) -> Findings:
        """What is known so far."""
        ...


class Stepwise(Solver, Protocol):
    """A solver whose work can be stopped and taken up again."""

    def begin(self, problem: Problem) -> Work:
        """The work, with its cheap search for a witness done."""
        ...


@dataclass(frozen=True, eq=False)
class BallProblem:
    """Does each network give `label` on every image of `ball`? `certify`, `spots`: as in `Problem`."""

    ball: BallSet
    label: int
    networks: tuple[Opened, ...]
    budget: Budget
    certify: bool = False
    spots: Spots = field(default_factory=Spots)


@dataclass(frozen=True, eq=False)
class PhaseLeaf:
    """A part of a ball on which one network was proved right by bounds: `path` of (hidden layer, neuron, 1 for pre-activations of
    at least 0 or -1 for at most 0), `found`, the bounds, `pulls` (n,) of each hidden layer, multipliers of these conditions."""

    path: tuple[tuple[int, int, int], ...]
    found: Any
    pulls: tuple[Doubles, ...]


@dataclass(frozen=True, eq=False)
class BallFinding:
    """What a solver found on one network around one image.

    `proved`: no image of the ball is misclassified; `proposals`: images (d,) of suspected witnesses, best first; `margin`:
    smallest margin met, or proved; `evaluated`: images run; `by`: the step that decided; `stopped`: why it gave up; `proof`: what
    a certificate is made of; `corners`: moves (d,) that the bounds of a proof point at, `least`: the margin that these prove.
    """

    proved: bool
    proposals: tuple[Floats, ...]
    margin: float | None
    evaluated: int
    by: str
    stopped: Reason | None = None
    proof: Any = None
    corners: tuple[Doubles, ...] = ()
    least: float | None = None


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
        """None when this network can be taken in such a region, else the sentence that says why not."""
        ...

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """Spend at most the budget on this network. Never raises for a budget."""
        ...
