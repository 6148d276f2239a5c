"""Critical radii of many images, counted: how much robustness did quantisation cost?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite
from statistics import median
from typing import Any, Final

from relrob.domain.radius import Compared, Interval, RadiusRecord, above, below
from relrob.domain.record import NETWORKS

_POINTS: Final = 40  # of a curve
# Keys of radius.json that are no header.
_COUNTED: Final = (
    *("images", "L_cc", "L_ic", "radii", "compared", "cost", "curve"),
    *("spot_checks", "seconds", "records"),
)
Number = Fraction | float
Span = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class RadiusSummary:
    """`header`: the leading keys of radius.json; `records`: one an image, in the order asked for;
    `seconds`: of work."""

    header: Mapping[str, Any]
    records: tuple[RadiusRecord, ...]
    seconds: float

    @classmethod
    def of(cls, document: Mapping[str, Any], records: tuple[RadiusRecord, ...]) -> RadiusSummary:
        """The summary of a document that `json` made, with its records. Raises KeyError,
        TypeError, ValueError."""
        header = {name: value for name, value in document.items() if name not in _COUNTED}
        return cls(header, records, float(document["seconds"]))

    @property
    def asked(self) -> tuple[RadiusRecord, ...]:
        """Images that the reference gets right (L_cc), and those about which nothing is known."""
        return tuple(record for record in self.records if record.reference is not None)

    @property
    def compared(self) -> dict[str, int]:
        """The number of images for each word of `Compared`."""
        found = [record.compared for record in self.asked]
        return {word.value: found.count(word) for word in Compared}

    def intervals(self, network: str) -> tuple[Interval, ...]:
        """Those of "reference" or "quantised"."""
        return tuple(getattr(record, network) for record in self.asked)

    def decided(self, network: str) -> int:
        """Images on which no radius that is told apart is open."""
        return sum(each.decided for each in self.intervals(network))

    def median(self, network: str) -> Span | None:
        """Between which radii the median of the critical radii lies; its second end is None where
        it has none. None without images."""
        found = self.intervals(network)
        return _span([(each.proved or Fraction(0), _or(each.broken, inf)) for each in found])

    @property
    def cost(self) -> Span | None:
        """Between which numbers the median lies of the critical radius of the reference minus that
        of the quantised network, image by image; an end is None where it has none."""
        found = [record.cost for record in self.asked]
        return _span([(_or(least, -inf), _or(most, inf)) for least, most in found])

    def curve(self) -> list[dict[str, Any]]:
        """For radii from 0 on: of how many images each network was proved right in the whole
        region of that radius, and of how many no witness within it is known."""
        every = [each for name in NETWORKS for each in self.intervals(name)]
        known = [end for each in every for end in (each.proved, each.broken) if end is not None]
        most = max(known, default=Fraction(0))
        steps = range(_POINTS + 1 if most else 1)
        radii = [Fraction(float(most * step / _POINTS)) for step in steps]
        return [
            {"radius": float(radius), **{name: self._within(name, radius) for name in NETWORKS}}
            for radius in radii
        ]

    def _within(self, network: str, radius: Fraction) -> list[int]:
        found = self.intervals(network)
        proved = sum(each.proved is not None and each.proved >= radius for each in found)
        whole = sum(each.broken is None or each.broken > radius for each in found)
        return [proved, whole]

    def json(self) -> dict[str, Any]:
        """radius.json."""
        networks = {
            name: {"decided": self.decided(name), "median": _listed(self.median(name))}
            for name in NETWORKS
        }
        return {
            **self.header,
            "images": len(self.records),
            "L_cc": len(self.asked),
            "L_ic": len(self.records) - len(self.asked),
            "radii": networks,
            "compared": self.compared,
            "cost": _listed(self.cost),
            "curve": self.curve(),
            "spot_checks": {"run": sum(each.spot_checks for each in self.records), "against": 0},
            "seconds": round(self.seconds, 3),
            "records": [record.json() for record in self.records],
        }


def _or(value: Fraction | None, other: float) -> Number:
    return other if value is None else value


def _span(ends: list[tuple[Number, Number]]) -> Span | None:
    """The medians of both ends, rounded outward."""
    if not ends:
        return None
    lows, highs = zip(*ends, strict=True)
    return _end(lows, below), _end(highs, above)


def _end(values: tuple[Number, ...], outward: Callable[[Fraction], float | None]) -> float | None:
    """The median, None where it is no finite number."""
    with_infinite = sorted(values)
    middle = with_infinite[(len(values) - 1) // 2], with_infinite[len(values) // 2]
    if not all(isfinite(each) for each in middle):
        return None
    return outward(Fraction(median(Fraction(each) for each in middle)))


def _listed(span: Span | None) -> list[float | None] | None:
    return None if span is None else list(span)
