"""Narrow terminals: no line is wider than the terminal, and no word is cut that fits."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from relrob.cli.progress import Bars, EdgedBar, _columns
from relrob.domain.events import Event
from relrob.report.audit.words import terminal
from relrob.report.narrow import narrowed
from relrob.report.run import rates, wording
from relrob.report.run.terminal import print_summary
from relrob.store.summary import Summary
from tests.support import ROOT

SUMMARY = Summary.of(json.loads((ROOT / "reports" / "quickstart" / "summary.json").read_text()))
RULE = {"id": "max-shown-accuracy-drop", "verdict": "passed", "sentence": "0.0% of 100 images"}


def printed(width: int) -> str:
    """The quickstart's summary at a width."""
    console = Console(width=width, file=io.StringIO(), no_color=True)
    print_summary(SUMMARY, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", (40, 50, 60, 75, 80, 100))
def test_no_word_of_a_summary_is_cut(width: int) -> None:
    text = printed(width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    told = " ".join(text.split())
    for row in wording.set_rows(SUMMARY):
        assert row.name in told
    words = {word for _, said in rates.rates(SUMMARY) for word in said.split()}
    words |= {word for row in wording.set_rows(SUMMARY) for word in row.meaning.split()}
    assert {word for word in words if len(word) <= width - 10} <= set(
        told.replace(")", ") ").split()
    ) | {word for word in words if word in told}


@pytest.mark.parametrize("columns", (40, 60, 80))
def test_no_line_of_an_audit_is_too_long(columns: int) -> None:
    document = {
        "verdict": "ship",
        "sentences": ["of 86 images where the reference is robust, all stay robust " * 3],
        "rules": [RULE],
        "pair": {},
    }
    lines = terminal(document, columns).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert "max-shown-accuracy-drop" in "\n".join(lines)


def test_a_wide_table_of_markdown_becomes_lines() -> None:
    page = (ROOT / "reports" / "quickstart" / "table.md").read_text()
    text = narrowed(page, 50)
    long = [line for line in text.splitlines() if len(line) > 50]
    assert all(" " not in line.strip() for line in long)
    (kept,) = [line.split("|")[2].strip() for line in page.splitlines() if "R\\_Q^FP |" in line]
    assert "R_Q^FP\n" in text and f"  images: {int(kept)}\n" in text
    assert narrowed(page, 1000) == page
    assert set(re.findall(r"\d+", page)) == set(re.findall(r"\d+", text))


def test_a_bar_without_colours_has_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (40, 60, 100):
        console = Console(
            file=io.StringIO(), force_terminal=True, width=width, no_color=True, color_system=None
        )
        columns = _columns(console)
        assert any(isinstance(each, EdgedBar) for each in columns)
        with Progress(*columns, console=console) as bars:
            Bars(bars)(Event("images", "", 1, 2))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert re.search(r"\[=+ +\]", text) and "images" in text and "1/2" in text
    coloured = Console(file=io.StringIO(), force_terminal=True, width=80, no_color=False)
    assert not any(isinstance(each, EdgedBar) for each in _columns(coloured))
