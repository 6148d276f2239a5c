"""Searches for critical radii side by side, as `relrob table` prints them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from relrob.domain.radius import Compared
from relrob.domain.record import NETWORKS
from relrob.errors import UsageError, printable
from relrob.report.radius import words
from relrob.report.radius.write import exact
from relrob.report.run.table import escape
from relrob.report.study.latex import tex
from relrob.report.study.text import FORMATS
from relrob.store.radius_summary import RadiusSummary

# A search, and the name of its directory.
Named = tuple[str, RadiusSummary]
_HEAD: Final = (
    *("search", "region", "images"),
    *(f"{name}, median" for name in NETWORKS),
    "cost, median",
    *(word.value for word in Compared),
)
_NOTE: Final = (
    "Of the images that the reference gets right. A critical radius, and so a median, is above the "
    "first number and at most the second. less, same, more, open: the quantised network beside the "
    "reference, where the intervals decide it."
)


def radius_text(found: Sequence[Named], form: str) -> str:
    """The searches in one of `FORMATS`. Raises UsageError for another format."""
    makers: dict[str, Callable[[Sequence[Named]], str]] = {
        "markdown": _markdown,
        "csv": _csv,
        "latex": _latex,
        "json": _json,
    }
    if form not in makers:
        raise UsageError(f"format {form!r}", ", ".join(FORMATS))
    return makers[form](found)


def _row(name: str, summary: RadiusSummary) -> tuple[str, ...]:
    """A search in a line."""
    return (
        printable(name),
        f"{words.norm(summary)} up to {summary.header['region']['exact']['radius']}",
        f"{len(summary.asked)}",
        *(words.span(summary.median(network)) for network in NETWORKS),
        words.span(summary.cost),
        *(str(summary.compared[word]) for word in Compared),
    )


def _markdown(found: Sequence[Named]) -> str:
    """The searches, then of each the images."""
    parts = ["# Critical radii", _lines(_HEAD, [_row(*each) for each in found]), _NOTE]
    for name, summary in found:
        parts += [
            f"## {escape(printable(name))}",
            "\n".join(f"- {fact}: {escape(text)}" for fact, text in words.facts(summary)),
            escape(words.headline(summary)),
            _lines(words.HEAD, [words.row(record) for record in summary.records]),
            "\n".join(f"- {escape(note)}" for note in words.notes(summary)),
        ]
    return "\n\n".join(parts) + "\n"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    marked = [[escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *marked))


def _csv(found: Sequence[Named]) -> str:
    """A line an image with the columns of radius.csv, but for the seconds; LF ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    lines = [
        {"search": name, **record.row()} for name, summary in found for record in summary.records
    ]
    if lines:
        writer.writerow(lines[0])
    writer.writerows([exact(value) for value in line.values()] for line in lines)
    return text.getvalue()


def _latex(found: Sequence[Named]) -> str:
    """The searches as a table of booktabs."""
    head = " & ".join(tex(name) for name in _HEAD)
    rows = [" & ".join(tex(cell) for cell in _row(*each)) for each in found]
    body = "".join(f"{row} \\\\\n" for row in rows)
    return (
        "\\begin{table}\n\\centering\\small\n"
        f"\\caption{{Critical radii. {tex(_NOTE)}}}\n\\label{{tab:radii}}\n"
        f"\\begin{{tabular}}{{llr{'l' * (len(NETWORKS) + 1)}{'r' * len(Compared)}}}\n"
        f"\\toprule\n{head} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _json(found: Sequence[Named]) -> str:
    """radius.json of each, with the name of its directory."""
    document: dict[str, Any] = {
        "searches": [{"search": name, **summary.json()} for name, summary in found]
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
