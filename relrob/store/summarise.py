"""The summary of the records of a run, which are checked against one another first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from relrob.domain.record import TIES, AttackRecord, Record, Set
from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.store.attack_summary import summarised
from relrob.store.grounds import grounds
from relrob.store.header import Header
from relrob.store.rates import SetSizes, Undecided
from relrob.store.summary import EffectiveCounts, PointCounts, Summary, Ties
from relrob.store.transfers import of_closest, over_points

_NAMED: Final = 20  # images that a summary names
_OTHERS: Final = ("reference", "clean reference", "clean quantised")
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


def summarise(
    records: Sequence[Record],
    header: Mapping[str, Any],
    seconds: float,
    attacks: Mapping[int, Sequence[AttackRecord]] | None = None,
) -> Summary:
    """The summary of some records.

    `header`: the keys of `relrob.store.header`, and whatever else summary.json is to end with.
    `seconds`: of work. `attacks`: index to what attacks found, where the header names any. Raises
    StoreError when a record contradicts itself, or an attack contradicts a verdict.
    """
    found, asked = attacks or {}, header.get("attacks")
    for record in records:
        _check(record)
        _check_attacks(record, found.get(record.index, ()))
    header = {name: value for name, value in header.items() if name != "attacks"}
    right = [record for record in records if record.set is not Set.L_IC]
    decided = [record for record in right if record.set is not Set.UNKNOWN]
    evaluated = sum(record.evaluated for record in decided)
    return Summary(
        header=Header.of(header),
        sets=_sets(records),
        undecided=Undecided.of((r.reference_verdict, r.quantised_verdict) for r in right),
        transfer_points=over_points(records),
        closest_transfer=of_closest(records),
        points=PointCounts(
            evaluated,
            sum(record.proved for record in decided),
            _total(record.reference_proved for record in decided),
            _total(record.quantised_proved for record in decided),
        ),
        seconds=round(seconds, 6),
        clean_regressions=sum(record.clean_regression for record in records),
        disagreements=sum(record.disagreements for record in records),
        spot_checks=sum(record.spot_checks for record in records),
        thin=sum(record.thin for record in records),
        unknown_reference=_unknown(record.reference_verdict for record in right),
        unknown_quantised=_unknown(record.quantised_verdict for record in right),
        effective=EffectiveCounts(
            _total(record.reference_effective for record in records),
            _total(record.quantised_effective for record in records),
            _total(record.transferred for record in records),
            _total(record.same_class for record in records),
        ),
        evaluated_undecided=sum(record.evaluated for record in records) - evaluated,
        region_points=_range(record.points for record in right),
        decided_by=_counted(record.decided_by for record in decided),
        reasons=_counted(record.reason for record in right),
        robust_by=(
            grounds((r for r in right if r.reference_verdict == Status.ROBUST), "reference"),
            grounds((r for r in right if r.set is Set.RQFP), "quantised"),
        ),
        lost=_first(record for record in records if record.set is Set.RFP),
        ties=_ties(records),
        attacks=None if asked is None else summarised(asked, records, found),
    )


def _ties(records: Sequence[Record]) -> Ties:
    """The labels that rest on the order of the outputs."""
    with_ = {name: [r for r in records if name in r.ties.split(", ")] for name in TIES}
    return Ties(
        len(with_["quantised"]), _first(with_["quantised"]), *(len(with_[n]) for n in _OTHERS)
    )


def _first(records: Iterable[Record]) -> tuple[int, ...]:
    """The indices of the first images, ascending."""
    return tuple(sorted(record.index for record in records)[:_NAMED])


def _sets(records: Sequence[Record]) -> SetSizes:
    """Sizes of the sets. Raises StoreError unless they add up (README, "The sets")."""
    size = Counter(record.set for record in records)
    right = [record for record in records if record.set is not Set.L_IC]
    verdict = Counter(record.reference_verdict for record in right)
    open_ = Counter(record.reference_verdict for record in right if record.set is Set.UNKNOWN)
    robust, not_robust = verdict[Status.ROBUST], verdict[Status.NOT_ROBUST]
    identities = (
        (len(right) + size[Set.L_IC], len(records)),
        (robust + not_robust + verdict[Status.UNKNOWN], len(right)),
        (size[Set.RQFP] + size[Set.RFP] + open_[Status.ROBUST], robust),
        (size[Set.RQ] + size[Set.R0] + size[Set.MIXED] + open_[Status.NOT_ROBUST], not_robust),
    )
    if any(left != right_side for left, right_side in identities):
        raise StoreError(f"the sets do not add up: {identities}")
    return SetSizes(
        right=len(right),
        wrong=size[Set.L_IC],
        robust=robust,
        not_robust=not_robust,
        both_robust=size[Set.RQFP],
        lost=size[Set.RFP],
        none_transfers=size[Set.RQ],
        all_transfer=size[Set.R0],
        some_transfer=size[Set.MIXED],
        unknown=size[Set.UNKNOWN],
    )


def admits(which: Set, verdicts: tuple[str, str]) -> bool:
    """May an image with these verdicts, the reference's first, be in the set?"""
    if which is Set.UNKNOWN and Status.UNKNOWN not in verdicts:
        return False
    return all(
        verdict in allowed for verdict, allowed in zip(verdicts, _ADMITS[which], strict=True)
    )


def _check(record: Record) -> None:
    """Raise StoreError when set, verdicts and counts of a record contradict one another."""
    verdicts = (record.reference_verdict, record.quantised_verdict)
    if not admits(record.set, verdicts):
        raise StoreError(
            f"image {record.index} is in {record.set} "
            f"with verdicts {verdicts[0]!r} and {verdicts[1]!r}"
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


def _check_attacks(record: Record, found: Sequence[AttackRecord]) -> None:
    """Raise StoreError where an image inside the region stands beside a ROBUST."""
    for each in found:
        if each.inside and getattr(record, f"{each.network}_verdict") == Status.ROBUST:
            raise StoreError(
                f"image {record.index} is ROBUST on the {each.network} network, and {each.attack} "
                "fools it inside the region"
            )


def _total(counts: Iterable[int | None]) -> int | None:
    """Sum of the counts that were made; None when none was."""
    made = [count for count in counts if count is not None]
    return sum(made) if made else None


def _range(counts: Iterable[int | None]) -> tuple[int, int] | None:
    """The smallest and the largest of the counts that were made; None when none was."""
    made = [count for count in counts if count is not None]
    return (min(made), max(made)) if made else None


def _unknown(verdicts: Iterable[str]) -> int:
    return sum(verdict == Status.UNKNOWN for verdict in verdicts)


def _counted(texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Each text that is not empty and how often it comes, in alphabetical order."""
    return tuple(sorted(Counter(text for text in texts if text).items()))
