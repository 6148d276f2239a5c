"""table.md: the sets, the rates and their meaning."""

from __future__ import annotations

from collections.abc import Sequence

from relrob.report.run import rates, wording
from relrob.store.summary import Summary


def escape(text: str) -> str:
    """Text as a cell or a line of Markdown: no character of it is markup.

    >>> print(escape("R_Q^FP | <b>"))
    R\\_Q^FP \\| \\<b\\>
    """
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#~" else letter for letter in text)


def _rows(cells: Sequence[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in cells]


def table_markdown(summary: Summary) -> str:
    """The summary as a Markdown page: facts, sets with 95% Wilson intervals, rates, notes."""
    rows = wording.set_rows(summary)
    sets = [
        (row.name, str(row.count), row.whole, row.share, row.interval, row.meaning) for row in rows
    ]
    return "\n".join(
        [
            "# Robustness before and after quantisation",
            "",
            *[f"- {name}: {escape(text)}" for name, text in wording.facts(summary)],
            f"- run: {escape(wording.printable(summary.header.run))}, "
            f"relrob {escape(wording.printable(summary.header.relrob))}",
            "",
            escape(wording.meaning(summary)),
            "",
            escape(rates.headline(summary)),
            "",
            "| set | images | share of | share | 95% (Wilson) | meaning |",
            "| --- | ---: | --- | ---: | --- | --- |",
            *_rows(sets),
            "",
            "| rate | value |",
            "| --- | --- |",
            *_rows(rates.rates(summary)),
            "",
            *[f"- {escape(note)}" for note in wording.notes(summary)],
            "",
        ]
    )
