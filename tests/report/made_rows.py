"""Rows of a study's tables, made by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from relrob.report.study.table_rows import Rate, TableRow
from relrob.store.proportions import Proportion


def rate(part: int, whole: int, published: float | None = None, undecided: int = 0) -> Rate:
    """Of a whole that is known."""
    return Rate(Proportion(part, whole - part - undecided, undecided), published)


def row_of(**more: Any) -> TableRow:
    """A cell of the founding study."""
    given: dict[str, Any] = {
        "grid": "g",
        "dataset": "mnist",
        "region": "search",
        "described": "search",
        "runtime": "builtin",
        "radius": Fraction(20),
        "step": Fraction(1, 4),
        "images": 10_000,
        "wrong": 0,
        "robustness": rate(5000, 5000, 98.69),
        "transfer": rate(900, 1000),
        "fooled": rate(1000, 10_000, 35.48),
        "reference_robust": rate(9000, 10_000),
        "quantised_robust": rate(8900, 10_000),
        "unknown": 0,
        "by_label": {0: rate(1, 4), 7: rate(0, 0)},
        "right_by_label": {0: rate(1, 4), 7: rate(0, 0)},
        "accuracy": (98.27, 98.24),
        "published": None,
    }
    return TableRow(**{**given, **more})
