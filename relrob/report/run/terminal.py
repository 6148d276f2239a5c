"""The summary on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from relrob.report.run import attack_words, rates, wording
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


def print_summary(summary: Summary, console: Console) -> None:
    """Print the facts, the headline, the sets, the rates and the notes; 80 columns are enough."""
    console.print(pairs(wording.facts(summary)))
    console.print()
    console.print(Text(rates.headline(summary), style="bold"))
    console.print()
    console.print(_sets(summary))
    console.print()
    console.print(pairs(rates.rates(summary), style="bold"))
    console.print()
    if summary.attacks is not None:
        console.print(_attacks(summary.attacks))
        console.print()
    console.print(pairs([("-", note) for note in wording.notes(summary)]))


def rendered(summary: Summary) -> str:
    """The text of `print_summary` for standard output, without spaces at the ends of lines."""
    console = Console(highlight=False)
    with console.capture() as captured:
        print_summary(summary, console)
    return trimmed(captured.get())


def trimmed(text: str) -> str:
    """The text without spaces at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def pairs(pairs: list[tuple[str, str]], style: str = "") -> Table:
    """Names and texts in two columns; text that looks like markup stays text."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(Text(name), Text(text, style=style))
    return table


def _sets(summary: Summary) -> Table:
    """A row for each set, indented below the set that it is a share of."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("set", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True)
    table.add_column("meaning")
    for row in wording.set_rows(summary):
        style = _STYLE.get(row.name, "") if row.count else "dim"
        name = Text("  " * row.depth + row.name, style)
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
