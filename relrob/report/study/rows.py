"""A study as rows, one a cell: our counts and rates with their intervals, the published ones beside
them, and the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from relrob.domain.network import Arithmetic
from relrob.report.study.published import Key, Published, key_of
from relrob.store.study_directory import CellResult
from relrob.store.summary import wilson

FEATURES = 20  # of the paper's ladder
_IMAGES = 10_000  # of every published cell


@dataclass(frozen=True)
class Rate:
    """`part` of `whole` images, in percent with its Wilson interval (95 %); the `published`
    percentage where there is one. `undecided`: those of the whole that are not in the part, and
    might be."""

    part: int
    whole: int
    published: float | None = None
    undecided: int = 0

    @property
    def highest(self) -> float | None:
        """Percent if all that is undecided counted."""
        return 100 * (self.part + self.undecided) / self.whole if self.whole else None

    @property
    def percent(self) -> float | None:
        """None where there is nothing to divide by."""
        return 100 * self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """In percent: from where nothing undecided counts to where all does."""
        if not self.whole:
            return None
        return 100 * wilson(self.part, self.whole)[0], 100 * wilson(
            self.part + self.undecided, self.whole
        )[1]

    @property
    def difference(self) -> float | None:
        """Ours less the published one, in points."""
        return (
            None
            if self.percent is None or self.published is None
            else self.percent - self.published
        )

    @property
    def agrees(self) -> bool | None:
        """Is the published one within our interval?"""
        if self.interval is None or self.published is None:
            return None
        return self.interval[0] <= self.published <= self.interval[1]

    def json(self) -> dict[str, Any]:
        """For a document: numbers rounded to 4 digits."""
        ends = self.interval
        return {
            "part": self.part,
            "whole": self.whole,
            "undecided": self.undecided,
            "percent": _rounded(self.percent),
            "interval": None if ends is None else [_rounded(end) for end in ends],
            "published": self.published,
            "difference": _rounded(self.difference),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class StudyRow:
    """A cell: what it is, its region in words (`described`); `robustness` |R_Q^FP| / |R|, `transfer` |R^0| / |R_NOT|, `fooled`
    |R_NOT| / images, and the same `by_label`; of all images those on which each network is robust, and the `unknown` ones; the
    accuracies of both networks, in percent (None: not measured); the published numbers."""

    grid: str
    dataset: str
    region: str
    described: str
    runtime: str
    radius: Fraction
    step: Fraction | None
    images: int
    wrong: int
    robustness: Rate
    transfer: Rate
    fooled: Rate
    reference_robust: Rate
    quantised_robust: Rate
    unknown: int
    by_label: dict[int, Rate]
    accuracy: tuple[float | None, float | None]
    published: Published | None

    @property
    def name(self) -> str:
        """For sentences."""
        step = "" if self.step is None else f", step {self.step}"
        return f"{self.dataset} {self.region} on {self.runtime}, radius {self.radius}{step}"

    def json(self) -> dict[str, Any]:
        """For a document."""
        return {
            "grid": self.grid,
            "dataset": self.dataset,
            "region": self.region,
            "runtime": self.runtime,
            "radius": str(self.radius),
            "step": None if self.step is None else str(self.step),
            "images": self.images,
            "L_ic": self.wrong,
            "relative_robustness": self.robustness.json(),
            "adversarial_transfer": self.transfer.json(),
            "fooled": self.fooled.json(),
            "reference_robust": self.reference_robust.json(),
            "quantised_robust": self.quantised_robust.json(),
            "fooled_by_label": {str(label): rate.json() for label, rate in self.by_label.items()},
            "unknown": self.unknown,
        }


def study_rows(cells: Sequence[CellResult], published: dict[Key, Published]) -> list[StudyRow]:
    """One row a cell, in the study's order."""
    return [_row(cell, published) for cell in cells]


def _row(cell: CellResult, published: dict[Key, Published]) -> StudyRow:
    summary, key = cell.summary, key_of(cell.options)
    sets, images = summary["sets"], summary["sets"]["L_cc"] + summary["sets"]["L_ic"]
    other = None if key is None else published.get(key)
    fooled = None if other is None or other.not_robust is None else 100 * other.not_robust / _IMAGES
    accuracies = [summary[name].get("accuracy") for name in ("reference", "quantised")]
    robust, transfer = (
        (other.relative_robustness, other.adversarial_transfer) if other else (None, None)
    )
    in_r = sets["R"] - sets["R_Q^FP"] - sets["R^FP"]
    in_not = sets["R_NOT"] - sets["R_Q"] - sets["R^0"] - sets["R^mixed"]
    open_ = summary["unknown_reference"], summary["unknown_quantised"]
    return StudyRow(
        grid=cell.grid,
        dataset=cell.dataset,
        region=summary["region"]["kind"],
        described=_described(summary),
        runtime=summary["quantised"]["runtime"],
        radius=Fraction(cell.options["radius"]),
        step=None if key is None else key[2],
        images=images,
        wrong=sets["L_ic"],
        robustness=Rate(sets["R_Q^FP"], sets["R"], robust, in_r),
        transfer=Rate(sets["R^0"], sets["R_NOT"], transfer, in_not),
        fooled=Rate(sets["R_NOT"], images, fooled, open_[0]),
        reference_robust=Rate(sets["R"], images, None, open_[0]),
        quantised_robust=Rate(cell.quantised_robust, images, None, open_[1]),
        unknown=sets["unknown"],
        by_label={label: Rate(*counts) for label, counts in cell.by_label.items()},
        accuracy=(_percent(accuracies[0]), _percent(accuracies[1])),
        published=other,
    )


def _described(summary: Mapping[str, Any]) -> str:
    """The kind of region, and what is unlike the paper's: the number of features, the arithmetic of
    the reference."""
    region, words = summary["region"], [summary["region"]["kind"]]
    if region["kind"] == "ladder" and region["features"] != FEATURES:
        words.append(f"F = {region['features']}")
    if summary["reference"]["arithmetic"] == Arithmetic.REAL:
        words.append("reals")
    return ", ".join(words)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
