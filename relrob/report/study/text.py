"""A study's tables as text: Markdown, CSV, LaTeX (booktabs) and JSON, from its rows alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from relrob.errors import UsageError
from relrob.report.run.rates import counted
from relrob.report.run.table import escape
from relrob.report.study.claims import claims
from relrob.report.study.judgement import PaperClaim
from relrob.report.study.latex import latex
from relrob.report.study.table_rows import LEAST, Rate, TableRow
from relrob.store.proportions import Proportion
from relrob.store.study_directory import StudyHead

FORMATS: Final = ("markdown", "csv", "latex", "json")
_TABLES: Final[tuple[tuple[str, str, Callable[[TableRow], Rate]], ...]] = (
    ("Relative robustness", "|R_Q^FP| / |R|", lambda row: row.robustness),
    ("Adversarial transfer", "|R^0| / |R_NOT|", lambda row: row.transfer),
    ("Images fooled", "|R_NOT| / images", lambda row: row.fooled),
)
_HEAD: Final = (
    "grid",
    "region",
    "runtime",
    "radius",
    "step",
    "of",
    "rate, %",
    "95 % (Wilson)",
    "published, %",
    "difference",
)
_PAPER: Final = {
    "duncan2020.csv": (
        "The paper's numbers do not add up: on MNIST |R| of Table II and |R_NOT| of Table III sum "
        "to 10,970 (radius 10, step 1), 10,536 (20, 1) and 6,830 (20, 1/4) images of 10,000; the "
        "conclusion gives 98.07 % as the least relative robustness, Table II 98.63 %.",
        "The paper's search is no proof and no complete ladder: its R holds the images for which a "
        "search found nothing. Its figures stand beside both of ours; only rows whose grid is a "
        "search measure the same thing.",
    )
}


def study_text(head: StudyHead, rows: Sequence[TableRow], form: str) -> str:
    """The study in one of FORMATS. Raises UsageError for another format."""
    makers: dict[str, Callable[[], str]] = {
        "markdown": lambda: _markdown(head, rows),
        "csv": lambda: _csv(rows),
        "latex": lambda: latex(rows),
        "json": lambda: (
            json.dumps(study_json(head, rows), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        ),
    }
    if form not in makers:
        raise UsageError(f"format {form!r}", ", ".join(FORMATS))
    return makers[form]()


def study_json(head: StudyHead, rows: Sequence[TableRow]) -> dict[str, Any]:
    """The study as a JSON document: the cells, and the claims of the paper with their
    judgements."""
    judged = claims(head.published, rows)
    return {
        "study": head.study,
        "title": head.title,
        "cells": [row.json() for row in rows],
        "claims": claims_json(judged),
    }


def claims_json(judged: Sequence[PaperClaim]) -> list[dict[str, str]]:
    """Judged claims as JSON."""
    return [
        {"claim": each.says, "judgement": each.judgement.value, "why": each.why} for each in judged
    ]


def claims_markdown(judged: Sequence[PaperClaim]) -> list[str]:
    """Lines of the table of judged claims, none without claims."""
    if not judged:
        return []
    return [
        "## Claims of the paper",
        "",
        "| claim | verdict | numbers |",
        "| --- | --- | --- |",
        *(_line([escape(each.says), each.judgement.value, escape(each.why)]) for each in judged),
        "",
    ]


def _cells(row: TableRow, rate: Rate) -> tuple[str, ...]:
    ends, bounds = rate.interval, rate.bounds
    shown = "" if bounds is None else f"{bounds[0]:.2f}"
    if bounds is not None and rate.images.undecided:
        shown += f" to {bounds[1]:.2f}"
    return (
        row.grid,
        row.described,
        row.runtime,
        str(row.radius),
        "" if row.step is None else str(row.step),
        counted(rate.images),
        shown,
        "" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}",
        "" if rate.published is None else f"{rate.published:.2f}",
        _difference(rate),
    )


def _difference(rate: Rate) -> str:
    """Our rate less the published one, with a star where that lies outside our interval."""
    star = "*" if rate.agrees is False else ""
    return star if rate.difference is None else f"{rate.difference:+.2f} {star}".rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown(head: StudyHead, rows: Sequence[TableRow]) -> str:
    lines = [f"# {escape(head.title)}", ""]
    for title, ratio, pick in _TABLES:
        lines += [
            f"## {title}, {escape(ratio)}",
            "",
            _line(_HEAD),
            "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
        ]
        lines += [_line([escape(cell) for cell in _cells(row, pick(row))]) for row in rows]
        lines.append("")
    lines += _by_label(rows)
    if any(pick(row).agrees is False for row in rows for _, _, pick in _TABLES):
        lines += ["\\* the published rate lies outside our interval.", ""]
    unknown = sum(row.unknown for row in rows)
    lines += [f"Images undecided for one network or both: {unknown} in {len(rows)} cells."]
    if unknown:
        lines.append(
            "A rate that they could change stands as the least and the greatest that they allow; "
            "its interval reaches from the one to the other."
        )
    lines.append("")
    lines += claims_markdown(claims(head.published, rows))
    lines += [f"- {escape(note)}" for note in _PAPER.get(head.published, ())]
    return "\n".join(lines).rstrip("\n") + "\n"


def _by_label(rows: Sequence[TableRow]) -> list[str]:
    """Images fooled, label by label: the paper's Figure 6 in numbers, of the images that the
    reference gets right, where they are enough."""
    labels = sorted({label for row in rows for label in row.right_by_label})
    lines = [
        "## Images fooled, of those that the reference gets right, by label, %",
        "",
        _line(["grid", "runtime", "radius", "step", *map(str, labels)]),
        "| --- | --- | ---: | ---: |" + " ---: |" * len(labels),
    ]
    for row in rows:
        shown = [_share(row.right_by_label.get(label, Rate(Proportion()))) for label in labels]
        step = "" if row.step is None else str(row.step)
        lines.append(
            _line([escape(cell) for cell in (row.grid, row.runtime, str(row.radius), step, *shown)])
        )
    return [*lines, ""]


def _share(rate: Rate) -> str:
    if rate.bounds is None or rate.images.whole < LEAST:
        return "" if rate.bounds is None else f"n < {LEAST}"
    low, high = rate.bounds
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def _csv(rows: Sequence[TableRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("robustness", "transfer", "fooled")
    rates = [
        f"{name}_{key}"
        for name in names
        for key in ("part", "whole", "percent", "low", "high", "published")
    ]
    writer.writerow(
        [
            *("grid", "dataset", "region", "runtime", "radius", "step", "images", "unknown"),
            *rates,
            *(f"{name}_{key}" for name in names for key in ("least", "greatest")),
        ]
    )
    for row in rows:
        values: list[Any] = []
        ends: list[str] = []
        for rate in (row.robustness, row.transfer, row.fooled):
            numbers = (rate.percent, *(rate.interval or (None, None)))
            shown = ["" if value is None else f"{value:.4f}" for value in numbers]
            ends += ["" if end is None else f"{end:.4f}" for end in rate.bounds or (None, None)]
            values += [
                rate.images.part,
                rate.images.whole,
                *shown,
                "" if rate.published is None else rate.published,
            ]
        step = "" if row.step is None else row.step
        writer.writerow(
            [
                row.grid,
                row.dataset,
                row.region,
                row.runtime,
                row.radius,
                step,
                row.images,
                row.unknown,
                *values,
                *ends,
            ]
        )
    return text.getvalue()
