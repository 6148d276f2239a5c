"""Claims and rates of a study, and its tables, from rows made by hand."""

from __future__ import annotations

import csv
import json
from fractions import Fraction

import pytest

from relrob.errors import UsageError
from relrob.report.study.claims import claims
from relrob.report.study.claims_images import difference
from relrob.report.study.judgement import Judgement
from relrob.report.study.table_rows import TableRow
from relrob.report.study.text import study_text
from relrob.store.study_directory import StudyHead
from tests.report.made_rows import rate, row_of


def judged(rows: list[TableRow], words: str) -> Judgement:
    (found,) = [claim for claim in claims("duncan2020.csv", rows) if words in claim.says]
    return found.judgement


def test_claims_go_by_intervals() -> None:
    assert claims("", [row_of()]) == []
    robust = "98 % or more"
    assert judged([row_of()], robust) is Judgement.REPRODUCED
    assert judged([row_of(), row_of(robustness=rate(980, 1000))], robust) is Judgement.OPEN
    assert judged([row_of(), row_of(robustness=rate(0, 0))], robust) is Judgement.OPEN
    assert judged([row_of(), row_of(robustness=rate(900, 1000))], robust) is Judgement.NOT
    falls = "falls with the step"
    low, high = row_of(step=Fraction(1, 8), transfer=rate(700, 1000)), row_of()
    assert judged([high, low], falls) is Judgement.REPRODUCED
    assert (
        judged([high, row_of(step=Fraction(1, 2), transfer=rate(700, 1000))], falls)
        is Judgement.NOT
    )
    assert (
        judged([high, row_of(step=Fraction(1, 8), transfer=rate(9, 10))], falls) is Judgement.OPEN
    )
    accurate = "accuracy"
    assert judged([row_of()], accurate) is Judgement.REPRODUCED
    assert judged([row_of(accuracy=(98.27, 98.2))], accurate) is Judgement.NOT
    unequal = "loses far more"
    assert judged([row_of()], unequal) is Judgement.REPRODUCED
    assert (
        judged([row_of(transfer=rate(1000, 1000), robustness=rate(980, 1000))], unequal)
        is Judgement.NOT
    )
    assert (
        judged([row_of(transfer=rate(9, 10), robustness=rate(950, 1000))], unequal)
        is Judgement.OPEN
    )
    radius = "from radius 10 to 20"
    narrow = row_of(radius=Fraction(10), transfer=rate(600, 1000))
    assert judged([narrow, row_of()], radius) is Judgement.REPRODUCED
    assert (
        judged([row_of(radius=Fraction(10)), row_of(transfer=rate(600, 1000))], radius)
        is Judgement.NOT
    )
    assert (
        judged([row_of(radius=Fraction(10), transfer=rate(8, 10)), row_of()], radius)
        is Judgement.OPEN
    )


def test_what_is_undecided_speaks_for_nothing_and_against_nothing() -> None:
    """By hand: of 100 images 40 robust and 55 open, at best 95; Wilson's ends of 40 and of 95 of
    100."""
    half = rate(40, 100, 96.0, 55)
    assert half.interval is not None and half.interval == pytest.approx((30.94, 97.85), abs=0.01)
    assert (half.percent, half.bounds, half.agrees) == (None, (40.0, 95.0), True)
    robust, unequal = "98 % or more", "loses far more"
    assert (
        judged([row_of(), row_of(robustness=rate(400, 1000, None, 600))], robust) is Judgement.OPEN
    )
    assert (
        judged([row_of(), row_of(robustness=rate(400, 1000, None, 100))], robust) is Judgement.NOT
    )
    assert (
        judged([row_of(transfer=rate(900, 1000), robustness=rate(0, 1000, None, 1000))], unequal)
        is Judgement.OPEN
    )
    assert judged([row_of(transfer=rate(0, 1000, None, 1000))], unequal) is not Judgement.REPRODUCED
    assert "could change" not in study_text(StudyHead("x", "t"), [row_of()], "markdown")
    page = study_text(StudyHead("x", "t"), [row_of(unknown=3)], "markdown")
    assert (
        "undecided for one network or both: 3 in 1 cells.\nA rate that they could change stands"
        in page
    )


def test_grids_and_runtimes_are_judged_apart() -> None:
    rows = [row_of(), row_of(runtime="xnnpack", accuracy=(98.27, 90.0)), row_of(grid="other")]
    found = {
        claim.says.split(":")[0]: claim.judgement
        for claim in claims("duncan2020.csv", rows)
        if "accuracy" in claim.says
    }
    assert found == {
        "g, builtin": Judgement.REPRODUCED,
        "g, xnnpack": Judgement.NOT,
        "other, builtin": Judgement.REPRODUCED,
    }


def test_a_rate_says_whether_the_published_one_can_be_right() -> None:
    assert rate(0, 0, 50.0).json() == {
        "part": 0,
        "whole": 0,
        "undecided": 0,
        "percent": None,
        "bounds": None,
        "interval": None,
        "published": 50.0,
        "difference": None,
    }
    near, far = rate(48, 100, 50.0), rate(480, 1000, 60.0)
    assert (near.agrees, far.agrees, rate(1, 2).agrees) == (True, False, None)
    assert near.difference == pytest.approx(-2)


def test_tables_in_every_format() -> None:
    head = StudyHead("x", "A | title", "duncan2020.csv")
    rows = [
        row_of(right_by_label={0: rate(3, 12), 7: rate(0, 2)}),
        row_of(
            runtime="xnn|pack", step=None, robustness=rate(0, 0), fooled=rate(400, 10_000, 35.48)
        ),
    ]
    page = study_text(head, rows, "markdown")
    assert "\\* the published rate lies outside our interval." in page
    assert "lies outside our interval" not in study_text(
        head, [row_of(robustness=rate(0, 0), fooled=rate(1, 9))], "markdown"
    )
    assert page.startswith("# A \\| title\n") and "| 98.69 | +1.31 \\* |" in page
    lines = [line for line in page.splitlines() if line.startswith("| g ")]
    assert len(lines) == 8
    assert [line.replace("\\|", "").count("|") for line in lines] == [11] * 6 + [7] * 2
    assert lines[6].endswith("| 20 | 1/4 | 25.0 | n \\< 10 |")
    assert "10,970" in page and "| reproduced |" in page
    table = list(csv.DictReader(study_text(head, rows, "csv").splitlines()))
    assert [row["robustness_percent"] for row in table] == ["100.0000", ""]
    assert table[1]["step"] == "" and table[0]["fooled_published"] == "35.48"
    tex = study_text(head, rows, "latex")
    assert tex.count("\\toprule") == tex.count("\\end{tabular}") == 3 * 2
    assert "search, xnn|pack" in tex and "Wilson interval" in tex
    document = json.loads(study_text(head, rows, "json"))
    assert document["cells"][0]["relative_robustness"]["part"] == 5000
    assert {claim["judgement"] for claim in document["claims"]} <= {
        each.value for each in Judgement
    }
    with pytest.raises(UsageError, match="format 'pdf'"):
        study_text(head, rows, "pdf")


def test_one_perturbed_image_lost_on_each_is_refuted_by_one_image_with_more() -> None:
    words = "exactly one perturbed image"
    assert judged([row_of(lost=(1,) * 12)], words) is Judgement.REPRODUCED
    assert judged([row_of(lost=(1,) * 12), row_of(lost=(1, 2))], words) is Judgement.NOT
    assert judged([row_of(lost=(1,) * 3)], words) is Judgement.OPEN
    assert judged([row_of(lost=(1,) * 12 + (None,))], words) is Judgement.OPEN
    open_ = row_of(lost=(1,) * 12, robustness=rate(80, 100, None, 3))
    assert judged([open_], words) is Judgement.OPEN
    assert judged([row_of()], words) is Judgement.OPEN


def test_the_gap_of_two_labels_is_judged_by_the_interval_of_a_difference() -> None:
    words = "63.87 points"

    def gap(many: tuple[int, ...], few: tuple[int, ...], step: str = "1/2") -> TableRow:
        labels = {1: rate(*many), 6: rate(*few)}
        return row_of(radius=Fraction(10), step=Fraction(step), by_label=labels)

    assert judged([gap((80, 100), (18, 100))], words) is Judgement.REPRODUCED
    assert judged([gap((40, 100), (18, 100))], words) is Judgement.NOT
    assert judged([gap((8, 9), (1, 100))], words) is Judgement.OPEN
    assert not [
        claim
        for claim in claims("duncan2020.csv", [gap((80, 100), (18, 100), "1/4")])
        if words in claim.says
    ]


def test_labels_that_are_fooled_often() -> None:
    words = "labels 1, 4 and 9"
    often = {label: rate(80, 100) for label in (1, 4, 9)}
    seldom = {label: rate(20, 100) for label in (0, 2, 6)}
    both = row_of(step=Fraction(1, 2), by_label=often | seldom)
    assert judged([both], words) is Judgement.REPRODUCED
    swapped = {9 - label: share for label, share in (often | seldom).items()}
    turned = row_of(
        by_label={1: rate(1, 100), 4: rate(1, 100), 9: rate(1, 100)}
        | {label: swapped.get(label, rate(90, 100)) for label in (0, 2, 6)}
    )
    assert judged([both, turned], words) is Judgement.NOT
    open_ = row_of(by_label={1: rate(6, 10), 4: rate(5, 10), 0: rate(5, 10), 2: rate(5, 10)})
    assert judged([both, open_], words) is Judgement.OPEN


def test_a_larger_radius_and_the_sizes_of_searches() -> None:
    wider = "a larger radius"
    narrow = row_of(radius=Fraction(10), fooled=rate(100, 1000))
    assert judged([narrow, row_of(fooled=rate(400, 1000))], wider) is Judgement.REPRODUCED
    assert judged([narrow, row_of(fooled=rate(40, 1000))], wider) is Judgement.NOT
    assert judged([narrow, row_of(fooled=rate(101, 1000))], wider) is Judgement.OPEN
    words = "images around an image of R"
    assert judged([row_of(sizes=(7119, 19801))], words) is Judgement.REPRODUCED
    assert judged([row_of(sizes=(436, 7514))], words) is Judgement.NOT
    ladder = claims("duncan2020.csv", [row_of(sizes=(436, 7514), region="ladder")])
    assert not [claim for claim in ladder if words in claim.says]


def test_a_grid_of_a_radius_that_the_paper_has_no_table_of_has_no_claims() -> None:
    assert claims("duncan2020.csv", [row_of(radius=Fraction(40))]) == []


def test_undecided_images_widen_a_difference_at_both_ends() -> None:
    one, other = rate(50, 100, None, 10).images, rate(20, 100, None, 30).images
    low, high = difference(one, other)
    every = [
        difference(rate(50 + more, 100).images, rate(20 + less, 100).images)
        for more in (0, 5, 10)
        for less in (0, 15, 30)
    ]
    assert low == pytest.approx(min(ends[0] for ends in every))
    assert high == pytest.approx(max(ends[1] for ends in every))
