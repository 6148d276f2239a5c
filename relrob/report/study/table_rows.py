"""The rows of a study's tables, one for each cell: our counts and rates with their intervals beside
the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from relrob.domain.network import Arithmetic
from relrob.report.study.published import Key, Published, key_of
from relrob.store.header import Header
from relrob.store.proportions import Bounds, Proportion
from relrob.store.study_directory import CellResult

# Features of the ladders of Duncan et al. 2020.
FEATURES = 20
# Images below which a share says too little to be drawn or judged.
LEAST: Final = 10
# Images of every published cell.
_IMAGES = 10_000
# Names of the classes of data sets whose files hold numbers.
CLASSES: Final = {
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    "fashion-mnist": (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "boot"),
    ),
}


@dataclass(frozen=True)
class Rate:
    """A share of images in percent, with its Wilson interval (95 %).

    `published`: the published percentage, where there is one.
    """

    images: Proportion
    published: float | None = None

    @property
    def bounds(self) -> Bounds | None:
        """The least and the greatest percentage that the undecided images allow; None where the
        whole is empty."""
        return self.images.percents

    @property
    def percent(self) -> float | None:
        """The percentage; None where the whole is empty or an undecided image could change it."""
        ends = self.bounds
        return None if ends is None or self.images.undecided else ends[0]

    @property
    def interval(self) -> Bounds | None:
        """The interval in percent, which undecided images widen at both ends."""
        ends = self.images.interval
        return None if ends is None else (100 * ends[0], 100 * ends[1])

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
        """For a document: numbers rounded to 4 digits. `part`, `whole`: images that are surely in
        them; `undecided`: images that could change the share."""
        return {
            "part": self.images.part,
            "whole": self.images.whole,
            "undecided": self.images.undecided,
            "percent": _rounded(self.percent),
            "bounds": _ends(self.bounds),
            "interval": _ends(self.interval),
            "published": self.published,
            "difference": _rounded(self.difference),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ends(ends: Bounds | None) -> list[float] | None:
    return None if ends is None else [round(end, 4) for end in ends]


@dataclass(frozen=True)
class TableRow:
    """The row of a cell. `described`: its region in words; `wrong`: images in L_ic.

    `robustness` is |R_Q^FP| / |R|, `transfer` |R^0| / |R_NOT| and `fooled` |R_NOT| / images, which
    `by_label` gives for each label. `reference_robust` and `quantised_robust` are shares of all
    images; `unknown` of them are undecided. `accuracy`: of both networks, in percent, None where it
    was not measured. `published`: the numbers of the paper for such a cell.

    `right_by_label`: as `by_label`, of the images that the reference gets right; a class that it
    seldom gets right is seldom fooled, and by that no safer. `classes`: names in the order of
    labels, () where labels are numbers. `lost`: of each image in R^FP, the perturbed images that
    the quantised network gets wrong, None where they were not counted; `sizes`: the least and the
    greatest number of perturbed images around an image of R.
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
    right_by_label: dict[int, Rate] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    lost: tuple[int | None, ...] = ()
    sizes: tuple[int, int] | None = None

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
            "fooled_of_right_by_label": {
                str(label): rate.json() for label, rate in self.right_by_label.items()
            },
            "lost_perturbations": list(self.lost),
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
    shares, open_ = summary.shares, summary.undecided
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
        robustness=Rate(shares["R_Q^FP"], robust),
        transfer=Rate(shares["R^0"], transfer),
        fooled=Rate(_of_all(sets.not_robust, open_.reference, images), fooled),
        reference_robust=Rate(_of_all(sets.robust, open_.reference, images)),
        quantised_robust=Rate(_of_all(cell.quantised_robust, open_.quantised, images)),
        unknown=sets.unknown,
        by_label={label: Rate(_of_all(*counts)) for label, counts in cell.by_label.items()},
        accuracy=(_percent(header.reference.accuracy), _percent(header.quantised.accuracy)),
        published=other,
        right_by_label={
            label: Rate(_of_all(fooled, undecided, cell.right[label]))
            for label, (fooled, undecided, _) in cell.by_label.items()
            if label in cell.right
        },
        classes=header.dataset.classes or CLASSES.get(cell.dataset, ()),
        lost=cell.lost,
        sizes=cell.sizes,
    )


def _of_all(count: int, undecided: int, images: int) -> Proportion:
    """A share of all images, some of which are undecided."""
    return Proportion(count, images - count - undecided, undecided)


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
