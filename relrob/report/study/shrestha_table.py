"""Table 6 of Shrestha and Großmann 2024, and what its differences from full precision say."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from math import sqrt
from typing import Final

ACCURACY: Final = "adversarial_accuracy"
# Our columns and attacks, as the table calls them.
_METRICS: Final = {ACCURACY: ACCURACY, "l2": "avg_L2_successful"}
_ATTACKS: Final = {"boundary": "BA"}
# Images behind each accuracy: three runs of 1,000.
_IMAGES: Final = 3_000
# Mean distances that differ by less than this share are about the same.
_SAME: Final = 0.05


def table6() -> list[Mapping[str, str]]:
    """The published rows; full precision has 32 bits."""
    entry = resources("relrob.report.study") / "shrestha2024.csv"
    return list(csv.DictReader(entry.read_text(encoding="utf-8").splitlines()))


def published(model: str, attack: str, metric: str) -> dict[int, float]:
    """Bits to the figure of a model ("Mnist A"), an attack ("fgsm") and a column of ours.

    >>> published("Mnist A", "fgsm", "adversarial_accuracy")[1]
    0.845
    """
    wanted = (model, _ATTACKS.get(attack, attack.upper()), _METRICS.get(metric))
    return {
        int(row["bits"]): float(row["value"])
        for row in table6()
        if (row["model"], row["attack"], row["metric"]) == wanted
    }


@dataclass(frozen=True)
class Direction:
    """The table's figure of a width beside the one of full precision. `sign`: +1 where it is the
    larger, -1 where it is the smaller, 0 where they are about the same."""

    here: float
    full: float
    sign: int


def direction(model: str, attack: str, metric: str, bits: int) -> Direction | None:
    """What the table says of a width, None where it has no such figures.

    Accuracies are about the same where they differ by less than two standard errors of the
    difference of two shares of 3,000 images; mean distances, by less than 5 %.
    """
    known = published(model, attack, metric)
    if bits not in known or 32 not in known:
        return None
    here, full = known[bits], known[32]
    least = _SAME * full
    if metric == ACCURACY:
        share = (here + full) / 2
        least = 2 * sqrt(2 * share * (1 - share) / _IMAGES)
    gap = here - full
    return Direction(here, full, 0 if abs(gap) < least else 1 if gap > 0 else -1)
