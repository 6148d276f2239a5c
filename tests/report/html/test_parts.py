"""Parts of pages: charts in the page's colours, tables on phones, heads of studies, rules."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relrob.domain.record import NETWORKS, Set
from relrob.report.audit.words import diagnoses
from relrob.report.html import audit_page, charts, lost, study_page, worst
from relrob.report.html.images import Pictures
from relrob.report.html.page import html
from relrob.report.html.parts import Column, Line, Page, Section, Table, Tone
from relrob.report.html.run_page import run_page
from relrob.store.study_directory import CellResult, cell_of
from relrob.store.summarise import summarise
from tests.make_records import make_header, make_record, make_witness
from tests.report.html.made_runs import made_run
from tests.store.stores import filled


def test_every_colour_of_a_chart_is_one_of_the_style_sheet() -> None:
    text = html(run_page(made_run(280)))
    used = set(re.findall(r'class="(f-[^" ]*)', text))
    assert used and {f".{name}{{" for name in used} <= set(re.findall(r"\.f-[a-z-]+\{", text))
    assert 'class="f-plain"' in charts.interval((0.2, 0.4), 0.3, Tone.PLAIN, "x")
    assert 'class="f-plain-soft"' in charts.interval((0.2, 0.4), None, Tone.PLAIN, "x")


def test_letters_of_scores_are_as_large_for_four_classes_as_for_ten() -> None:
    widths = []
    for count in (4, 10):
        drawn = charts.columns(
            [charts.Column(str(each), 0.1, 0.9, Tone.DIM) for each in range(count)], "x"
        )
        widths += re.findall(r'viewBox="0 0 (\d+)', drawn)
    assert widths == ["220", "220"]


def test_a_bar_has_the_longest_name_that_fits() -> None:
    def names(counts: tuple[int, int]) -> list[str]:
        parts = (
            charts.Part("kept", counts[0], Tone.GOOD),
            charts.Part("L_ic: wrong unperturbed", counts[1], Tone.DIM),
        )
        return re.findall(r'class="on">([^<]*)<', charts.icicle(parts, "x"))

    assert names((1, 1)) == ["kept", "1", "L_ic: wrong unperturbed", "1"]
    assert names((9, 1)) == ["kept", "9", "L_ic", "1"]
    assert names((99, 1)) == ["kept", "99"]


def page_of(table: Table) -> str:
    return html(Page("x", "x", "x", Tone.GOOD, (), (), (Section("s", "S", "", (table,)),), ""))


def test_cells_of_a_stacked_table_have_the_names_of_their_columns() -> None:
    columns, lines = (Column("claim"), Column("numbers")), (Line(("a" * 60, "1 & 2")),)
    stacked = page_of(Table("t", columns, lines, stacked=True))
    assert 'class="stacked"' in stacked and '<td data-l="numbers">1 &amp; 2</tr>' in stacked
    assert '<th scope="row" class="long">' in stacked
    plain = page_of(Table("t", columns, lines))
    assert "data-l" not in plain.partition("<body>")[2] and '"stacked"' not in plain


def rate(percent: float | None, whole: int, undecided: int = 0) -> dict[str, Any]:
    return {"percent": percent, "whole": whole, "undecided": undecided, "bounds": [0.0, 100.0]}


def test_the_head_of_a_study_says_what_failed_and_leaves_out_cells_that_tell_nothing() -> None:
    rates = [rate(97.5, 40), rate(99.0, 10), rate(100.0, 12), rate(0.0, 1), rate(None, 20, 5)]
    claims = [{"judgement": each} for each in ("reproduced", "not reproduced", "inconclusive")]
    document: dict[str, Any] = {
        "study": "s",
        "title": "T",
        "claims": claims,
        "cells": [
            {"relative_robustness": each, "unknown": 0, "images": 50, "grid": "g"} for each in rates
        ],
    }
    head = study_page.head_of(document)
    assert head["verdict"] == "1 of 3 claims reproduced, 1 not reproduced"
    told = head["sentences"][-1]
    assert "In 3 of 5 cells" in told and "between 97.5 and 100.0 %" in told
    assert "the other 2" in told and "median is 99.0 %" in told
    none = study_page.head_of({**document, "cells": document["cells"][3:], "claims": claims[:1]})
    assert none["verdict"] == "1 of 1 claims reproduced" and len(none["sentences"]) == 2
    waiting = [*claims[:2], {"judgement": "not run"}, {"judgement": "not run"}]
    half = study_page.head_of({**document, "claims": waiting})
    assert half["verdict"] == "1 of 2 claims that were run reproduced, 1 not reproduced"
    assert half["sentences"][2].startswith("Those not run wait")
    assert not any("more images" in each for each in half["sentences"])


def cell(directory: Path, grid: str) -> CellResult:
    records = [make_record(index) for index in range(14)]
    summary = summarise(records, make_header(14), 0.0)
    options = {"dataset": "mnist", "radius": "20", "step": "1/4"}
    return cell_of(grid, options, directory, summary, records)


def test_every_grid_of_a_study_has_cards_of_lost_images(tmp_path: Path) -> None:
    place = filled(tmp_path / "run", 14)
    cells = [cell(place, grid) for grid in ("one", "two") for _ in range(5)]
    text = page_of_section(lost.section(cells))
    titles = re.findall(r"<h3>Image \d+, class \d+: (\w+), radius", text)
    assert titles == ["one"] * 6 + ["two"] * 6
    assert "8 more lost images have no card here" in text


def page_of_section(section: Section) -> str:
    return html(Page("x", "x", "x", Tone.GOOD, (), (), (section,), ""))


def rule(name: str, verdict: str) -> dict[str, Any]:
    return {"id": name, "verdict": verdict, "sentence": "s", "threshold": "1%", "images": [3]}


@pytest.mark.parametrize("baseline", [None, {"path": "old", "new": [1, 2], "mended": []}])
def test_rules_say_what_they_are_measured_against_and_help_only_where_it_helps(
    baseline: dict[str, Any] | None,
) -> None:
    document: dict[str, Any] = {
        "rules": [rule("max-proved-lost", "failed"), rule("max-newly-attacked", "not measured")],
        "policy": {"path": ""},
        "pair": {"diagnosis": []},
        "weights": {"read": False, "reason": "none"},
        "runtimes": {"runtimes": [], "pairs": []},
        "robustness": {},
        "baseline": baseline,
    }
    assert diagnoses(document) == []
    text = page_of_section(audit_page._rules(document))
    assert ("Measured since the baseline" in text) is (baseline is not None)
    assert "look at run/witnesses" in text and "reference_attacked" not in text
    since = audit_page._baseline(document)
    if baseline is not None:
        words = page_of_section(since[0])
        assert "newly lost images" in words and "1-2" in words and "mended images" in words
    else:
        assert since == ()


def test_a_card_of_an_image_that_fools_the_reference_only_shows_that_witness() -> None:
    """The quantised network may have another witness of its own in R_Q."""
    record = replace(make_record(2), quantised_verdict="NOT_ROBUST")
    assert record.set is Set.RQ
    run = replace(made_run(3), witnesses=lambda _: {n: make_witness(2, n) for n in NETWORKS})
    card = worst.card(run, Pictures(run), record)
    assert card is not None
    assert card.badge == "fools the reference only"
    assert card.pictures[1][1] == "perturbed; fools the reference network"
