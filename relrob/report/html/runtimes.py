"""The runtimes of a file, each beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relrob.errors import how_many
from relrob.report.html.parts import Block, Cell, Column, Line, Notes, Section, Table, Tone


def section(document: Mapping[str, Any]) -> Section:
    """`document`: the part `runtimes` of audit.json."""
    runs: Sequence[Mapping[str, Any]] = document["runtimes"]
    blocks: list[Block] = [_runs(runs, document["refused"])]
    if len(runs) > 1:
        blocks.insert(0, _matrix(runs, document["pairs"]))
        blocks += _differing(document["pairs"])
    if any(run["sampled"] for run in runs):
        sample = document["sample"]
        of = how_many(document["images"], "image")
        told = f"{sample['images']:,} of {of} (seed {sample['seed']})"
        blocks.append(Notes((f"A sample: {told}, for {sample['for']}.",)))
    return Section(
        "runtimes",
        "The runtimes",
        "The same file on each program that can execute it: on how many images two of them give "
        "other labels. A verdict of robustness holds for one runtime only.",
        tuple(blocks),
    )


def _matrix(runs: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> Table:
    """Runtime by runtime: labels that differ; on the diagonal, the accuracy of each."""
    by = {frozenset(pair["runtimes"]): pair for pair in pairs}
    names = [str(run["runtime"]) for run in runs]
    rows = []
    for run in runs:
        mine = str(run["runtime"])
        cells: list[Cell | str] = [mine]
        for other in names:
            if other == mine:
                right = run["accuracy"]
                cells.append(Cell("-" if right is None else f"{100 * right:.2f}%", Tone.DIM))
            else:
                cells.append(_pair(by.get(frozenset((mine, other)))))
        rows.append(Line(tuple(cells)))
    return Table(
        "Images with other labels; on the diagonal, the accuracy",
        (Column("runtime"), *(Column(name, True) for name in names)),
        tuple(rows),
    )


def _pair(pair: Mapping[str, Any] | None) -> Cell:
    if pair is None:
        return Cell("not compared", Tone.DIM)
    if not pair["differing"]:
        return Cell(f"0 of {pair['images']:,}", Tone.GOOD)
    return Cell(f"{pair['differing']:,} of {pair['images']:,}", Tone.BAD)


def _runs(runs: Sequence[Mapping[str, Any]], refused: Sequence[Mapping[str, Any]]) -> Table:
    """Each runtime with its versions; those that did not run the file with the reason."""
    rows = [Line((str(run["runtime"]), f"{run['images']:,}", str(run["details"]))) for run in runs]
    rows += [
        Line((str(each["runtime"]), Cell("none", Tone.DIM), f"not run: {each['reason']}"))
        for each in refused
    ]
    columns = (Column("runtime"), Column("images", True), Column("versions, or why not"))
    return Table("Who ran the file", columns, tuple(rows))


def _differing(pairs: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The images on which two runtimes differ, the first of them."""
    told = []
    for pair in pairs:
        if pair["differing"]:
            named = pair["differing_images"]
            more = pair["differing"] - len(named)
            rest = f" and {more:,} more" if more else ""
            ties = f", {pair['ties']:,} of them ties" if pair["ties"] else ""
            told.append(
                f"{' and '.join(pair['runtimes'])}{ties}: images "
                f"{', '.join(map(str, named))}{rest}."
            )
    return [Notes(tuple(told))] if told else []
