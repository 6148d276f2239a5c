"""From a finding whose witness was replayed to a verdict."""

from __future__ import annotations

from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding, Finding


def pronounced(
    opened: Opened,
    finding: Finding | BallFinding,
    solver: str,
    margin: float | None,
    witness: Witness | None,
    disagreements: int,
) -> Verdict:
    """NOT_ROBUST with a witness, ROBUST with a proof and none, else UNKNOWN with its reason."""
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
