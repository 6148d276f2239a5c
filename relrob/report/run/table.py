"""table.md: the sets, the rates and their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from relrob.domain.record import AttackRecord, Record
from relrob.report.run import attack_words, rates, wording
from relrob.store.summary import Summary

_MOST: Final = 200  # images that a page lists


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
            *_attacks(summary),
            *[f"- {escape(note)}" for note in wording.notes(summary)],
            "",
        ]
    )


def _attacks(summary: Summary) -> list[str]:
    """What attacks found inside the regions, by verdict, and anywhere."""
    if summary.attacks is None:
        return []
    rows = attack_words.attack_rows(summary.attacks)
    return [*_headed(attack_words.HEAD), *_rows([row.cells for row in rows]), ""]


def image_table(
    summary: Summary,
    records: Sequence[Record],
    found: Mapping[int, Sequence[AttackRecord]],
) -> str:
    """Each image's verdicts beside the least distance that each attack found, as Markdown; "" where
    no attack was asked for."""
    if summary.attacks is None:
        return ""
    names = [
        f"{each.label}, {name} ({each.norm})"
        for each in summary.attacks.each
        for name, _ in each.networks
    ]
    shown = attack_words.image_rows(summary.attacks, records, found)
    more = len(shown) - _MOST
    return "\n".join(
        [
            "",
            "## Verdicts and attacks, image by image",
            "",
            *_headed(("image", "reference", "quantised", *names)),
            *_rows(shown[:_MOST]),
            *(["", f"images.csv has the other {more:,} images."] if more > 0 else []),
            "",
        ]
    )


def _headed(names: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [*_rows([tuple(names)]), "| " + " | ".join("---" for _ in names) + " |"]
