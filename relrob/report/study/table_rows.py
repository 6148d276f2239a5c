"""The rows of a study's tables, one for each cell: our counts and rates with their intervals beside
the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from relrob.domain.network import Arithmetic
from relrob.report.study.published import Key, Published, key_of
from relrob.store.header import Header
from relrob.store.proportions import wilson
from relrob.store.study_directory import CellResult

# Features of the ladders of Duncan et al. 2020.
FEATURES = 20
# Images of every published cell.
_IMAGES = 10_000


@dataclass(frozen=True)
class Rate:
    """A rate: `part` of `whole` images, with its Wilson interval (95 %).

    `published`: the published percentage, where there is one. `undecided`: images of the whole that
    are not in the part and might be.
    """

    part: int
    whole: int
    published: float | None = None
    undecided: int = 0

    @property
    def highest(self) -> float | None:
        """The percentage if every undecided image counted; None where `whole` is 0."""
        return 100 * (self.part + self.undecided) / self.whole if self.whole else None

    @property
    def percent(self) -> float | None:
        """The percentage; None where `whole` is 0."""
        return 100 * self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval in percent: undecided images lower no end and raise the upper one."""
        if not self.whole:
            return None
        return 100 * wilson(self.part, self.whole)[0], 100 * wilson(
            self.part + self.undecided, self.whole
        )[1]

    @property
    def difference(self) -> float | None:
        """Our percentage less the published one, in points."""
        return (
            None
            if self.percent is None or self.published is None
            else self.percent - self.published
        )

    @property
    def agrees(self) -> bool | None:
        """True where the published percentage lies within our interval; None without one of
        them."""
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
class TableRow:
    """The row of a cell. `described`: its region in words; `wrong`: images in L_ic.

    `robustness` is |R_Q^FP| / |R|, `transfer` |R^0| / |R_NOT| and `fooled` |R_NOT| / images, which
    `by_label` gives for each label. `reference_robust` and `quantised_robust` are shares of all
    images; `unknown` of them are undecided. `accuracy`: of both networks, in percent, None where it
    was not measured. `published`: the numbers of the paper for such a cell.
    """

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
        """The cell in a sentence."""
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


def study_rows(cells: Sequence[CellResult], published: dict[Key, Published]) -> list[TableRow]:
    """One row a cell, in the study's order."""
    return [_row(cell, published) for cell in cells]


def _row(cell: CellResult, published: dict[Key, Published]) -> TableRow:
    summary, key = cell.summary, key_of(cell.options)
    sets, header, images = summary.sets, summary.header, summary.sets.images
    other = None if key is None else published.get(key)
    fooled = None if other is None or other.not_robust is None else 100 * other.not_robust / _IMAGES
    robust, transfer = (
        (other.relative_robustness, other.adversarial_transfer) if other else (None, None)
    )
    in_r = sets.robust - sets.both_robust - sets.lost
    in_not = sets.not_robust - sets.none_transfers - sets.all_transfer - sets.some_transfer
    open_ = summary.unknown_reference, summary.unknown_quantised
    return TableRow(
        grid=cell.grid,
        dataset=cell.dataset,
        region=header.region.kind,
        described=_described(header),
        runtime=header.quantised.runtime,
        radius=Fraction(cell.options["radius"]),
        step=None if key is None else key[2],
        images=images,
        wrong=sets.wrong,
        robustness=Rate(sets.both_robust, sets.robust, robust, in_r),
        transfer=Rate(sets.all_transfer, sets.not_robust, transfer, in_not),
        fooled=Rate(sets.not_robust, images, fooled, open_[0]),
        reference_robust=Rate(sets.robust, images, None, open_[0]),
        quantised_robust=Rate(cell.quantised_robust, images, None, open_[1]),
        unknown=sets.unknown,
        by_label={label: Rate(*counts) for label, counts in cell.by_label.items()},
        accuracy=(_percent(header.reference.accuracy), _percent(header.quantised.accuracy)),
        published=other,
    )


def _described(header: Header) -> str:
    """The kind of region, and where they differ from the paper's the number of features, the
    arithmetic of the reference, and how the data were read."""
    region, words = header.region, [header.region.kind]
    if region.kind == "ladder" and region.features != FEATURES:
        words.append(f"F = {region.features}")
    if header.reference.arithmetic == Arithmetic.REAL:
        words.append("reals")
    if header.dataset.labels == "reference":
        words.append("labels of the reference")
    if header.dataset.range:
        words.append(f"in units of {header.dataset.range}")
    return ", ".join(words)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
