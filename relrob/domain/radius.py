"""Certified radii: between which radii the first misclassified image of a network lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction
from math import inf, nextafter
from typing import Any, Final

# Of an interval, in a line of radius.csv; "found" is the label of the witness.
_COLUMNS: Final = ("proved", "broken", "decided", "proved_by", "broken_by", "asked", "reason")


class Compared(StrEnum):
    """The quantised network beside the reference, around one image; "open" where the intervals
    leave it open."""

    LESS = "less"
    SAME = "same"
    MORE = "more"
    OPEN = "open"


@dataclass(frozen=True)
class Interval:
    """The critical radius of a network around an image is the radius from which on the region holds
    an image that it gets wrong. It is above `proved` and at most `broken`.

    `proved`: a complete or sound solver proved the network right in the whole region of that exact
    radius; 0 is the image alone, which was run; None where even that is wrong (`broken` is 0), or
    where nothing is known. `broken`: the
    distance of a witness that was replayed, exact, or rounded up in L2; None where none was found
    up to the largest radius. `decided`: no radius that is told apart lies between the two.
    `proved_by`, `broken_by`: who did it, "" where nobody did. `label`: the network's label of the
    witness, -1 without. `asked`: regions asked about. `reason`: why it is not decided.
    """

    proved: Fraction | None
    broken: Fraction | None
    decided: bool
    proved_by: str = ""
    broken_by: str = ""
    label: int = -1
    asked: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        proved, broken = self.proved, self.broken
        if proved is None and broken not in (None, 0):
            raise ValueError("an image that is right itself has a proof of radius 0")
        if proved is not None and (proved < 0 or (broken is not None and broken <= proved)):
            raise ValueError("a witness lies in a region that was proved")
        if (self.label == -1) != (broken is None):
            raise ValueError("a label belongs to a witness, and to it alone")
        if self.decided == bool(self.reason):
            raise ValueError("a reason belongs to what is not decided, and to it alone")

    def json(self) -> dict[str, Any]:
        """Radii as numbers, `proved` rounded down and `broken` up where float64 does not hold them,
        and as exact text."""
        exact = {"proved": _text(self.proved), "broken": _text(self.broken)}
        numbers = {"proved": below(self.proved), "broken": above(self.broken)}
        return {**asdict(self), **numbers, "exact": exact}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Interval:
        """The interval of a document that `json` made. Raises KeyError, TypeError, ValueError."""
        values = {key: value for key, value in document.items() if key != "exact"}
        exact = document["exact"]
        return cls(**{**values, **{key: _fraction(exact[key]) for key in ("proved", "broken")}})


@dataclass(frozen=True)
class RadiusRecord:
    """One image. `reference` and `quantised` are None where the reference gets the image itself
    wrong: it is in L_ic, and nothing was asked. `spot_checks`: points of proved regions that were
    run; none spoke against a proof. A label of -1: the network was never run."""

    index: int
    label: int
    reference_label: int
    quantised_label: int
    reference: Interval | None = None
    quantised: Interval | None = None
    spot_checks: int = 0

    def __post_init__(self) -> None:
        if (self.reference is None) != (self.quantised is None):
            raise ValueError("both networks are asked, or neither")

    @property
    def compared(self) -> Compared | None:
        """Is the quantised network's critical radius certainly smaller or larger? None in L_ic.

        The same: both are between the same two radii, or both above the largest.
        """
        if self.reference is None or self.quantised is None:
            return None
        if _before(self.quantised, self.reference):
            return Compared.LESS
        if _before(self.reference, self.quantised):
            return Compared.MORE
        both = self.reference.decided and self.quantised.decided
        same = both and self.reference.proved == self.quantised.proved
        return Compared.SAME if same else Compared.OPEN

    @property
    def cost(self) -> tuple[Fraction | None, Fraction | None]:
        """Between which numbers the reference's critical radius is above the quantised network's;
        None where that has no end."""
        if self.reference is None or self.quantised is None:
            return None, None
        first, second = self.reference, self.quantised
        return _difference(first.proved, second.broken), _difference(
            first.broken, second.proved or Fraction(0)
        )

    def row(self) -> dict[str, Any]:
        """One flat line, the columns of radius.csv; None is an empty field."""
        cost = self.cost
        found: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("index", "label", "reference_label", "quantised_label")
        }
        found["compared"] = None if self.compared is None else self.compared.value
        found |= {"cost_least": below(cost[0]), "cost_most": above(cost[1])}
        for name in ("reference", "quantised"):
            each: Interval | None = getattr(self, name)
            told = {} if each is None else each.json()
            found |= {f"{name}_{key}": told.get(key) for key in _COLUMNS}
        return {**found, "spot_checks": self.spot_checks}

    def json(self) -> dict[str, Any]:
        """A document with everything."""
        compared = {"compared": None if self.compared is None else self.compared.value}
        each = {name: getattr(self, name) for name in ("reference", "quantised")}
        found = {name: None if value is None else value.json() for name, value in each.items()}
        return {**vars(self), **found, **compared}

    @classmethod
    def of(cls, document: dict[str, Any]) -> RadiusRecord:
        """The record of a document that `json` made. Raises KeyError, TypeError, ValueError."""
        values = {key: value for key, value in document.items() if key != "compared"}
        for name in ("reference", "quantised"):
            values[name] = None if values[name] is None else Interval.of(values[name])
        return cls(**values)


def _before(one: Interval, other: Interval) -> bool:
    """Has `one` a witness inside a region in which `other` is proved right?"""
    return one.broken is not None and other.proved is not None and one.broken <= other.proved


def _difference(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return None if one is None or other is None else one - other


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def below(value: Fraction | None) -> float | None:
    """The float64 at or below."""
    if value is None:
        return None
    found = float(value)
    return found if Fraction(found) <= value else nextafter(found, -inf)


def above(value: Fraction | None) -> float | None:
    """The float64 at or above."""
    if value is None:
        return None
    found = float(value)
    return found if Fraction(found) >= value else nextafter(found, inf)
