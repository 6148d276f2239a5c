"""The summary of a run as a value: the sets of Duncan et al. 2020, Sec. III, the rates and the
counts of summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from relrob.store.attack_summary import Attacks
from relrob.store.grounds import Grounds
from relrob.store.header import LEADING, Header
from relrob.store.proportions import Bounds, Proportion, pair
from relrob.store.rates import SetSizes, Undecided, proportions
from relrob.store.transfers import PointShare

_ROBUST: Final = ("R", "R_Q^FP")
_OTHER_TIES: Final = ("reference", "clean_reference", "clean_quantised")
_COUNTS: Final = (
    "clean_regressions",
    "disagreements",
    "thin",
    "unknown_reference",
    "unknown_quantised",
    "evaluated_undecided",
)
_RATES: Final = (
    "relative_robustness",
    "adversarial_transfer",
    "transfer_points",
    "closest_transfer",
)
# The keys of summary.json that are no part of its header.
_OWN: Final = {
    *(name for rate in _RATES for name in (rate, f"{rate}_bounds")),
    *_COUNTS,
    *("sets", "points", "seconds", "intervals", "spot_checks", "effective", "region_points"),
    *("decided_by", "reasons", "undecided", "robust_by", "lost_images", "ties", "tie_images"),
    *("other_ties", "attacks"),
}


@dataclass(frozen=True)
class PointCounts:
    """Perturbed images around the decided images: `evaluated` by running a network, counted as a
    record counts them (`relrob.domain.record`), or `proved` without running either.
    `reference_proved`, `quantised_proved`: decided for that network without
    running it; None where they were not counted."""

    evaluated: int
    proved: int
    reference_proved: int | None = None
    quantised_proved: int | None = None

    @property
    def covered(self) -> int:
        """All that the verdicts speak of."""
        return self.evaluated + self.proved

    def json(self) -> dict[str, int | None]:
        """With the sum."""
        return {"covered": self.covered, **vars(self)}


@dataclass(frozen=True)
class EffectiveCounts:
    """Effective perturbations of all images: of each network, of both (`transferred`), of both with
    the same wrong label (`same_class`). None: not counted."""

    reference: int | None
    quantised: int | None
    transferred: int | None
    same_class: int | None


@dataclass(frozen=True)
class Ties:
    """Images with several largest outputs, of which the first gives the label. `fooled`: the
    quantised network is NOT_ROBUST by such ties alone, `images` the first of these; `reference`:
    images on which the reference is; `clean_*`: the clean image is such a tie."""

    fooled: int = 0
    images: tuple[int, ...] = ()
    reference: int = 0
    clean_reference: int = 0
    clean_quantised: int = 0


@dataclass(frozen=True)
class Summary:
    """The summary of a run; `json` gives summary.json.

    `undecided`: images by what is undecided. `transfer_points`: share of the reference's effective
    perturbations that transfer; `closest_transfer`: the same of those of least cost. `seconds`: of
    work. `clean_regressions`: images that only the quantised network gets wrong without any
    perturbation. `disagreements`: witnesses that the replay refuted. `thin`: close calls.
    `spot_checks`: points of proofs that were run, none of which spoke against. `region_points`:
    least and largest number of points of a region, None where that is not finite.
    `evaluated_undecided`: points run around undecided images. `decided_by`: solvers to images;
    `reasons`: reason of UNKNOWN to images, both as pairs in alphabetical order. `robust_by`: what
    ROBUST rests on, of the reference in R and of the quantised network in R_Q^FP; None in older
    summaries. `lost`: the first images of R^FP. `ties`: labels that the order of the outputs gives.
    `attacks`: what they found, None where none was asked for.
    """

    header: Header
    sets: SetSizes
    undecided: Undecided
    transfer_points: PointShare
    closest_transfer: PointShare
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
    robust_by: tuple[Grounds, Grounds] | None = None
    lost: tuple[int, ...] = ()
    ties: Ties = Ties()
    attacks: Attacks | None = None

    @property
    def shares(self) -> dict[str, Proportion]:
        """Name of each set to its share (`relrob.store.rates.proportions`)."""
        return proportions(self.sets, self.undecided)

    @property
    def relative_robustness(self) -> float | None:
        """|R_Q^FP| / |R|, rounded to 6 digits; None where R is empty, and where an undecided image
        could change it."""
        return self.shares["R_Q^FP"].value

    @property
    def relative_robustness_bounds(self) -> Bounds | None:
        """The least and the greatest |R_Q^FP| / |R| over all decisions of the undecided images;
        None where R is empty for sure."""
        return self.shares["R_Q^FP"].bounds

    @property
    def adversarial_transfer(self) -> float | None:
        """|R^0| / |R_NOT|, rounded to 6 digits; None where R_NOT is empty, and where an undecided
        image could change it."""
        return self.shares["R^0"].value

    @property
    def adversarial_transfer_bounds(self) -> Bounds | None:
        """The least and the greatest |R^0| / |R_NOT| over all decisions of the undecided images;
        None where R_NOT is empty for sure."""
        return self.shares["R^0"].bounds

    @property
    def intervals(self) -> dict[str, list[float] | None]:
        """Wilson intervals (95 %) of the two rates, rounded to 6 digits; undecided images widen
        them."""
        shares = self.shares
        return {
            "relative_robustness": pair(shares["R_Q^FP"].interval),
            "adversarial_transfer": pair(shares["R^0"].interval),
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
            "transfer_points": self.transfer_points.value,
            "closest_transfer": self.closest_transfer.value,
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
            "relative_robustness_bounds": pair(self.relative_robustness_bounds),
            "adversarial_transfer_bounds": pair(self.adversarial_transfer_bounds),
            "transfer_points_bounds": pair(self.transfer_points.bounds),
            "closest_transfer_bounds": pair(self.closest_transfer.bounds),
            "undecided": self.undecided.json(),
            "robust_by": None
            if self.robust_by is None
            else {name: by.json() for name, by in zip(_ROBUST, self.robust_by, strict=True)},
            "lost_images": list(self.lost),
            "ties": self.ties.fooled,
            "tie_images": list(self.ties.images),
            "other_ties": {name: getattr(self.ties, name) for name in _OTHER_TIES},
            **({} if self.attacks is None else {"attacks": self.attacks.json()}),
            **document,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Summary:
        """The summary that a summary.json holds, of an older relrob too.

        Raises KeyError, TypeError or AttributeError for another document.
        """
        ends = document["region_points"]
        header = {key: value for key, value in document.items() if key not in _OWN}
        sets, by = SetSizes.of(document["sets"]), document.get("robust_by")
        some = document.get("undecided")
        undecided = Undecided(**some) if some is not None else Undecided.at_most(sets)
        return cls(
            header=Header.of(header),
            sets=sets,
            undecided=undecided,
            transfer_points=_point_share(document, "transfer_points", sets.unknown),
            closest_transfer=_point_share(document, "closest_transfer", sets.unknown),
            points=PointCounts(**{k: v for k, v in document["points"].items() if k != "covered"}),
            seconds=document["seconds"],
            spot_checks=document.get("spot_checks", {"run": 0})["run"],
            effective=EffectiveCounts(**document["effective"]),
            region_points=None if ends is None else (ends[0], ends[1]),
            decided_by=tuple(document["decided_by"].items()),
            reasons=tuple(document["reasons"].items()),
            robust_by=None
            if by is None
            else (Grounds(**by[_ROBUST[0]]), Grounds(**by[_ROBUST[1]])),
            lost=tuple(document.get("lost_images", ())),
            ties=Ties(
                document.get("ties", 0),
                tuple(document.get("tie_images", ())),
                **document.get("other_ties", {}),
            ),
            attacks=Attacks.of(document["attacks"]) if "attacks" in document else None,
            **{name: document[name] for name in _COUNTS},
        )


def _point_share(document: Mapping[str, Any], name: str, unknown: int) -> PointShare:
    """A share over points. An older summary has that of the counted images, which is not that of
    all where some are undecided."""
    value, ends = document[name], document.get(f"{name}_bounds")
    if ends is not None:
        return PointShare(value, (ends[0], ends[1]))
    known = None if unknown and f"{name}_bounds" not in document else value
    return PointShare(known, None if known is None else (known, known))
