"""The readable files of a search for critical radii: radius.json, radius.csv, radius.md, radius.svg
and .pdf, witnesses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relrob import registry
from relrob.domain.radius import Compared, RadiusRecord
from relrob.report.radius import words
from relrob.report.run.csv_file import cell
from relrob.report.run.write import keep, write_witnesses
from relrob.store.radius_summary import RadiusSummary


def write_radius(
    directory: Path,
    summary: RadiusSummary,
    seconds: Mapping[int, float],
    witnesses: Sequence[tuple[int, str, bytes]],
) -> None:
    """Write all of them; `witnesses`: (index, network, bytes of the .npz). The same results give
    the same bytes. Raises StoreError."""
    document = json.dumps(summary.json(), indent=2, ensure_ascii=False, allow_nan=False)
    files = {
        "radius.json": f"{document}\n".encode(),
        "radius.csv": radius_csv(summary.records, seconds).encode(),
        "radius.md": markdown(summary).encode(),
    }
    if summary.asked:
        draw: Callable[[RadiusSummary], dict[str, bytes]] = registry.load(
            "relrob.report.radius.figure:figure"
        )
        files |= draw(summary)
    for name, data in files.items():
        keep(directory / name, data)
    if witnesses:
        write_witnesses(directory / "witnesses", list(witnesses))


def radius_csv(records: Sequence[RadiusRecord], seconds: Mapping[int, float]) -> str:
    """The header and one line an image, by ascending index; LF ends. Radii have 17 digits, so that
    none is rounded the wrong way."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rows = [record.row() for record in sorted(records, key=lambda record: record.index)]
    for number, found in enumerate(rows):
        if number == 0:
            writer.writerow([*found, "seconds"])
        writer.writerow([*map(exact, found.values()), cell(seconds.get(found["index"]))])
    return buffer.getvalue()


def exact(value: object) -> str:
    """A cell of radius.csv: a radius has all its digits."""
    return repr(value) if isinstance(value, float) else cell(value)


def markdown(summary: RadiusSummary) -> str:
    """radius.md: facts, the sentence, medians, the comparison, a row for each image, notes."""
    meaning = [
        (f"`{word}`", str(summary.compared[word]), words.MEANINGS[word]) for word in Compared
    ]
    rows = [words.row(record) for record in summary.records]
    parts = [
        "# Critical radii",
        _table(("", ""), words.facts(summary)),
        words.headline(summary),
        _table(("", ""), words.medians(summary)),
        _table(("compared", "images", "meaning"), meaning),
        _table(words.HEAD, rows),
        "\n".join(f"- {note}" for note in words.notes(summary)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[each.replace("|", "\\|").replace("\n", " ") for each in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) if rows else ""
