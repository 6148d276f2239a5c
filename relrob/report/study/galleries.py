"""Witnesses of a study that its pictures show: the first of each set in the study's order, and one
image over all radii and steps (Duncan et al. 2020, Figures 4 and 5, Table I)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from relrob.domain.record import Record, Set, WitnessView
from relrob.report.study.table_rows import CLASSES
from relrob.store.study_directory import CellResult, records_of, witnesses_of

# Set to the network that its witnesses fool.
SETS: Final = {
    Set.RFP: "quantised",
    Set.RQ: "reference",
    Set.R0: "reference",
    Set.MIXED: "reference",
}
EACH: Final = 12


@dataclass(frozen=True, eq=False)
class Shown:
    """A witness and the cell that it comes from. `classes`: names in the order of labels."""

    view: WitnessView
    dataset: str
    region: str
    runtime: str
    radius: Fraction
    step: Fraction | None
    classes: tuple[str, ...] = ()

    @property
    def cost(self) -> Fraction:
        """Its L1 change."""
        return Fraction(self.view.cost)

    @property
    def beyond(self) -> bool:
        """Does it lie beyond the radius of a search?"""
        return self.region == "search" and self.cost > self.radius


# Radius and step to a witness; None where the reference is fooled nowhere.
Frames = Mapping[tuple[Fraction, Fraction], Shown | None]


def set_witnesses(cells: Sequence[CellResult]) -> dict[Set, list[Shown]]:
    """The first `EACH` images of each set that has a witness: R^FP fools the quantised network
    alone; R_Q, R^0 and R^mixed the reference."""
    chosen: dict[Set, dict[int, Shown]] = {which: {} for which in SETS}
    for cell in cells:
        for record in records_of(cell):
            mine = chosen.get(record.set)
            if mine is None or len(mine) == EACH or record.index in mine:
                continue
            view = _view(cell, record.index, SETS[record.set])
            if view is not None:
                mine[record.index] = _shown(cell, view)
    return {which: list(mine.values()) for which, mine in chosen.items() if mine}


def table_witnesses(cells: Sequence[CellResult]) -> Frames:
    """One image at each radius and step of the first region, of one data set and kernel family,
    that has a witness. The image has witnesses in most of its cells."""
    stepped = [cell for cell in cells if cell.options.get("step")]
    for kind in dict.fromkeys(map(_kind, stepped)):
        mine = {_place(cell): cell for cell in reversed(stepped) if _kind(cell) == kind}
        often = Counter(index for cell in mine.values() for index in _fooled(records_of(cell)))
        if often:
            index = min(often, key=lambda index: (-often[index], index))
            views = {key: _view(cell, index, "reference") for key, cell in mine.items()}
            there = {key: index in _indices(cell) for key, cell in mine.items()}
            return {
                key: None if view is None else _shown(mine[key], view)
                for key, view in views.items()
                if there[key]
            }
    return {}


def _kind(cell: CellResult) -> tuple[str, ...]:
    """What cells of one table have in common."""
    region = cell.summary.header.region
    return (
        cell.dataset,
        region.kind,
        str(region.features),
        cell.summary.header.quantised.runtime,
        str(cell.options.get("grid", "")),
    )


def _place(cell: CellResult) -> tuple[Fraction, Fraction]:
    return Fraction(cell.options["radius"]), Fraction(cell.options["step"])


def _fooled(records: Iterable[Record]) -> list[int]:
    return [record.index for record in records if record.set in (Set.RQ, Set.R0, Set.MIXED)]


def _indices(cell: CellResult) -> set[int]:
    return {record.index for record in records_of(cell)}


def _view(cell: CellResult, index: int, network: str) -> WitnessView | None:
    """The witness against that network, if there is one."""
    return next((view for view in witnesses_of(cell, index) if view.network == network), None)


def _shown(cell: CellResult, view: WitnessView) -> Shown:
    header = cell.summary.header
    step = cell.options.get("step")
    return Shown(
        view,
        cell.dataset,
        header.region.kind,
        header.quantised.runtime,
        Fraction(cell.options["radius"]),
        None if step is None else Fraction(step),
        header.dataset.classes or CLASSES.get(cell.dataset, ()),
    )
