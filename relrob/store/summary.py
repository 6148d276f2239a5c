"""The summary of a run as a value: the sets of Duncan et al. 2020, Sec. III, the rates and the
counts of summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from relrob.store.header import LEADING, Header
from relrob.store.proportions import interval, ratio

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
_COUNTS: Final = (
    "clean_regressions",
    "disagreements",
    "thin",
    "unknown_reference",
    "unknown_quantised",
    "evaluated_undecided",
)


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

    def json(self) -> dict[str, int]:
        """Name of the set, as users read it, to its size."""
        return {name: getattr(self, field) for name, field in _SETS.items()}


@dataclass(frozen=True)
class PointCounts:
    """Perturbed images around the decided images: `evaluated` by running a network, or `proved`
    without."""

    evaluated: int
    proved: int

    @property
    def covered(self) -> int:
        """All that the verdicts speak of."""
        return self.evaluated + self.proved

    def json(self) -> dict[str, int]:
        """With the sum."""
        return {"covered": self.covered, "evaluated": self.evaluated, "proved": self.proved}


@dataclass(frozen=True)
class EffectiveCounts:
    """Effective perturbations of all images: of each network, of both (`transferred`), of both with
    the same wrong label (`same_class`). None: not counted."""

    reference: int | None
    quantised: int | None
    transferred: int | None
    same_class: int | None


@dataclass(frozen=True)
class Summary:
    """The summary of a run; `json` gives summary.json.

    `transfer_points`: share of the reference's effective perturbations that transfer;
    `closest_transfer`: the same of those of least cost; None where none was counted. `seconds`: of
    work. `clean_regressions`: images that only the quantised network gets wrong without any
    perturbation. `disagreements`: witnesses that the replay refuted. `thin`: close calls.
    `spot_checks`: points of proofs that were run, none of which spoke against. `region_points`:
    least and largest number of points of a region, None where that is not finite.
    `evaluated_undecided`: points run around undecided images. `decided_by`: solvers to images;
    `reasons`: reason of UNKNOWN to images, both as pairs in alphabetical order.
    """

    header: Header
    sets: SetSizes
    transfer_points: float | None
    closest_transfer: float | None
    points: PointCounts
    seconds: float
    clean_regressions: int
    disagreements: int
    spot_checks: int
    thin: int
    unknown_reference: int
    unknown_quantised: int
    effective: EffectiveCounts
    evaluated_undecided: int
    region_points: tuple[int, int] | None
    decided_by: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, int], ...]

    @property
    def relative_robustness(self) -> float | None:
        """|R_Q^FP| / |R|, rounded to 6 digits; None where R is empty."""
        return ratio(self.sets.both_robust, self.sets.robust)

    @property
    def adversarial_transfer(self) -> float | None:
        """|R^0| / |R_NOT|, rounded to 6 digits; None where R_NOT is empty."""
        return ratio(self.sets.all_transfer, self.sets.not_robust)

    @property
    def intervals(self) -> dict[str, list[float] | None]:
        """Wilson intervals (95 %) of the two rates, rounded to 6 digits."""
        return {
            "relative_robustness": interval(self.sets.both_robust, self.sets.robust),
            "adversarial_transfer": interval(self.sets.all_transfer, self.sets.not_robust),
        }

    def json(self) -> dict[str, Any]:
        """summary.json, keys in its order: the header's first ones, the counts, then whatever else
        the header has."""
        document = self.header.json()
        leading: dict[str, Any] = {name: document.pop(name) for name in LEADING if name in document}
        return {
            **leading,
            "sets": self.sets.json(),
            "relative_robustness": self.relative_robustness,
            "adversarial_transfer": self.adversarial_transfer,
            "transfer_points": self.transfer_points,
            "closest_transfer": self.closest_transfer,
            "points": self.points.json(),
            "seconds": self.seconds,
            "intervals": self.intervals,
            "clean_regressions": self.clean_regressions,
            "disagreements": self.disagreements,
            "spot_checks": {"run": self.spot_checks, "against": 0},
            "thin": self.thin,
            "unknown_reference": self.unknown_reference,
            "unknown_quantised": self.unknown_quantised,
            "effective": dict(vars(self.effective)),
            "evaluated_undecided": self.evaluated_undecided,
            "region_points": None if self.region_points is None else list(self.region_points),
            "decided_by": dict(self.decided_by),
            "reasons": dict(self.reasons),
            **document,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Summary:
        """The summary that a summary.json holds, of an older relrob too.

        Raises KeyError, TypeError or AttributeError for another document.
        """
        ends = document["region_points"]
        own = Summary.__annotations__.keys() | {"relative_robustness", "adversarial_transfer"}
        header = {key: value for key, value in document.items() if key not in own - {"header"}}
        header.pop("intervals", None)
        return cls(
            header=Header.of(header),
            sets=SetSizes(**{field: document["sets"][name] for name, field in _SETS.items()}),
            transfer_points=document["transfer_points"],
            closest_transfer=document["closest_transfer"],
            points=PointCounts(document["points"]["evaluated"], document["points"]["proved"]),
            seconds=document["seconds"],
            spot_checks=document.get("spot_checks", {"run": 0})["run"],
            effective=EffectiveCounts(**document["effective"]),
            region_points=None if ends is None else (ends[0], ends[1]),
            decided_by=tuple(document["decided_by"].items()),
            reasons=tuple(document["reasons"].items()),
            **{name: document[name] for name in _COUNTS},
        )
