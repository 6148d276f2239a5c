"""One image, two networks, a ladder, a lattice or a ball: its record, its witnesses and its
certificates."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from relrob.deciding.decide import Decision, decide
from relrob.domain.arrays import Floats
from relrob.domain.record import COUNTS_CUT, NETWORKS, TIES, AttackRecord, ImageResult, Record, Set
from relrob.domain.region import Decided
from relrob.domain.verdict import Reason, Status
from relrob.errors import RelrobError
from relrob.networks.batches import one_line
from relrob.networks.evaluator import labels, tied
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Proof
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.queries.spots import Spots
from relrob.regions.points import Points, points_of
from relrob.registry import load
from relrob.relative.sets import Effective, set_of
from relrob.relative.views import witness_view

if TYPE_CHECKING:
    from relrob.relative.beside import Armed

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Setting:
    """What every image of a run shares; `solver`: a method of the registry, or a solver;
    `effective`, `counts`: of ladders, whose points are counted; `arms`: attacks to try beside the
    solver, `seed` of their random numbers."""

    reference: Opened
    quantised: Opened
    region: Decided
    solver: str | Solver[Any]
    budget: Budget
    effective: Effective = Effective.CLOSEST
    counts: bool = False
    certify: bool = False
    arms: tuple[Armed, ...] = ()
    seed: int = 0


def classify(setting: Setting, index: int, image: NDArray[Any], label: int) -> ImageResult:
    """Decide one image (H, W, C). Cost: a solver run over the region on both networks, and the
    attacks. Raises AlarmError where a run contradicts a proof."""
    begin = time.perf_counter()
    networks = (setting.reference, setting.quantised)
    points = points_of(setting.region, image)
    clean = points.base[None, :]
    outputs = [opened.replayer.outputs(clean) for opened in networks]
    said = [int(labels(each)[0]) for each in outputs]
    row = Record(index, label, said[0], said[1], Set.L_IC, ties=ties_of((), outputs))
    if said[0] != label:
        return ImageResult(row, (), time.perf_counter() - begin)
    query = Query(
        points,
        Label(label),
        networks,
        setting.budget,
        setting.counts,
        setting.certify,
        Spots(index),
    )
    decision = decide(query, setting.solver)
    row = replace(_record(points, decision, networks, row), spot_checks=query.spots.run)
    row = replace(
        row,
        set=set_of(setting.effective, decision, setting.quantised, label),
        ties=ties_of([verdict.tie for verdict in decision.verdicts], outputs),
    )
    views = tuple(
        witness_view(networks, points.base, image, row, role, verdict.witness)
        for role, verdict in zip(NETWORKS, decision.verdicts, strict=True)
        if verdict.witness is not None
    )
    certificates = _certificates(query, decision, image) if setting.certify else ()
    attacks: tuple[AttackRecord, ...] = ()
    if setting.arms:
        around = load("relrob.relative.beside:Around")(
            index, label, points, said, decision.verdicts
        )
        attacks = load("relrob.relative.beside:beside")(
            setting.arms, networks, around, setting.seed
        )
    return ImageResult(row, views, time.perf_counter() - begin, certificates, attacks)


def ties_of(fooled: Sequence[bool], clean: Sequence[Floats]) -> str:
    """The words of a record's `ties`; `fooled`: is each network fooled by ties alone; `clean`: the
    outputs (1, classes) of each on the clean image."""
    each = [
        *fooled,
        *[False] * (len(NETWORKS) - len(fooled)),
        *(bool(tied(out)[0]) for out in clean),
    ]
    return ", ".join(word for word, there in zip(TIES, each, strict=True) if there)


def _certificates(
    query: Query[Points], decision: Decision, image: NDArray[Any]
) -> tuple[tuple[str, bytes], ...]:
    """One for each ROBUST verdict whose solver says what it rests on."""
    made = []
    for role, opened, verdict, finding in zip(
        NETWORKS, query.networks, decision.verdicts, decision.each, strict=True
    ):
        if verdict.status is Status.ROBUST and finding.proof is not None:
            data = _certificate(opened, query, image, role, finding.proof)
            if data is not None:
                made.append((role, data))
    return tuple(made)


def _certificate(
    opened: Opened, query: Query[Points], image: NDArray[Any], role: str, proof: Proof
) -> bytes | None:
    """None, with a warning, where it cannot be written: the verdict needs none."""
    certificate: Callable[..., bytes | None] = load("relrob.certificates.writing.write:certificate")
    try:
        return certificate(opened, query.points, image, query.label, role, proof)
    except RelrobError:
        raise
    except Exception as error:
        log.debug("no certificate for %s", opened.network.path, exc_info=True)
        log.warning("no certificate for %s (%s)", opened.network.path, one_line(error))
        return None


def _reason(reason: Reason, opened: Opened) -> str:
    """The sentence of a reason; where there are no bounds, with the cause."""
    cause = opened.network.black_box or "float MLPs, dense .tflite and fixed-point files have them"
    return f"{reason.value} ({cause})" if reason is Reason.UNBOUNDED else reason.value


def _record(
    points: Points, decision: Decision, networks: tuple[Opened, ...], clean: Record
) -> Record:
    """The row of an image that the reference classifies right, but for its set."""
    reference, quantised = decision.verdicts
    transfer, counted = decision.transfer, decision.each
    reasons = [
        f"{role}: {_reason(verdict.reason, opened)}"
        for role, verdict, opened in zip(NETWORKS, decision.verdicts, networks, strict=True)
        if verdict.reason is not None
    ]
    both = reference.status is quantised.status is Status.NOT_ROBUST
    if both and transfer is None and any(finding.cut for finding in counted):
        reasons.append(COUNTS_CUT)
    return replace(
        clean,
        reference_verdict=reference.status.value,
        quantised_verdict=quantised.status.value,
        points=points.count,
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
        proved=_proved(points, decision),
        reference_proved=_without(points, counted[0]),
        quantised_proved=_without(points, counted[1]),
        thin=counted[0].close_calls,
        disagreements=reference.disagreements + quantised.disagreements,
        clean_regression=clean.quantised_label != clean.label,
    )


def _proved(points: Points, decision: Decision) -> int:
    """Points that were decided for both networks without running either; 0 where they are not
    counted."""
    settled = all(map(_settled, decision.each))
    return points.count - decision.evaluated if points.count is not None and settled else 0


def _without(points: Points, finding: Finding) -> int | None:
    """Points decided for one network without running it; None where they are not counted."""
    if points.count is None:
        return None
    return max(points.count - finding.evaluated, 0) if _settled(finding) else 0


def _settled(finding: Finding) -> bool:
    """Is every point of the region decided, and not only the verdict?"""
    return finding.proved or finding.effective is not None
