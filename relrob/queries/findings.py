"""What a solver gives back; `relrob.deciding` replays and pronounces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relrob.domain.arrays import Bools, Doubles, Floats
from relrob.domain.verdict import Reason


@dataclass(frozen=True)
class Leaf:
    """A part of the ladder on which one network was proved right: `path`, the splits that lead to
    it (`Part.path`), and whether a `bound` proved it or every point was run."""

    path: tuple[int, ...]
    bound: bool


@dataclass(frozen=True, eq=False)
class Finding:
    """What a solver found on one network.

    `proved`: no effective perturbation exists; `effective`: their exact number, None when not every
    point was visited; `proposals`: masks (F,) of suspected witnesses, best first; `margin`:
    smallest margin met; `stopped`: why it gave up; `evaluated`: points at which the network was
    run; `close_calls`: those that folded arithmetic left to the runtime; `leaves`: the parts that a
    proof rests on, where the problem asked for them; `step`: what settled it where that was not the
    solver's own procedure: "witness" (the cheap search) or "bounds" (of the whole ladder); from a
    chain, the solver's name too.
    """

    proved: bool
    effective: int | None
    proposals: tuple[Bools, ...]
    margin: float | None
    evaluated: int
    stopped: Reason | None = None
    close_calls: int = 0
    leaves: tuple[Leaf, ...] | None = None
    step: str = ""


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
    `evaluated`: distinct points run."""

    each: tuple[Finding, ...]
    transfer: Transfer | None
    evaluated: int


@dataclass(frozen=True, eq=False)
class PhaseLeaf:
    """A part of a ball on which one network was proved right by bounds: `path` of (hidden layer,
    neuron, 1 for pre-activations of at least 0 or -1 for at most 0), `found`, the bounds, `betas`
    (n,) of each hidden layer, multipliers of these conditions."""

    path: tuple[tuple[int, int, int], ...]
    found: Any
    betas: tuple[Doubles, ...]


@dataclass(frozen=True, eq=False)
class BallFinding:
    """What a solver found on one network around one image.

    `proved`: no image of the ball is misclassified; `proposals`: images (d,) of suspected
    witnesses, best first; `margin`: smallest margin met, or proved; `evaluated`: images run; `by`:
    the step that decided; `stopped`: why it gave up; `proof`: what a certificate is made of;
    `corners`: moves (d,) that the bounds of a proof point at, `least`: the margin that these prove.
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
