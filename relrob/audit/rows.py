"""One image of an audit: its labels, and what the run says of it where it was sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, get_args, get_type_hints

from relrob.domain.record import AttackRecord, Record
from relrob.domain.verdict import Reason, Status
from relrob.store.attack_summary import name_of
from relrob.store.grounds import ground

NOTHING: Final = "none"
_ROBUST, _FOOLED, _UNKNOWN = (status.value for status in Status)


@dataclass(frozen=True)
class Row:
    """One image: the true label and those of both networks; the other fields are those of a run's
    `images.csv`, empty or None where the image was not sampled.

    `witness_reference_label`: the reference's label of the image that fools the quantised network,
    None where there is none. `*_ground`: of ROBUST, "proved" or "run" (every point was).
    `*_attacked`: the attacks that fooled the network inside the region, with ", " between, or
    "none"; "" where it was not attacked, or no attack learned anything.
    """

    index: int
    label: int
    reference_label: int
    quantised_label: int
    set: str = ""
    reference_verdict: str = ""
    quantised_verdict: str = ""
    points: int | None = None
    reference_effective: int | None = None
    quantised_effective: int | None = None
    transferred: int | None = None
    reference_margin: float | None = None
    quantised_margin: float | None = None
    decided_by: str = ""
    reason: str = ""
    witness_reference_label: int | None = None
    reference_ground: str = ""
    quantised_ground: str = ""
    reference_attacked: str = ""
    quantised_attacked: str = ""

    @property
    def sampled(self) -> bool:
        """Was the image looked at closely?"""
        return self.set != ""

    @property
    def outcome(self) -> str:
        """The quantised network: "proved", "run", "fooled", "undecided", or "" where it was not
        asked."""
        verdict = self.quantised_verdict
        return {
            "": "",
            _ROBUST: self.quantised_ground,
            _FOOLED: "fooled",
            _UNKNOWN: "undecided",
        }[verdict]

    @property
    def lost(self) -> bool:
        """Is the reference robust and the quantised network not?"""
        return self.reference_verdict == _ROBUST and self.quantised_verdict == _FOOLED

    @property
    def withstood(self) -> bool:
        """Is the reference undecided, and not fooled by the quantised network's witness either?"""
        shared = self.witness_reference_label not in (None, self.label)
        return self.reference_verdict == _UNKNOWN and not shared

    @property
    def undecided(self) -> bool:
        """Is a network undecided?"""
        return _UNKNOWN in (self.reference_verdict, self.quantised_verdict)

    @property
    def crashed(self) -> bool:
        """Is a network undecided because a solver stopped with an error?"""
        return Reason.CRASH.value in self.reason

    @property
    def beaten(self) -> bool:
        """Did an attack fool the quantised network inside the region?"""
        return self.quantised_attacked not in ("", NOTHING)


COLUMNS: Final = tuple(field.name for field in fields(Row))
# From the text of a cell to the field's value; an empty cell is None.
READERS: Final = {
    name: next(read for read in (str, float, int) if read is hint or read in get_args(hint))
    for name, hint in get_type_hints(Row).items()
}


def rows_of(
    labels: Sequence[int],
    reference: Sequence[int],
    quantised: Sequence[int],
    records: Sequence[Record],
    witnesses: dict[int, int],
    attacks: Mapping[int, Sequence[AttackRecord]] | None = None,
) -> tuple[Row, ...]:
    """A row for each image. `witnesses`: image to the reference's label of the quantised network's
    witness; `attacks`: image to what attacks found."""
    decided = {record.index: record for record in records}
    rows = []
    for index, clean in enumerate(zip(labels, reference, quantised, strict=True)):
        truth, one, other = (int(label) for label in clean)
        record = decided.get(index)
        if record is None:
            rows.append(Row(index, truth, one, other))
            continue
        known = {name: getattr(record, name) for name in COLUMNS if name in vars(record)}
        # An image that killed its workers was labelled by the checks alone.
        for network, label in (("reference", one), ("quantised", other)):
            if known[f"{network}_label"] < 0:
                known[f"{network}_label"] = label
        known["set"] = record.set.value
        for network in ("reference", "quantised"):
            if known[f"{network}_verdict"] == _ROBUST:
                known[f"{network}_ground"] = ground(record, network).value
            known[f"{network}_attacked"] = _attacked(network, (attacks or {}).get(index, ()))
        rows.append(Row(**known, witness_reference_label=witnesses.get(index)))
    return tuple(rows)


def _attacked(network: str, found: Sequence[AttackRecord]) -> str:
    """The names of the attacks that fooled the network inside the region; an attack that learned
    nothing was not withstood, and counts as not tried."""
    tried = [each for each in found if each.network == network and not each.blind]
    names = dict.fromkeys(name_of(each.attack) for each in tried if each.inside)
    return (", ".join(names) or NOTHING) if tried else ""
