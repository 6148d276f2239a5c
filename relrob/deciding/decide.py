"""The only door to a solver: accepts -> solve -> replay every proposed witness on the named runtime
-> verdict.

(A module called `verify` would shadow the public function `relrob.verify`.)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from relrob.deciding.auto import Auto, guarded, named
from relrob.deciding.pronounce import pronounced
from relrob.domain.arrays import Bools
from relrob.domain.verdict import Verdict, Witness
from relrob.errors import RelrobError, UsageError
from relrob.networks.content import gives_logits
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Transfer
from relrob.queries.problem import Problem
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Decision:
    """One verdict a network (in the problem's order), the findings that they rest on, and transfer
    counts where complete."""

    verdicts: tuple[Verdict, ...]
    each: tuple[Finding, ...]
    transfer: Transfer | None
    evaluated: int


def solver_named(name: str) -> Solver:
    """The solver of that name; "auto" is the chain of `relrob.deciding.auto`. Raises UsageError."""
    return Auto() if name == "auto" else named(name)


def decide(problem: Problem, solver: Solver) -> Decision:
    """Verdicts of every network of the problem. A solver that crashes yields UNKNOWN with its
    reason, never a wrong verdict.

    Raises UsageError when the solver does not take such a problem, AlarmError when a spot check
    speaks against a proof.
    """
    refusal = solver.accepts(problem)
    if refusal is not None:
        raise UsageError(f"solver {solver.name}: {refusal}", hint="--solver auto")
    findings = guarded(solver, problem)
    problem.spots.finish()
    chained = isinstance(solver, Auto)
    verdicts = tuple(
        _pronounce(problem, opened, finding, (chained and finding.step) or solver.name)
        for opened, finding in zip(problem.networks, findings.each, strict=True)
    )
    return Decision(verdicts, findings.each, findings.transfer, findings.evaluated)


def replay(
    opened: Opened, rungs: RungSet, label: int, mask: Bools
) -> tuple[int, float, Witness | None]:
    """(label, margin, witness) of one point on the runtime as deployed, one image at a time; no
    witness if it is right there.

    Raises RelrobError when the point is not one of the region: a solver must never propose such a
    point.
    """
    image = rungs.images(mask[None, :])
    if rungs.cost(mask) > rungs.ladder.radius or not rungs.contains(image[0]):
        raise RelrobError(
            "a solver proposed a perturbed image outside the region", hint="reporting this as a bug"
        )
    outputs = opened.replayer.outputs(image)
    said, margin = int(labels(outputs)[0]), float(margins(outputs, label)[0])
    if said == label:
        return said, margin, None
    moved = tuple(int(feature) for feature in np.flatnonzero(mask))
    return said, margin, Witness(image[0], moved, rungs.cost(mask), said, margin)


def _pronounce(problem: Problem, opened: Opened, finding: Finding, solver: str) -> Verdict:
    """From a finding to a verdict: nothing is NOT_ROBUST without a replayed witness, nothing ROBUST
    that a replay refutes."""
    witness: Witness | None = None
    disagreements = 0
    margin = finding.margin
    network = opened.network
    comparable = (
        margin is None or network.dense is None or network.black_box != "" or gives_logits(network)
    )
    suspected = not finding.proved and finding.stopped is None
    for mask in finding.proposals:
        _, replayed, candidate = replay(opened, problem.rungs, problem.label, mask)
        if comparable:  # a solver's margins are of logits where it has the weights
            margin = replayed if margin is None else min(margin, replayed)
        if candidate is not None:
            disagreements += finding.proved
            witness = candidate
            break
        disagreements += suspected and mask is finding.proposals[0]
    if disagreements:
        log.warning(
            "runtime %s: a replay disagrees with the batch in which the point was found",
            opened.network.runtime,
        )
    return pronounced(opened, finding, solver, margin, witness, int(disagreements))
