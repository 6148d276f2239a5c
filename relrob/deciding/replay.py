"""From a finding to a verdict: every proposed witness runs on the named runtime, as deployed."""

from __future__ import annotations

import logging
from dataclasses import replace

from relrob.domain.arrays import Proposal
from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.networks.content import gives_logits
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.findings import Finding
from relrob.queries.properties import Property
from relrob.queries.query import Query
from relrob.regions.points import Points

log = logging.getLogger(__name__)


def replay(
    opened: Opened, points: Points, wanted: Property, proposal: Proposal
) -> tuple[float, Witness | None]:
    """(margin, witness) of one proposed point on the runtime as deployed, one image at a time; no
    witness if it is right there.

    Raises RelrobError when the point is not one of the region: a solver must never propose such a
    point.
    """
    image = points.at(proposal)
    outputs = opened.replayer.outputs(image[None, :])
    said, margin = labels(outputs), float(wanted.margins(outputs)[0])
    if not wanted.fails(outputs, said)[0]:
        return margin, None
    label = int(said[0])
    return margin, Witness(image, points.moved_by(proposal), points.cost(proposal), label, margin)


def pronounced(query: Query[Points], opened: Opened, finding: Finding, solver: str) -> Verdict:
    """NOT_ROBUST with a replayed witness, ROBUST with a proof that no replay refutes, else UNKNOWN
    with its reason.

    Ladders and balls differ in three things, and records keep the difference:

    The margin of a ladder is over points that a solver ran, in folded arithmetic where it has the
    weights: margins of probabilities cannot be compared with it. Solvers of balls run every image
    on the runtime itself, so a replay always counts.

    A proof about a ladder comes with the point of least margin, which is replayed. A proof about a
    ball comes with no point; the clean image is replayed.

    Every proposal about a ball is a suspected witness. Of those about a ladder only the first is,
    where the solver did not stop early; the other is the point of least margin, right or wrong.
    """
    points, margin, network = query.points, finding.margin, opened.network
    proposals = finding.proposals if points.joint or not finding.proved else (points.base,)
    comparable = not points.joint or (
        margin is None or network.dense is None or network.black_box != "" or gives_logits(network)
    )
    suspected = not finding.proved and (finding.stopped is None or not points.joint)
    witness, disagreements = None, 0
    for number, proposal in enumerate(proposals):
        replayed, witness = replay(opened, points, query.wanted, proposal)
        if comparable:
            margin = replayed if margin is None else min(margin, replayed)
        if witness is not None:
            disagreements += finding.proved
            break
        disagreements += suspected and (number == 0 or not points.joint)
    if disagreements and points.joint:
        log.warning(
            "runtime %s: a replay disagrees with the batch in which the point was found",
            network.runtime,
        )
    verdict = _verdict(opened, finding, solver, margin, witness, disagreements)
    clearer = comparable and margin is not None and margin < 0
    return replace(verdict, tie=witness is not None and witness.margin == 0 and not clearer)


def _verdict(
    opened: Opened,
    finding: Finding,
    solver: str,
    margin: float | None,
    witness: Witness | None,
    disagreements: int,
) -> Verdict:
    status, reason = Status.ROBUST, None
    if witness is not None:
        status = Status.NOT_ROBUST
    elif not finding.proved:
        status, reason = Status.UNKNOWN, finding.stopped or Reason.REPLAY
    return Verdict(
        status=status,
        arithmetic=opened.network.arithmetic,
        runtime=opened.network.runtime,
        solver=solver,
        margin=margin,
        witness=witness,
        reason=reason,
        evaluated=finding.evaluated,
        disagreements=disagreements,
    )
