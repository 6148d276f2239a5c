"""Figures of studies of stages: drawn for what the rows hold, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relrob.report.study.stage_figures import figures, table6
from relrob.report.study.stage_rows import Rows
from tests.report.test_stage_claims import matachana, shrestha, zhao

DRAWN = {
    "zhao2018": ("accuracy-by-density", "accuracy-by-width", "attack-by-base-accuracy"),
    "matachana2020": ("targeted-by-label", "transfer-matrix", "uer-by-eps"),
    "shrestha2024": ("attacks-by-bits-mnist",),
}
MADE: dict[str, Callable[[], Rows]] = {
    "zhao2018": zhao,
    "matachana2020": matachana,
    "shrestha2024": shrestha,
}


@pytest.mark.parametrize("report", list(DRAWN))
def test_each_study_has_its_figures_and_the_same_bytes_twice(report: str) -> None:
    rows = MADE[report]()
    drawn = figures(report, rows)
    assert sorted({name.rpartition(".")[0] for name in drawn}) == sorted(DRAWN[report])
    assert drawn == figures(report, rows)
    assert all(data[:4] in (b"<?xm", b"%PDF") for data in drawn.values())


def test_rows_decide_the_picture() -> None:
    one, other = (figures("zhao2018", zhao(four_bits=bits)) for bits in (0.4, 0.9))
    assert one["accuracy-by-width.svg"] != other["accuracy-by-width.svg"]
    assert one["accuracy-by-density.svg"] == other["accuracy-by-density.svg"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert all(figures(report, Rows({})) == {} for report in (*DRAWN, "", "duncan2020"))


def test_the_published_table_is_whole() -> None:
    """5 attacks, 7 precisions, 2 networks, 3 figures each."""
    rows = table6()
    assert len(rows) == 5 * 7 * 2 * 3
    values = [float(row["value"]) for row in rows if row["metric"] == "adversarial_accuracy"]
    assert np.all((np.array(values) >= 0) & (np.array(values) <= 1))
    first = [row for row in rows if row["model"] == "Mnist A" and row["attack"] == "FGSM"]
    assert {row["value"] for row in first if row["bits"] == "1"} >= {"0.845", "5.134"}
