"""One image, two networks, a ball or a lattice: its set, decided by verdicts and by the
witness that was found.

Source of the sets: docs/regions.md, "Effective perturbations and the sets".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from relrob.certificates.writing.ball import ball_certificate
from relrob.deciding.decide_ball import BallDecision, decide_ball, replay_image
from relrob.domain.query import Budget
from relrob.domain.record import ImageResult, Record, Set
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Status
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.problem import BallProblem
from relrob.queries.spots import Spots
from relrob.regions.ball import BallSet, ball_set
from relrob.relative.views import witness_view

_ROLES = ("reference", "quantised")


@dataclass(frozen=True, eq=False)
class BallSetting:
    """What every image of a run shares; `networks`: reference and quantised; `solver`: its name."""

    networks: tuple[Opened, Opened]
    region: Ball | Lattice
    solver: str
    budget: Budget
    certify: bool = False


def classify_ball(setting: BallSetting, index: int, image: NDArray[Any], label: int) -> ImageResult:
    """Decide one image (H, W, C). Cost: one solver run a network."""
    begin = time.perf_counter()
    ball = ball_set(setting.region, image)
    said = [
        int(labels(opened.replayer.outputs(ball.base[None, :]))[0]) for opened in setting.networks
    ]
    clean = Record(index, label, said[0], said[1], Set.L_IC)
    if said[0] != label:
        return ImageResult(clean, (), time.perf_counter() - begin)
    problem = BallProblem(
        ball, label, setting.networks, setting.budget, setting.certify, Spots(index)
    )
    decision = decide_ball(problem, setting.solver)
    record = replace(_record(setting, ball, decision, clean), spot_checks=problem.spots.run)
    views = tuple(
        witness_view(setting.networks, ball.base, image, record, role, verdict.witness)
        for role, verdict in zip(_ROLES, decision.verdicts, strict=True)
        if verdict.witness is not None
    )
    return ImageResult(
        record, views, time.perf_counter() - begin, _certificates(setting, decision, image, label)
    )


def _certificates(
    setting: BallSetting, decision: BallDecision, image: NDArray[Any], label: int
) -> tuple[tuple[str, bytes], ...]:
    """One for each ROBUST verdict that rests on something that can be derived again."""
    made = []
    for role, opened, verdict, finding in zip(
        _ROLES, setting.networks, decision.verdicts, decision.each, strict=True
    ):
        if setting.certify and verdict.status is Status.ROBUST and finding.proof is not None:
            data = ball_certificate(
                opened.network, setting.region, image, label, role, finding.proof
            )
            made += [(role, data)] if data is not None else []
    return tuple(made)


def _record(setting: BallSetting, ball: BallSet, decision: BallDecision, clean: Record) -> Record:
    """The row of an image that the reference classifies right; points are not counted, but where
    there are no effective ones."""
    reference, quantised = decision.verdicts
    reasons = [
        f"{role}: {v.reason.value}"
        for role, v in zip(_ROLES, decision.verdicts, strict=True)
        if v.reason is not None
    ]
    none = [0 if verdict.status is Status.ROBUST else None for verdict in decision.verdicts]
    return Record(
        index=clean.index,
        label=clean.label,
        reference_label=clean.reference_label,
        quantised_label=clean.quantised_label,
        set=_set(setting, ball, decision, clean.label),
        reference_verdict=reference.status.value,
        quantised_verdict=quantised.status.value,
        reference_effective=none[0],
        quantised_effective=none[1],
        reference_margin=reference.margin,
        quantised_margin=quantised.margin,
        decided_by=f"{reference.solver},{quantised.solver}",
        reason="; ".join(reasons),
        evaluated=max(finding.evaluated for finding in decision.each),
        disagreements=reference.disagreements + quantised.disagreements,
        clean_regression=clean.quantised_label != clean.label,
    )


def _set(setting: BallSetting, ball: BallSet, decision: BallDecision, label: int) -> Set:
    """The set of an image on which the reference is right: of its effective perturbations, the one
    that was found decides."""
    reference, quantised = decision.verdicts
    if Status.UNKNOWN in (reference.status, quantised.status):
        return Set.UNKNOWN
    if reference.witness is None:
        return Set.RQFP if quantised.status is Status.ROBUST else Set.RFP
    said, _, _ = replay_image(setting.networks[1], ball, label, reference.witness.image)
    return Set.RQ if said == label else Set.R0
