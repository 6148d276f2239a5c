"""One image, two networks: which of the sets R_Q^FP, R^FP, R_Q, R^0, R^mixed, unknown, L_ic is it
in?

Source of the sets: Duncan et al. 2020, Sec. III; docs/regions.md, "Effective perturbations and the
sets".
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.writing.ladder import certificate
from relrob.deciding.decide import Decision, decide, replay
from relrob.domain.query import Budget
from relrob.domain.record import ImageResult, Record, Set
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status, Verdict
from relrob.errors import RelrobError
from relrob.networks.batches import one_line
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Leaf, Share
from relrob.queries.problem import Problem
from relrob.queries.solver import Solver
from relrob.queries.spots import Spots
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.views import witness_view

log = logging.getLogger(__name__)


class Effective(StrEnum):
    """Which effective perturbations of the reference decide R_Q, R^0 and R^mixed."""

    CLOSEST = "closest"
    ALL = "all"
    FARTHEST = "farthest"


@dataclass(frozen=True, eq=False)
class Setting:
    """What every image of a run shares."""

    reference: Opened
    quantised: Opened
    ladder: Ladder
    solver: Solver
    budget: Budget
    effective: Effective
    counts: bool
    certify: bool = False


def classify(setting: Setting, index: int, image: NDArray[Any], label: int) -> ImageResult:
    """Decide one image (H, W, C). Cost: one solver run over the region on both networks."""
    begin = time.perf_counter()
    rungs = rung_set(setting.ladder, image)
    clean = rungs.base[None, :]
    said = [
        int(labels(opened.replayer.outputs(clean))[0])
        for opened in (setting.reference, setting.quantised)
    ]
    if said[0] != label:
        record = Record(index, label, said[0], said[1], Set.L_IC)
        return ImageResult(record, (), time.perf_counter() - begin)
    networks = (setting.reference, setting.quantised)
    problem = Problem(
        rungs, label, networks, setting.budget, setting.counts, setting.certify, Spots(index)
    )
    decision = decide(problem, setting.solver)
    record = _record(setting, rungs, decision, Record(index, label, said[0], said[1], Set.UNKNOWN))
    record = replace(record, spot_checks=problem.spots.run)
    views = tuple(
        witness_view(networks, rungs.base, image, record, name, verdict.witness)
        for name, verdict in zip(("reference", "quantised"), decision.verdicts, strict=True)
        if verdict.witness is not None
    )
    certificates = _certificates(setting, rungs, decision, image, label) if setting.certify else ()
    return ImageResult(record, views, time.perf_counter() - begin, certificates)


def _certificates(
    setting: Setting, rungs: RungSet, decision: Decision, image: NDArray[Any], label: int
) -> tuple[tuple[str, bytes], ...]:
    """One for each ROBUST verdict whose solver says what it rests on."""
    made = []
    opens = {"reference": setting.reference, "quantised": setting.quantised}
    for (role, opened), verdict, finding in zip(
        opens.items(), decision.verdicts, decision.each, strict=True
    ):
        if verdict.status is Status.ROBUST and finding.leaves is not None:
            data = _certificate(opened, rungs, image, label, role, finding.leaves)
            if data is not None:
                made.append((role, data))
    return tuple(made)


def _certificate(
    opened: Opened,
    rungs: RungSet,
    image: NDArray[Any],
    label: int,
    role: str,
    leaves: tuple[Leaf, ...],
) -> bytes | None:
    """None, with a warning, where it cannot be written: the verdict needs none."""
    try:
        return certificate(opened, rungs, image, label, role, leaves)
    except RelrobError:
        raise
    except Exception as error:
        log.debug("no certificate for %s", opened.network.path, exc_info=True)
        log.warning("no certificate for %s (%s)", opened.network.path, one_line(error))
        return None


def _record(setting: Setting, rungs: RungSet, decision: Decision, clean: Record) -> Record:
    """The row of an image that the reference classifies right."""
    reference, quantised = decision.verdicts
    transfer = decision.transfer
    reasons = [
        f"{name}: {verdict.reason.value}"
        for name, verdict in (("reference", reference), ("quantised", quantised))
        if verdict.reason is not None
    ]
    counted = decision.each
    return Record(
        index=clean.index,
        label=clean.label,
        reference_label=clean.reference_label,
        quantised_label=clean.quantised_label,
        set=_set(setting, rungs, decision, clean.label),
        reference_verdict=reference.status.value,
        quantised_verdict=quantised.status.value,
        points=rungs.count,
        reference_effective=counted[0].effective,
        quantised_effective=counted[1].effective,
        transferred=transfer.all.transferred if transfer else None,
        same_class=transfer.all.same_class if transfer else None,
        closest_effective=transfer.closest.effective if transfer else None,
        closest_transferred=transfer.closest.transferred if transfer else None,
        reference_margin=reference.margin,
        quantised_margin=quantised.margin,
        decided_by=f"{reference.solver},{quantised.solver}",
        reason="; ".join(reasons),
        evaluated=decision.evaluated,
        proved=rungs.count - decision.evaluated
        if all(_settled(finding) for finding in counted)
        else 0,
        thin=counted[0].close_calls,
        disagreements=reference.disagreements + quantised.disagreements,
        clean_regression=clean.quantised_label != clean.label,
    )


def _settled(finding: Finding) -> bool:
    """Is every point of the region decided, and not only the verdict?"""
    return finding.proved or finding.effective is not None


def _set(setting: Setting, rungs: RungSet, decision: Decision, label: int) -> Set:
    """The set of an image on which the reference is right."""
    reference, quantised = decision.verdicts
    if Status.UNKNOWN in (reference.status, quantised.status):
        return Set.UNKNOWN
    if reference.status is Status.ROBUST:
        return Set.RQFP if quantised.status is Status.ROBUST else Set.RFP
    share = _share(setting, rungs, decision, reference, label)
    if share.transferred == 0:
        return Set.RQ
    return Set.R0 if share.transferred == share.effective else Set.MIXED


def _share(
    setting: Setting, rungs: RungSet, decision: Decision, reference: Verdict, label: int
) -> Share:
    """The effective perturbations that decide; without exact counts, the witness that was found."""
    transfer = decision.transfer
    if transfer is not None and transfer.all.effective:
        chosen = {
            Effective.CLOSEST: transfer.closest,
            Effective.ALL: transfer.all,
            Effective.FARTHEST: transfer.farthest,
        }
        return chosen[setting.effective]
    assert reference.witness is not None  # noqa: S101 - Verdict guarantees it for NOT_ROBUST
    mask = np.zeros(rungs.features, dtype=np.bool_)
    mask[list(reference.witness.moved)] = True
    said, _, _ = replay(setting.quantised, rungs, label, mask)
    return Share(1, int(said != label), int(said == reference.witness.label))
