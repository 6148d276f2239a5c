"""Critical radii on a terminal."""

from __future__ import annotations

from typing import Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from relrob.domain.radius import Compared
from relrob.report.radius import words
from relrob.report.run.terminal import pairs, trimmed
from relrob.store.radius_summary import RadiusSummary

_STYLE: Final = {"less": "bold red", "more": "green", "same": "green", "open": "yellow"}
_MOST: Final = 200  # images that a terminal shows


def rendered(summary: RadiusSummary) -> str:
    """The text for standard output; 80 columns are enough."""
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(pairs(words.facts(summary), console.width))
        console.print()
        console.print(_images(summary))
        console.print()
        console.print(Text(words.headline(summary), style="bold"))
        console.print()
        console.print(pairs(words.medians(summary), console.width, style="bold"))
        console.print()
        console.print(_compared(summary))
        console.print()
        console.print(pairs([("-", note) for note in words.notes(summary)], console.width))
    return trimmed(captured.get())


def _images(summary: RadiusSummary) -> Table:
    """A row for each image."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in words.HEAD:
        justify: Literal["left", "right"] = "right" if name in ("image", "label") else "left"
        table.add_column(name, justify=justify, no_wrap=True)
    for record in summary.records[:_MOST]:
        cells = words.row(record)
        table.add_row(*cells[:-1], Text(cells[-1], _STYLE.get(cells[-1], "")))
    if len(summary.records) > _MOST:
        table.add_row("...", "", f"{len(summary.records) - _MOST:,} more in radius.csv")
    return table


def _compared(summary: RadiusSummary) -> Table:
    """A row for each word of the comparison."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("compared", "images", "meaning"):
        table.add_column(name, justify="right" if name == "images" else "left")
    for word in Compared:
        count = summary.compared[word.value]
        style = _STYLE[word.value] if count else "dim"
        table.add_row(Text(word.value, style), str(count), words.MEANINGS[word])
    return table
