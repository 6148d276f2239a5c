"""Published numbers that come with relrob, a row for each cell of a paper's tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from typing import Any

from relrob.errors import StoreError
from relrob.regions.exact import nearest_8bit


@dataclass(frozen=True)
class Published:
    """The counts and rates (percent) of one data set, radius and step; None where the paper gives
    none."""

    robust: int | None
    both_robust: int | None
    relative_robustness: float | None
    not_robust: int | None
    both_fooled: int | None
    adversarial_transfer: float | None


Key = tuple[str, Fraction, Fraction]


def published(name: str) -> dict[Key, Published]:
    """The table in a file of that name; none for "". Raises StoreError for another name."""
    if not name:
        return {}
    entry = files("relrob.report.study") / name
    if "/" in name or not entry.is_file():
        raise StoreError(f"published numbers {name!r}", "duncan2020.csv")
    rows = csv.DictReader(entry.read_text().splitlines())
    return {
        (row["dataset"], Fraction(row["radius"]), Fraction(row["step"])): _row(row) for row in rows
    }


def _row(row: dict[str, str]) -> Published:
    counts = [int(row[name]) if row[name] else None for name in ("R", "R_Q^FP", "R_NOT", "R^0")]
    rates = [
        float(row[name]) if row[name] else None
        for name in ("relative_robustness", "adversarial_transfer")
    ]
    return Published(counts[0], counts[1], rates[0], counts[2], counts[3], rates[1])


def on_8bit_grid(rows: dict[Key, Published]) -> dict[Key, Published]:
    """The same rows, and each again at the 8-bit level nearest to its step (`--grid 8bit`)."""
    return {
        (name, radius, nearest_8bit(step)): row for (name, radius, step), row in rows.items()
    } | rows


def key_of(options: dict[str, Any]) -> Key | None:
    """The key of the cell of a run with these options; None without a step."""
    if options.get("step") is None:
        return None
    return (
        str(options.get("dataset", "mnist")),
        Fraction(options["radius"]),
        Fraction(options["step"]),
    )
