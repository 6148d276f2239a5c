"""Critical radii as text and figure: nothing is rounded the wrong way, the same bytes each time,
hostile names."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.domain.radius import Interval, RadiusRecord, above, below
from relrob.report.radius import words
from relrob.report.radius.figure import figure
from relrob.report.radius.terminal import rendered
from relrob.report.radius.write import markdown, radius_csv
from relrob.store.radius_summary import RadiusSummary


def interval(low: int, high: int | None, decided: bool = False) -> Interval:
    broken = None if high is None else Fraction(high, 2550)
    by = ("bounds", "" if high is None else "witness", -1 if high is None else 3, 4)
    return Interval(Fraction(low, 2550), broken, decided, *by, "" if decided else "no time")


def header(path: str = "ref.h5") -> dict[str, Any]:
    network = {"path": path, "runtime": "onnxruntime", "sha256": "0" * 64}
    return {
        "dataset": {"name": "mnist", "split": "test"},
        "reference": network,
        "quantised": {**network, "scheme": "int8"},
        "region": {"kind": "linf", "exact": {"radius": "1"}, "precision": "1/2550"},
        "time_limit": 4.0,
    }


CRASHED = Interval(None, None, False, reason="it crashed")
RECORDS = (
    RadiusRecord(3, 7, 7, 7, interval(60, 61, True), interval(30, 50)),
    RadiusRecord(4, 7, 7, 7, interval(60, None), interval(30, 70)),
    RadiusRecord(5, 7, 1, 7),
    RadiusRecord(6, 7, 7, 1, interval(20, 70), Interval(None, Fraction(0), True, label=1)),
    RadiusRecord(7, 7, -1, -1, CRASHED, CRASHED),
)
SUMMARY = RadiusSummary(header(), RECORDS, 1.0)


@given(st.floats(-1e6, 1e6))
def test_digits_are_cut_outward(value: float) -> None:
    assert Fraction(words.down(value)) <= Fraction(value) <= Fraction(words.up(value))
    assert Fraction(words.up(value)) - Fraction(words.down(value)) <= abs(Fraction(value)) / 99


@given(st.fractions(0, 1))
def test_numbers_are_rounded_outward(value: Fraction) -> None:
    low, high = below(value), above(value)
    assert low is not None and high is not None
    assert Fraction(low) <= value <= Fraction(high)


def test_the_terminal_says_it_all_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = rendered(SUMMARY)
    assert max(map(len, text.splitlines())) <= 80
    for told in (
        "0.0235 to 0.024 ",
        "0.0117 to 0.0197",
        "above 0.0235",
        "wrong itself",
        "unknown",
        "not decided 2 times: it crashed",
        "the reference gets them wrong: 1 (image 5)",
        "less robust on 2",
    ):
        assert told in text, told


def test_the_csv_has_a_line_an_image_and_its_radii_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(radius_csv(RECORDS[::-1], {3: 1.5}))))
    assert [row["index"] for row in rows] == ["3", "4", "5", "6", "7"]
    assert rows[0]["seconds"] == "1.5" and rows[0]["compared"] == "less"
    assert Fraction(float(rows[0]["reference_proved"])) <= Fraction(60, 2550)
    assert Fraction(float(rows[0]["quantised_broken"])) >= Fraction(50, 2550)
    assert rows[1]["reference_broken"] == "" and rows[2]["reference_proved"] == ""


def test_names_of_files_are_text_and_nothing_else() -> None:
    evil = RadiusSummary(header("a|b\x1b[2J<b>[red]x" + "y" * 5000), RECORDS, 1.0)
    for text in (rendered(evil), markdown(evil)):
        assert "\x1b" not in text and "yyy" in text and len(text) < 8000
    assert "a\\|b" in markdown(evil) and "[red]x" in rendered(evil)


def test_the_figure_is_the_same_again_and_needs_no_witness() -> None:
    assert figure(SUMMARY) == figure(SUMMARY)
    alone = RadiusSummary(header(), RECORDS[4:], 1.0)
    assert set(figure(alone)) == {"radius.svg", "radius.pdf"}


def test_nothing_to_compare_is_said() -> None:
    nothing = RadiusSummary(header(), RECORDS[2:3], 1.0)
    assert "gets none of the images right" in rendered(nothing)
    assert nothing.json()["cost"] is None and nothing.curve()[0]["reference"] == [0, 0]
