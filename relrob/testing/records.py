"""The referee of records: verdicts, counts, sets and witnesses against all points."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relrob.domain.arrays import Bools
from relrob.domain.record import ImageResult, Record, Set
from relrob.domain.verdict import Reason, Status
from relrob.testing.questions import Question

# Of the reference and of the quantised network: which points (n,) each gets wrong. The clean image
# is the first.
Wrong = tuple[Bools, Bools]


def record_complaints(
    result: ImageResult, question: Question, wrong: Wrong, complete: bool
) -> Iterator[str]:
    """The complaints about an answer to a question. `complete`: on a ladder it may give up for time
    only."""
    record = result.record
    if record.set is Set.L_IC:
        if not wrong[0][0]:
            yield "L_ic, and the reference is right"
        return
    if wrong[0][0]:
        yield "not L_ic, and the reference is wrong"
        return
    ladder = question.region.kind == "ladder"
    if record.points is not None and record.points != len(question.points):
        yield f"{record.points} points, not {len(question.points)}"
    for role, bad in zip(("reference", "quantised"), wrong, strict=True):
        status, counted = getattr(record, f"{role}_verdict"), getattr(record, f"{role}_effective")
        if status == Status.ROBUST and bad.any():
            yield f"{role}: ROBUST, and {int(bad.sum())} of {len(bad)} points are wrong"
        if status == Status.NOT_ROBUST and question.every and not bad.any():
            yield f"{role}: NOT_ROBUST, and no point is wrong"
        if (
            status != Status.ROBUST
            and counted is not None
            and question.every
            and counted != bad.sum()
        ):
            yield f"{role}: {counted} effective perturbations, not {int(bad.sum())}"
        if status == Status.UNKNOWN:
            reasons = dict(part.split(": ", 1) for part in record.reason.split("; "))
            reason = reasons.get(role, "")
            if reason == Reason.CRASH.value or (
                ladder and complete and reason != Reason.TIME.value
            ):
                yield f"{role}: UNKNOWN, {reason}"
    yield from _transfer(record, question, wrong)
    yield from _witnesses(result, question, wrong)


def _transfer(record: Record, question: Question, wrong: Wrong) -> Iterator[str]:
    """Counts of both networks and the set that follows from them."""
    if record.transferred is not None and record.transferred != (wrong[0] & wrong[1]).sum():
        yield f"{record.transferred} transferred, not {int((wrong[0] & wrong[1]).sum())}"
    robust = {Set.RQFP: (False, False), Set.RFP: (False, True)}.get(record.set)
    if (
        robust is not None
        and question.every
        and robust != (bool(wrong[0].any()), bool(wrong[1].any()))
    ):
        yield f"set {record.set.value}, against the points"
    if (
        record.set in (Set.RQ, Set.R0, Set.MIXED)
        and record.transferred is not None
        and wrong[0].any()
    ):
        costs = question.costs
        near = min(cost for cost, bad in zip(costs, wrong[0], strict=True) if bad)
        also = [bool(b) for cost, a, b in zip(costs, *wrong, strict=True) if a and cost == near]
        right = Set.RQ if not any(also) else Set.R0 if all(also) else Set.MIXED
        if right is not record.set:
            yield f"set {record.set.value}, not {right.value}"


def _witnesses(result: ImageResult, question: Question, wrong: Wrong) -> Iterator[str]:
    """Each is a point of the region that its network gets wrong."""
    for view in result.witnesses:
        at = np.flatnonzero((question.points == view.perturbed).all(axis=1))
        if question.every and not len(at):
            yield f"the witness of the {view.network} is no point of the region"
        elif len(at) and not wrong[view.network == "quantised"][at[0]]:
            yield f"the witness of the {view.network} is right on its runtime"
