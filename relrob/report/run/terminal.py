"""The summary on a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from relrob.report.run import attack_words, rates, wording
from relrob.report.run.wording import SetRow
from relrob.store.attack_summary import Attacks
from relrob.store.summary import Summary

_STYLE = {
    "R_Q^FP": "green",
    "R^FP": "bold red",
    "R_Q": "green",
    "R^0": "red",
    "R^mixed": "yellow",
    "unknown": "yellow",
}


# Columns below which tables are written as lines.
NARROW: Final = 76
# Columns that a text beside its name needs.
_BESIDE: Final = 24


def print_summary(summary: Summary, console: Console) -> None:
    """Print the facts, the headline, the sets, the rates and the notes; 80 columns are enough. On a
    narrower terminal tables become lines: no word is cut that fits into a line."""
    narrow = console.width < NARROW
    console.print(pairs(wording.facts(summary), console.width))
    console.print()
    console.print(Text(rates.headline(summary), style="bold"))
    console.print()
    rows = wording.set_rows(summary)
    console.print(_set_lines(rows) if narrow else _sets(rows))
    console.print()
    console.print(pairs(rates.rates(summary), console.width, style="bold"))
    console.print()
    if summary.attacks is not None:
        attacks = summary.attacks
        console.print(_attack_lines(attacks) if narrow else _attacks(attacks))
        console.print()
    notes = [("-", note) for note in wording.notes(summary)]
    console.print(pairs(notes, console.width))


def rendered(summary: Summary) -> str:
    """The text of `print_summary` for standard output, without spaces at the ends of lines."""
    console = Console(highlight=False)
    with console.capture() as captured:
        print_summary(summary, console)
    return trimmed(captured.get())


def trimmed(text: str) -> str:
    """The text without spaces at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def pairs(pairs: list[tuple[str, str]], width: int, style: str = "") -> RenderableType:
    """Names and texts in two columns, or each text below its name where `width` columns are too
    few; text that looks like markup stays text."""
    words = max((len(word) for _, text in pairs for word in text.split()), default=0)
    names = max((len(name) for name, _ in pairs), default=0)
    if names + 2 + max(_BESIDE, min(words, width - 2)) > width:
        lines: list[RenderableType] = []
        for name, text in pairs:
            lines += [Text(name, "cyan"), _indented(text, 2, style)]
        return Group(*lines)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(Text(name), Text(text, style=style))
    return table


def _indented(text: str, by: int, style: str = "") -> Padding:
    """A text whose every line begins with `by` spaces."""
    return Padding(Text(text, style, overflow="fold"), (0, 0, 0, by))


def _style(row: SetRow) -> str:
    """The style of a set's name."""
    return _STYLE.get(row.name, "") if row.count else "dim"


def _set_lines(rows: list[SetRow]) -> Group:
    """The sets without columns: name, images and share, then interval and meaning."""
    lines: list[RenderableType] = []
    for row in rows:
        told = f"{row.name}: {row.count}{f', {row.share}' if row.share else ''}"
        interval = f" (95%: {row.interval})" if row.interval else ""
        lines.append(_indented(told, 2 * row.depth, _style(row)))
        lines.append(_indented(f"{row.meaning}{interval}", 2 * row.depth + 4))
    return Group(*lines)


def _sets(rows: list[SetRow]) -> Table:
    """A row for each set, indented below the set that it is a share of."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("set", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True)
    table.add_column("meaning")
    for row in rows:
        name = Text("  " * row.depth + row.name, _style(row))
        table.add_row(name, str(row.count), row.share, row.interval, Text(row.meaning))
    return table


def _attacks(attacks: Attacks) -> Table:
    """A row for each attack, and below it one for each network."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    first, *others = attack_words.HEAD
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    for row in attack_words.attack_rows(attacks):
        name, *cells = row.cells
        table.add_row(Text("  " * row.depth + name, "cyan" if not row.depth else ""), *cells)
    return table


def _attack_lines(attacks: Attacks) -> Group:
    """The same without columns."""
    lines: list[RenderableType] = []
    for row in attack_words.attack_rows(attacks):
        name, *cells = row.cells
        told = [f"{head} {cell}" for head, cell in zip(attack_words.HEAD[1:], cells, strict=True)]
        shown = [each for each, cell in zip(told, cells, strict=True) if cell]
        lines += [_indented(name, 2 * row.depth, "cyan" if not row.depth else "")]
        lines += [_indented("; ".join(shown), 2 * row.depth + 4)]
    return Group(*lines)
