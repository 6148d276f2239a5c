"""What a solver gives back; `relrob.deciding` replays and pronounces."""

from __future__ import annotations

from dataclasses import dataclass

from relrob.bounding.fixed import Closed
from relrob.bounding.linear import Margins
from relrob.domain.arrays import Doubles, Proposal
from relrob.domain.verdict import Reason


@dataclass(frozen=True)
class Leaf:
    """A part of the ladder on which one network was proved right: `path`, the splits that lead to
    it (`Part.path`), and whether a `bound` proved it or every point was run."""

    path: tuple[int, ...]
    bound: bool


@dataclass(frozen=True)
class LadderProof:
    """Leaves that make up a ladder."""

    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, eq=False)
class PhaseLeaf:
    """A part of a ball on which one network was proved right by bounds: `path` of (hidden layer,
    neuron, 1 for pre-activations of at least 0 or -1 for at most 0), `found`, the bounds, `betas`
    (n,) of each hidden layer, multipliers of these conditions."""

    path: tuple[tuple[int, int, int], ...]
    found: Margins
    betas: tuple[Doubles, ...]


@dataclass(frozen=True, eq=False)
class PhaseProof:
    """Leaves that make up a ball or a lattice; a single one, of path (), is a bound of it all."""

    leaves: tuple[PhaseLeaf, ...]


@dataclass(frozen=True, eq=False)
class CellProof:
    """Of each threat, in the order of `relrob.bounding.fixed.threats`, the closed cells that make
    up the ball."""

    threats: tuple[tuple[Closed, ...], ...]


Proof = LadderProof | PhaseProof | CellProof  # each a kind of certificate


@dataclass(frozen=True, eq=False)
class Finding:
    """What a solver found on one network.

    `proved`: no point is misclassified; `proposals`: suspected witnesses, best first (masks (F,) of
    a ladder, images (d,) of a ball); `margin`: smallest margin met, or proved; `evaluated`: how
    many points were run; of a ball or lattice, images that several steps of a chain ran count in
    each; `step`: what settled it, where that was not the solver's own
    procedure ("witness" the cheap search, "bounds" those of the whole region) or where several
    solvers were asked; `stopped`: why it gave up.

    `effective`: exact number of misclassified points, None where not every point was visited;
    `cut`: the time limit ended a count that the query asked for;
    `close_calls`: points that folded arithmetic left to the runtime; `proof`: the ground of a
    certificate, where the query asked for it; `corners`: moves (d,) that the bounds of a proof
    about a ball point at, `least`: the margin that these prove.
    """

    proved: bool
    proposals: tuple[Proposal, ...]
    margin: float | None
    evaluated: int
    step: str = ""
    stopped: Reason | None = None
    effective: int | None = None
    close_calls: int = 0
    proof: Proof | None = None
    corners: tuple[Doubles, ...] = ()
    least: float | None = None
    cut: bool = False


@dataclass(frozen=True)
class Share:
    """Of `effective` perturbations of the first network, how many fool the second too
    (`transferred`), and with the same label."""

    effective: int = 0
    transferred: int = 0
    same_class: int = 0


@dataclass(frozen=True)
class Transfer:
    """Transfer from the first network to the second, over all effective perturbations, the closest
    and the farthest (exact)."""

    all: Share
    closest: Share
    farthest: Share


@dataclass(frozen=True, eq=False)
class Findings:
    """One finding a network, and the transfer counts where every point was visited on both.
    `evaluated`: of a ladder, how many of its points were run; of networks that were asked one by
    one, and so of balls and lattices, the largest `evaluated` of a network."""

    each: tuple[Finding, ...]
    transfer: Transfer | None
    evaluated: int


def alone(found: tuple[Finding, ...]) -> Findings:
    """Findings of networks that were asked one by one."""
    return Findings(found, None, max(finding.evaluated for finding in found))
