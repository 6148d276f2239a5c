"""Branching on the phases of ReLUs, in a ball or lattice around an image. Any-time; ends where
bounds are tight enough.

A part of the region is where some neurons' pre-activations are at least 0, and others at most 0.
Each is bounded with optimised slopes and with multipliers of these conditions (beta-CROWN: Wang et
al. 2021); the part of the least margin is split first, on the neuron whose being open costs that
margin most. The image at which a bound is worst is run.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from relrob.attacks.frank_wolfe import sought
from relrob.bounding.ball import BallBounds
from relrob.bounding.certain import proves
from relrob.bounding.linear import Margins
from relrob.bounding.relaxation import Phase
from relrob.branching.frontier import Frontier
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.networks.enclose import refusal
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, PhaseLeaf, PhaseProof, alone
from relrob.queries.query import Query
from relrob.queries.spots import PARTS
from relrob.regions.ball import BallSet

Path = tuple[tuple[int, int, int], ...]
_MOST: Final = (
    20_000  # open parts, each of which holds some arrays as long as the network has neurons
)


@dataclass(frozen=True, eq=False)
class _Open:
    """A part that bounds leave open."""

    path: Path
    phases: tuple[Phase, ...]
    found: Margins


@final
class Phases:
    """UNKNOWN where the time is up, or where no neuron is left to split."""

    name = "branch"
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that have an enclosure."""
        return refusal(networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """A witness, a proof, or neither, of each network by itself."""
        return alone(tuple(_find(query, opened) for opened in query.networks))


def _find(query: Query[BallSet], opened: Opened) -> Finding:
    """One network."""
    deadline = Deadline(query.budget.seconds)
    bounds, witness, least, tried = sought(query, opened, deadline)
    return (
        _Tree(query, opened, bounds, least, tried).grown(deadline) if witness is None else witness
    )


@final
class _Tree:
    """The parts of one question."""

    def __init__(
        self, query: Query[BallSet], opened: Opened, bounds: BallBounds, least: float, tried: int
    ) -> None:
        self._query, self._opened, self._enclosure, self._bounds = (
            query,
            opened,
            bounds.enclosure,
            bounds,
        )
        self._least, self._tried, self._proved, self._kept = least, tried, float("inf"), 0
        self._open = Frontier[_Open]()
        self._leaves: list[PhaseLeaf] = []
        self._closest: list[tuple[float, int, Doubles]] = []
        self._witness: Floats | None = None

    def grown(self, deadline: Deadline) -> Finding:
        """Until a witness is found, every part is closed, or time is up."""
        widths = [len(layer.bias) for layer in self._enclosure.layers[:-1]]
        self._look((), tuple(Phase(np.zeros(n), np.zeros(n)) for n in widths))
        while self._open and self._witness is None:
            if deadline.late:
                return self._finding(Reason.TIME)
            if len(self._open) > _MOST:
                return self._finding(Reason.MEMORY)
            part = self._open.pop()
            costs = self._bounds.branching_scores(part.found, part.phases)
            layer = max(
                range(len(costs)), key=lambda n: float(costs[n].max(initial=0.0)), default=None
            )
            if layer is None or not costs[layer].max(initial=0.0) > 0:
                return self._finding(Reason.BOUNDS)
            neuron = int(costs[layer].argmax())
            for side in (1, -1):
                self._look(
                    (*part.path, (layer, neuron, side)), _fixed(part.phases, layer, neuron, side)
                )
        return self._finding(None)

    def _look(self, path: Path, phases: tuple[Phase, ...]) -> None:
        """Close a part, find a witness in it, or keep it."""
        found = self._bounds.margins(None, phases)
        if not self._closed(found):
            alphas, phases = self._bounds.tuned(found, phases)
            found = self._bounds.margins(alphas, phases)
        if self._closed(found):
            self._proved = (
                self._proved if found.empty else min(self._proved, float(found.low.min()))
            )
            if not found.empty:
                self._keep(found)
            if self._query.certify:
                self._leaves.append(PhaseLeaf(path, found, tuple(phase.betas for phase in phases)))
            return
        image = self._query.points.point(self._bounds.at.hull.maximiser(found.gains))
        if image is not None:
            outputs = self._opened.replayer.outputs(image[None, :])
            self._tried += 1
            self._least = min(self._least, float(margins(outputs, self._query.label)[0]))
            if int(labels(outputs)[0]) != self._query.label:
                self._witness = image
        self._open.push(float(found.low.min()), self._tried, _Open(path, phases, found))

    def _keep(self, found: Margins) -> None:
        """Of the closed parts, keep the corners of those with the least margins."""
        self._kept += 1
        heapq.heappush(
            self._closest,
            (-float(found.low.min()), -self._kept, self._bounds.at.hull.maximiser(found.gains)),
        )
        if len(self._closest) > PARTS:
            heapq.heappop(self._closest)

    def _closed(self, found: Margins) -> bool:
        """Is there no image in the part, or none that is wrong?"""
        return found.empty or proves(self._enclosure, self._query.label, found)

    def _finding(self, reason: Reason | None) -> Finding:
        """A witness, why there is no answer, or a proof."""
        if self._witness is not None:
            return Finding(False, (self._witness,), self._least, self._tried, Phases.name)
        if reason is not None:
            return Finding(False, (), self._least, self._tried, Phases.name, reason)
        least = self._enclosure.shown(self._proved)
        proof, corners = (
            PhaseProof(tuple(self._leaves)) if self._query.certify else None,
            tuple(moves for *_, moves in self._closest),
        )
        margin = min(least, self._least)
        return Finding(
            True, (), margin, self._tried, Phases.name, proof=proof, corners=corners, least=least
        )


def _fixed(phases: tuple[Phase, ...], layer: int, neuron: int, side: int) -> tuple[Phase, ...]:
    """With one neuron more."""
    sides = phases[layer].sides.copy()
    sides[neuron] = side
    return (*phases[:layer], replace(phases[layer], sides=sides), *phases[layer + 1 :])
