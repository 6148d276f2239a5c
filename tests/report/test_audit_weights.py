"""The comparison of weights on a terminal."""

from __future__ import annotations

from pathlib import Path

from relrob.audit.weight_report import WeightReport
from relrob.report.audit.weights import weight_table
from tests import planted_pairs as plant
from tests.audit.pairs import dense, images, int8, pair


def test_a_row_a_layer_and_a_row_an_activation_in_80_columns(tmp_path: Path) -> None:
    data = plant.lite(int8(dense(), images()), plant.weight(1, 40))
    report = pair(tmp_path, dense(), data).report()
    lines = weight_table(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 1 + 4 + 1 + 1 + 5
    (row,) = [line.split() for line in lines if line.startswith("operator 1 ")]
    errors = {line.split()[-4] for line in lines[1:5]}
    assert errors == {"0", "1"}
    assert row[-4] == "1"
    assert "100%" in lines[-1] or "used" in lines[6]


def test_the_reason_stands_where_nothing_was_compared() -> None:
    text = weight_table(WeightReport(False, "the layers differ:\x1b[31m"))
    assert text == "The weights were not compared: the layers differ:\\u001b[31m."
