"""The comparison of a pair as text: narrow, whole, and no number that is not the report's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.pair_report import PairReport, Share, Side
from relrob.report.audit.pair import pair_markdown


def side(labels: Any, tied: Any = None) -> Side:
    given = np.asarray(labels, np.int64)
    return Side(
        "a.onnx",
        "0" * 64,
        "dynamic",
        "xnnpack",
        given,
        np.zeros(len(given), bool) if tied is None else np.asarray(tied, bool),
    )


def report(count: int = 400, labelled: bool = True, **options: Any) -> PairReport:
    """A pair that differs on every seventh image, by one class up or down."""
    truth = np.arange(count) % 10
    one, other = truth.copy(), truth.copy()
    other[::7] = (other[::7] + 1 + np.arange(len(other[::7])) % 4) % 10
    one[::35] = (one[::35] + 1) % 10
    tied = np.arange(count) % 14 == 0
    return PairReport(
        side(one), side(other, tied), truth if labelled else None, 10, np.ones(count), **options
    )


FAULT = Diagnosis(
    "input-scale",
    "both networks read levels 0..255: 92.2 % of the labels are right so, 17.5 % as given",
    {},
    "--input-scale 255",
)


def text_of(shown: PairReport) -> str:
    """The Markdown, cells apart by blanks."""
    apart = re.sub(r" ?\| ?", "  ", pair_markdown(shown))
    return "\n".join(line.strip() for line in apart.splitlines())


def test_the_numbers_are_the_reports() -> None:
    shown = report(diagnoses=(FAULT,))
    text = text_of(shown)
    for name, share in (
        ("labels agree", shown.agreeing),
        ("reference right", shown.reference_accuracy),
        ("quantised right", shown.quantised_accuracy),
    ):
        assert share is not None
        low, high = share.interval
        assert re.search(
            rf"^{name} +{100 * share.share:.2f} % +{share.k} of 400 "
            rf"+{100 * low:.2f} to {100 * high:.2f} %$",
            text,
            re.M,
        )
    lost, tied = len(shown.regressions), len(shown.tied_disagreements)
    assert re.search(rf"^right before, wrong now +\S+ % +{lost} of 400$", text, re.M)
    assert re.search(rf"^differ by a tie at the top +\S+ % +{tied} of 400$", text, re.M)
    assert tied and lost
    assert f"p = {shown.p_value:.2g}" in text
    named = ", ".join(str(image) for image in shown.regressions[:10])
    assert f"images {named} and {lost - 10} more." in " ".join(text.split())
    for row in shown.rows:
        change = re.escape(f"{row.quantised - row.reference:+}")
        assert re.search(rf"^{row.label} +{row.images} +.* {change}$", text, re.M)
    for one, other, count in shown.changes[:8]:
        assert re.search(rf"^{one} +{other} +{count}$", text, re.M)
    assert f"{len(shown.changes) - 8} more pairs" in text
    assert f"{FAULT.id}: {FAULT.sentence}. Try: {FAULT.hint}." in " ".join(text.split())


def test_rows_of_a_table_are_as_wide_as_its_head() -> None:
    blocks = pair_markdown(report(diagnoses=(FAULT,))).split("\n\n")
    for block in blocks:
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert sum(block.startswith("|") for block in blocks) == 3


def test_unlabelled_data_have_no_accuracy() -> None:
    text = text_of(report(labelled=False))
    assert "reference's own" in text and "right" not in text and "p =" not in text
    assert "accuracy" not in report(labelled=False).json()["reference"]


def test_a_pair_without_a_change_is_short() -> None:
    same = side([1, 2, 3, 1])
    shown = PairReport(same, same, np.array([1, 2, 3, 1]), 4, np.ones(4))
    text = text_of(shown)
    assert "100.00 %" in text and "Regressions" not in text and "says" not in text
    assert shown.p_value == 1.0 and shown.changes == ()


def test_nearly_all_is_not_all() -> None:
    labels = np.zeros(100_000, np.int64)
    other = labels.copy()
    other[5] = 1
    shown = PairReport(side(labels), side(other), labels, 2, np.ones(len(labels)))
    assert "99.99 %" in shown.sentence and "100.00 %" in shown.sentence
    assert "0.01 %" in text_of(shown) and "99.99 %" in text_of(shown)


def test_a_file_name_cannot_write_to_the_terminal() -> None:
    fault = Diagnosis("layout", "\x1b[2J", {}, "\x1b[3J")
    assert "\x1b" not in text_of(report(diagnoses=(fault,)))


def test_labels_that_are_no_numbers_differ() -> None:
    shown = PairReport(side([-1, 0]), side([-1, 0]), np.array([0, 0]), 2, np.array([np.nan, 1.0]))
    assert shown.disagreements == (0,)
    assert shown.json()["disagreements"][0]["margin"] is None
    assert shown.json()["reference"]["no_label"] == 1


def test_what_is_no_pair() -> None:
    with pytest.raises(ValueError, match="pair of networks"):
        PairReport(side([0, 1]), side([0]), None, 2, np.ones(2))
    with pytest.raises(ValueError, match="ties"):
        side([0, 1], [True])
    assert Share(1, 4).share == 0.25
