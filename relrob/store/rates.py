"""The sets of a run and their shares: which images each share counts, and which undecided ones
could change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from relrob.domain.verdict import Status
from relrob.store.proportions import Proportion

_SETS: Final = {
    "L_cc": "right",
    "L_ic": "wrong",
    "R": "robust",
    "R_NOT": "not_robust",
    "R_Q^FP": "both_robust",
    "R^FP": "lost",
    "R_Q": "none_transfers",
    "R^0": "all_transfer",
    "R^mixed": "some_transfer",
    "unknown": "unknown",
}
_VERDICTS: Final = {
    "robust_unknown": (Status.ROBUST, Status.UNKNOWN),
    "not_robust_unknown": (Status.NOT_ROBUST, Status.UNKNOWN),
    "unknown_robust": (Status.UNKNOWN, Status.ROBUST),
    "unknown_not_robust": (Status.UNKNOWN, Status.NOT_ROBUST),
    "unknown_unknown": (Status.UNKNOWN, Status.UNKNOWN),
}


@dataclass(frozen=True)
class SetSizes:
    """Images in each set. `right` is L_cc, `wrong` L_ic, `robust` R and `not_robust` R_NOT.

    R holds `both_robust` (R_Q^FP) and `lost` (R^FP). R_NOT holds `none_transfers` (R_Q),
    `all_transfer` (R^0) and `some_transfer` (R^mixed). Images of L_cc with an undecided network are
    `unknown`; they are in R or R_NOT as well where the reference is decided.
    """

    right: int
    wrong: int
    robust: int
    not_robust: int
    both_robust: int
    lost: int
    none_transfers: int
    all_transfer: int
    some_transfer: int
    unknown: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.right + self.wrong

    @classmethod
    def of(cls, document: Mapping[str, int]) -> SetSizes:
        """The sizes that a summary.json holds. Raises KeyError."""
        return cls(**{field: document[name] for name, field in _SETS.items()})

    def json(self) -> dict[str, int]:
        """Name of the set, as users read it, to its size."""
        return {name: getattr(self, field) for name, field in _SETS.items()}


@dataclass(frozen=True)
class Undecided:
    """Images of L_cc with an undecided network, by the verdicts of reference and quantised network;
    UNKNOWN becomes ROBUST or NOT_ROBUST when it is decided."""

    robust_unknown: int = 0
    not_robust_unknown: int = 0
    unknown_robust: int = 0
    unknown_not_robust: int = 0
    unknown_unknown: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[tuple[str, str]]) -> Undecided:
        """Counts of pairs of verdicts; pairs without UNKNOWN count for nothing."""
        found = Counter(verdicts)
        return cls(**{name: found[pair] for name, pair in _VERDICTS.items()})

    @classmethod
    def at_most(cls, sets: SetSizes) -> Undecided:
        """Of an older summary, which says only in which sets they are not: whichever of the
        reference are undecided could be anything."""
        robust = sets.robust - sets.both_robust - sets.lost
        fooled = sets.not_robust - sets.none_transfers - sets.all_transfer - sets.some_transfer
        return cls(robust, fooled, unknown_unknown=sets.unknown - robust - fooled)

    @property
    def reference(self) -> int:
        """Images on which the reference is undecided."""
        return self.unknown_robust + self.unknown_not_robust + self.unknown_unknown

    @property
    def quantised(self) -> int:
        """Images on which the quantised network is undecided."""
        return self.robust_unknown + self.not_robust_unknown + self.unknown_unknown

    def json(self) -> dict[str, int]:
        """For summary.json."""
        return dict(vars(self))


def proportions(sets: SetSizes, undecided: Undecided) -> dict[str, Proportion]:
    """Name of each set to its share of the set that it divides: L_cc and L_ic of all images, R,
    R_NOT and unknown of L_cc, R_Q^FP and R^FP of R, R_Q, R^0 and R^mixed of R_NOT.

    An image of L_cc whose reference is undecided is in R or in R_NOT, so the whole of a share can
    be undecided too. An image of R is in R_Q^FP if the quantised network is robust and in R^FP if
    it is not. An image of R_NOT is in R_Q if the quantised network is robust, and can be in any of
    the three sets if it is not.
    """
    u, images = undecided, sets.images
    split = sets.none_transfers + sets.all_transfer + sets.some_transfer
    either = u.unknown_not_robust + u.unknown_unknown
    fooled = {
        name: Proportion(
            count, split - count, u.not_robust_unknown, rest_if=u.unknown_robust, free=either
        )
        for name, count in (("R^0", sets.all_transfer), ("R^mixed", sets.some_transfer))
    }
    return {
        "L_cc": Proportion(sets.right, sets.wrong),
        "R": Proportion(sets.robust, sets.not_robust, u.reference),
        "R_Q^FP": Proportion(
            sets.both_robust,
            sets.lost,
            u.robust_unknown,
            part_if=u.unknown_robust,
            rest_if=u.unknown_not_robust,
            free=u.unknown_unknown,
        ),
        "R^FP": Proportion(
            sets.lost,
            sets.both_robust,
            u.robust_unknown,
            part_if=u.unknown_not_robust,
            rest_if=u.unknown_robust,
            free=u.unknown_unknown,
        ),
        "R_NOT": Proportion(sets.not_robust, sets.robust, u.reference),
        "R_Q": Proportion(
            sets.none_transfers,
            split - sets.none_transfers,
            u.not_robust_unknown,
            part_if=u.unknown_robust,
            free=either,
        ),
        **fooled,
        "unknown": Proportion(sets.unknown, sets.right - sets.unknown),
        "L_ic": Proportion(sets.wrong, images - sets.wrong),
    }
