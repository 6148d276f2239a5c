"""The checks of a pair as the second part of an audit's page: clean images, weights, runtimes."""

from __future__ import annotations

from relrob.audit.pair_report import PairReport
from relrob.audit.runtime_report import RuntimeReport
from relrob.audit.weight_report import WeightReport
from relrob.report.audit import runtimes as runtimes_text
from relrob.report.audit.pair import pair_markdown
from relrob.report.audit.weights import weight_table


def details(pair: PairReport, weights: WeightReport, runtimes: RuntimeReport) -> str:
    """Markdown: a heading for each check, below it the numbers."""
    parts = [
        "## The pair on clean images",
        pair_markdown(pair).rstrip(),
        "## The weights",
        _fenced(weight_table(weights)),
        "## The runtimes",
        _fenced(runtimes_text.text(runtimes)),
    ]
    return "\n\n".join(parts) + "\n"


def _fenced(text: str) -> str:
    """Text as it stands, in a block with a fence that the text does not hold."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
