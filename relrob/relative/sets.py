"""Which set is an image in: R_Q^FP, R^FP, R_Q, R^0, R^mixed or unknown?

Source: Duncan et al. 2020, Sec. III; docs/regions.md, "Effective perturbations and the sets".
"""

from __future__ import annotations

from enum import StrEnum

from relrob.deciding.decide import Decision
from relrob.domain.record import Set
from relrob.domain.verdict import Status, Verdict
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.findings import Share


class Effective(StrEnum):
    """Which effective perturbations of the reference decide R_Q, R^0 and R^mixed."""

    CLOSEST = "closest"
    ALL = "all"
    FARTHEST = "farthest"


def set_of(rule: Effective, decision: Decision, quantised: Opened, label: int) -> Set:
    """The set of an image on which the reference is right. `quantised`: the second network, on
    which a witness of the first is run where nothing was counted."""
    first, second = decision.verdicts
    if Status.UNKNOWN in (first.status, second.status):
        return Set.UNKNOWN
    if first.status is Status.ROBUST:
        return Set.RQFP if second.status is Status.ROBUST else Set.RFP
    share = _share(rule, decision, quantised, first, label)
    if share.transferred == 0:
        return Set.RQ
    return Set.R0 if share.transferred == share.effective else Set.MIXED


def _share(
    rule: Effective, decision: Decision, quantised: Opened, first: Verdict, label: int
) -> Share:
    """The effective perturbations that decide; without exact counts, the witness that was found."""
    transfer = decision.transfer
    if transfer is not None and transfer.all.effective:
        chosen = {
            Effective.CLOSEST: transfer.closest,
            Effective.ALL: transfer.all,
            Effective.FARTHEST: transfer.farthest,
        }
        return chosen[rule]
    assert first.witness is not None  # noqa: S101 - Verdict guarantees it for NOT_ROBUST
    said = int(labels(quantised.replayer.outputs(first.witness.image[None, :]))[0])
    return Share(1, int(said != label), int(said == first.witness.label))
