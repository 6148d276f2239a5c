"""The lost images of all cells of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from relrob.domain.record import Record, Set, by_network
from relrob.report.html import worst
from relrob.report.html.images import Pictures
from relrob.report.html.parts import Block, Card, Cards, Column, Line, Notes, Section, Table, Tone
from relrob.report.html.rows import ranges
from relrob.report.html.run_data import RunData
from relrob.report.html.thumbnails import Room
from relrob.store.evidence import Evidence
from relrob.store.run_directory import Store
from relrob.store.study_directory import CellResult

MOST: Final = 12
# Cards of one cell, so that more than one is seen; grids share `MOST`.
_EACH: Final = 2


def section(cells: Sequence[CellResult]) -> Section:
    """Cards of the first lost images, and a row for each cell with the numbers of all."""
    room, cards, lines, lost = Room(), list[Card](), list[Line](), 0
    grids, shown = {cell.grid for cell in cells}, Counter[str]()
    quota = max(_EACH, MOST // max(len(grids), 1))
    for place, cell in enumerate(cells):
        with Store.read(cell.directory) as store:
            records = tuple(store.records(cell.indices))
            mine = [record for record in records if record.set is Set.RFP]
            lost += len(mine)
            lines.append(_line(cell, mine, records))
            left = max(0, min(_EACH, quota - shown[cell.grid]))
            run = RunData(cell.summary, records, {}, Evidence(), {}, by_network(store.witnesses))
            found = _cards(run, cell, f"c{place}", mine, room, left) if left else []
            cards += found
            shown[cell.grid] += len(found)
    columns = ("grid", "region", "runtime", "radius", "step", "lost", "images")
    table = Table(
        "Images that lose robustness, by cell",
        tuple(Column(name, name in columns[3:6]) for name in columns),
        tuple(lines),
        tall=len(lines) > 15,
    )
    blocks: list[Block] = [Cards(tuple(cards))] if cards else []
    if lost > len(cards):
        blocks.append(Notes((f"{lost - len(cards):,} more lost images have no card here.",)))
    if not lost:
        blocks.append(Notes(("No image loses its robustness in any cell.",), Tone.GOOD))
    return Section(
        "lost",
        "Lost images",
        "On these the reference is robust and the quantised network is fooled. In a search, robust "
        "means only that the search met nothing that fools the network; elsewhere it is proved, or "
        "every point was run.",
        (*blocks, table),
    )


def _cards(
    run: RunData,
    cell: CellResult,
    prefix: str,
    lost: Sequence[Record],
    room: Room,
    most: int,
) -> list[Card]:
    """Of a cell, those that are lost most clearly, at most so many."""
    pictures = Pictures(run, room)
    found = [worst.card(run, pictures, record) for record in worst.ordered(tuple(lost))[:most]]
    return [
        replace(
            card,
            title=f"{card.title}: {cell.grid}, radius {cell.options['radius']}",
            anchor=f"{prefix}-{card.anchor}",
        )
        for card in found
        if card is not None
    ]


def _line(cell: CellResult, lost: Sequence[Record], records: Sequence[Record]) -> Line:
    header = cell.summary.header
    return Line(
        (
            cell.grid,
            header.region.kind,
            header.quantised.runtime,
            str(cell.options["radius"]),
            str(cell.options.get("step") or ""),
            f"{len(lost):,} of {len(records):,}",
            ranges(record.index for record in lost) or "none",
        )
    )
