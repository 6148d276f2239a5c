"""The summary of a run: the sets of Duncan et al. 2020, Sec. III, rates, transfer over points,
Wilson intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from relrob.domain.record import Record, Set
from relrob.domain.verdict import Status
from relrob.errors import StoreError

_ANY = frozenset(Status)
_DECIDED = frozenset({Status.ROBUST, Status.NOT_ROBUST})
_ROBUST, _NOT_ROBUST = frozenset({Status.ROBUST}), frozenset({Status.NOT_ROBUST})
_NONE: frozenset[str] = frozenset({""})
# Which verdicts (reference, quantised) each set admits; `unknown` needs one that is UNKNOWN.
_ADMITS: Mapping[Set, tuple[frozenset[str], frozenset[str]]] = {
    Set.RQFP: (_ROBUST, _ROBUST),
    Set.RFP: (_ROBUST, _NOT_ROBUST),
    Set.RQ: (_NOT_ROBUST, _DECIDED),
    Set.R0: (_NOT_ROBUST, _NOT_ROBUST),
    Set.MIXED: (_NOT_ROBUST, _NOT_ROBUST),
    Set.UNKNOWN: (_ANY, _ANY),
    Set.L_IC: (_NONE, _NONE),
}
_Z = NormalDist().inv_cdf(0.975)


HEADER = ("relrob", "run", "dataset", "reference", "quantised", "region", "arithmetic")


def wilson(k: int, n: int) -> tuple[float, float]:
    """The Wilson score interval, 95 %, of k successes in n > 0 trials (Wilson 1927).

    >>> low, high = wilson(59, 60)
    >>> print(f"{low:.3f} {high:.3f}")
    0.911 0.997
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"{k} of {n} is not a proportion")
    centre = (k + _Z * _Z / 2) / (n + _Z * _Z)
    half = _Z * math.sqrt(k * (n - k) / n + _Z * _Z / 4) / (n + _Z * _Z)
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def interval(k: int, n: int) -> list[float] | None:
    """`wilson` rounded for JSON; None when n is 0."""
    return [round(end, 6) for end in wilson(k, n)] if n else None


def ratio(k: int, n: int) -> float | None:
    """k / n rounded to 6 digits; None when n is 0."""
    return round(k / n, 6) if n else None


def summarise(
    records: Sequence[Record], header: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The summary JSON of a run, keys in order: those of `header`, then sets, rates, points,
    `seconds`, then details.

    `header` has the keys HEADER; whatever else it has comes last. Rates are None where nothing can
    be counted; rates and intervals are rounded to 6 digits. Raises StoreError when a record
    contradicts itself.
    """
    for record in records:
        _check(record)
    sets = _sets(records)
    right = [record for record in records if record.set is not Set.L_IC]
    decided = [record for record in right if record.set is not Set.UNKNOWN]
    evaluated, proved = (
        sum(record.evaluated for record in decided),
        sum(record.proved for record in decided),
    )
    leading = {name: header[name] for name in HEADER if name in header}
    return {
        **leading,
        "sets": sets,
        "relative_robustness": ratio(sets[Set.RQFP], sets["R"]),
        "adversarial_transfer": ratio(sets[Set.R0], sets["R_NOT"]),
        "transfer_points": _share(records, "transferred", "reference_effective"),
        "closest_transfer": _share(records, "closest_transferred", "closest_effective"),
        "points": {"covered": evaluated + proved, "evaluated": evaluated, "proved": proved},
        "seconds": round(seconds, 6),
        "intervals": {
            "relative_robustness": interval(sets[Set.RQFP], sets["R"]),
            "adversarial_transfer": interval(sets[Set.R0], sets["R_NOT"]),
        },
        "clean_regressions": sum(record.clean_regression for record in records),
        "disagreements": sum(record.disagreements for record in records),
        "spot_checks": {"run": sum(record.spot_checks for record in records), "against": 0},
        "thin": sum(record.thin for record in records),
        "unknown_reference": sum(record.reference_verdict == Status.UNKNOWN for record in right),
        "unknown_quantised": sum(record.quantised_verdict == Status.UNKNOWN for record in right),
        "effective": {
            "reference": _total(record.reference_effective for record in records),
            "quantised": _total(record.quantised_effective for record in records),
            "transferred": _total(record.transferred for record in records),
            "same_class": _total(record.same_class for record in records),
        },
        "evaluated_undecided": sum(record.evaluated for record in records) - evaluated,
        "region_points": _range(record.points for record in right),
        "decided_by": dict(
            sorted(Counter(record.decided_by for record in decided if record.decided_by).items())
        ),
        "reasons": dict(
            sorted(Counter(record.reason for record in right if record.reason).items())
        ),
        **{name: value for name, value in header.items() if name not in leading},
    }


def _sets(records: Sequence[Record]) -> dict[str, int]:
    """Sizes of the sets, after checking that they add up.

    Source of the identities: docs/regions.md, "Effective perturbations and the sets".
    """
    size = Counter(record.set for record in records)
    right = [record for record in records if record.set is not Set.L_IC]
    verdict = Counter(record.reference_verdict for record in right)
    open_ = Counter(record.reference_verdict for record in right if record.set is Set.UNKNOWN)
    robust, not_robust, unknown = (
        verdict[Status.ROBUST],
        verdict[Status.NOT_ROBUST],
        verdict[Status.UNKNOWN],
    )
    identities = (
        (len(right) + size[Set.L_IC], len(records)),
        (robust + not_robust + unknown, len(right)),
        (size[Set.RQFP] + size[Set.RFP] + open_[Status.ROBUST], robust),
        (size[Set.RQ] + size[Set.R0] + size[Set.MIXED] + open_[Status.NOT_ROBUST], not_robust),
    )
    if any(left != right_side for left, right_side in identities):
        raise StoreError(f"the sets do not add up: {identities}")
    shown = (Set.RQFP, Set.RFP, Set.RQ, Set.R0, Set.MIXED, Set.UNKNOWN)
    head = {"L_cc": len(right), "L_ic": size[Set.L_IC], "R": robust, "R_NOT": not_robust}
    return head | {str(name): size[name] for name in shown}


def _check(record: Record) -> None:
    """Raise StoreError when set, verdicts and counts of a record contradict one another."""
    verdicts = (record.reference_verdict, record.quantised_verdict)
    admitted = all(
        verdict in allowed for verdict, allowed in zip(verdicts, _ADMITS[record.set], strict=True)
    )
    if not admitted or (record.set is Set.UNKNOWN and Status.UNKNOWN not in verdicts):
        raise StoreError(
            f"image {record.index} is in {record.set} with verdicts {verdicts[0]!r} and {verdicts[1]!r}"
        )
    for part, whole in (
        ("transferred", "reference_effective"),
        ("transferred", "quantised_effective"),
        ("same_class", "transferred"),
        ("closest_transferred", "closest_effective"),
        ("reference_effective", "points"),
        ("quantised_effective", "points"),
    ):
        few, many = getattr(record, part), getattr(record, whole)
        if few is not None and many is not None and few > many:
            raise StoreError(f"image {record.index} has {part} {few} above {whole} {many}")


def _share(records: Sequence[Record], part: str, whole: str) -> float | None:
    """Sum of `part` over sum of `whole` where both were counted."""
    pairs = [(getattr(record, part), getattr(record, whole)) for record in records]
    counted = [(few, many) for few, many in pairs if few is not None and many is not None]
    return ratio(sum(few for few, _ in counted), sum(many for _, many in counted))


def _total(counts: Iterable[int | None]) -> int | None:
    """Sum of the counts that were made; None when none was."""
    made = [count for count in counts if count is not None]
    return sum(made) if made else None


def _range(counts: Iterable[int | None]) -> list[int] | None:
    """[smallest, largest] of the counts that were made."""
    made = [count for count in counts if count is not None]
    return [min(made), max(made)] if made else None
