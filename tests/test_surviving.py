"""docs/surviving.md: its tables hold the numbers of the reports, and none where there is no
report."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs import surviving
from tests.support import ROOT

Group = tuple[str, list[dict[str, Any]]]


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of reports that holds duncan2020's."""
    shutil.copytree(ROOT / "reports" / "duncan2020", tmp_path / "duncan2020")
    monkeypatch.setattr(surviving, "REPORTS", tmp_path)
    return tmp_path


def add(reports: Path, name: str, *groups: Group, done: int = 1) -> None:
    """A report with these means, of groups that have one stage."""
    folder = reports / name
    folder.mkdir()
    (folder / "README.md").write_text("# A report\n", encoding="utf-8")
    judged = ("reproduced", "not run", "reproduced")
    document = {
        "profile": "quick",
        "claims": [{"judgement": each} for each in judged],
        "groups": [
            {"group": group, "stages": 1, "done": done, "means": means} for group, means in groups
        ],
    }
    (folder / "summary.json").write_text(json.dumps(document), encoding="utf-8")


def cells(table: str) -> list[list[str]]:
    """The rows of the first table, its heads first."""
    lines = [line for line in table.split("\n\n")[0].splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [found[0], *found[2:]]


def test_a_study_without_a_report_has_no_number(reports: Path) -> None:
    for make in (surviving.zhao, surviving.matachana, surviving.shrestha):
        told = re.sub(r"`\w+`", "", make())
        assert told.startswith("*Not run yet") and not re.search(r"\d", told)
    assert surviving.studies().count("not run yet") == 3
    assert "| [reports/duncan2020](../reports/duncan2020/README.md) |" in surviving.studies()


def test_ladders_have_the_numbers_of_the_report(reports: Path) -> None:
    document = json.loads((reports / "duncan2020" / "tables.json").read_text(encoding="utf-8"))
    head, *rows = cells(surviving.ladders())
    assert head[1:] == list(surviving.LADDERS.values())
    steps = [row[0] for row in rows]
    assert (steps[0], steps[-1]) == ("1", "1/64") and len(steps) == 8
    looked = 0
    for cell in document["cells"]:
        if cell["grid"] not in surviving.LADDERS or cell["radius"] != "20":
            continue
        rate = cell["adversarial_transfer"]
        shown = rows[steps.index(cell["step"])][1 + [*surviving.LADDERS].index(cell["grid"])]
        assert shown.endswith(f"{rate['part']} of {rate['whole']}")
        if rate["whole"] >= 10:
            assert shown.startswith(f"{100 * rate['part'] / rate['whole']:.1f} %")
        else:
            assert "%" not in shown
        looked += 1
    assert looked == 2 * 7 + 2 * 8


def test_the_short_answer_spans_all_ladders(reports: Path) -> None:
    document = json.loads((reports / "duncan2020" / "tables.json").read_text(encoding="utf-8"))
    some = [cell for cell in document["cells"] if cell["grid"] in surviving.LADDERS]
    kept = [100 * r["part"] / r["whole"] for r in (c["relative_robustness"] for c in some)]
    told = surviving.answer()
    assert f"between {min(kept):.1f} and {max(kept):.1f} %" in told
    assert f"in {len(some)} ladders" in told
    for data in ("mnist", "cifar10"):
        rates = [
            c["adversarial_transfer"]
            for c in some
            if c["dataset"] == data and c["radius"] == "20"
            and c["adversarial_transfer"]["whole"] >= 30
        ]  # fmt: skip
        shares = [100 * rate["part"] / rate["whole"] for rate in rates]
        assert f"on {min(shares):.0f} to {max(shares):.0f} %" in told


def test_claims_are_counted_over_all_grids(reports: Path) -> None:
    document = json.loads((reports / "duncan2020" / "tables.json").read_text(encoding="utf-8"))
    _, *rows = cells(surviving.duncan_claims())
    grids = {claim["claim"].split(":")[0] for claim in document["claims"]}
    for _, *counts in rows:
        assert sum(map(int, counts)) == len(grids)


def test_a_report_of_zhao_makes_a_table(reports: Path) -> None:
    widths = [{"compress": text} for text in ("q:16:4", "q:4:1")]
    full = [
        {**each, "transfer_rate": share} for each, share in zip(widths, (0.9, 0.25), strict=True)
    ]
    groups: tuple[Group, ...] = (
        ("lenet5-quantised", [{**each, "accuracy": 0.9} for each in widths]),
        ("lenet5-ifgsm-full-comp", [{"compress": "surgery:0.1", "transfer_rate": 0.1}, *full]),
        ("lenet5-ifgsm-comp-full", []),
    )
    add(reports, "zhao2018", *groups)
    told = surviving.zhao()
    assert cells(told) == [
        ["network", "attack", "direction", "4 bits", "16 bits"],
        ["LeNet5", "IFGSM", "to the quantised", "25.0 %", "90.0 %"],
    ]
    assert "Of 3 claims of the paper: 1 not run, 2 reproduced" in told
    assert "not finished" not in surviving.studies()


def test_a_report_of_matachana_makes_a_matrix(reports: Path) -> None:
    rates = {("full", "q2"): 0.5, ("full", "full"): 0.75, ("q2", "q2"): 0.125}
    means = [{"source": s, "target": t, "evasion_rate": r} for (s, t), r in rates.items()]
    add(reports, "matachana2020", ("transfer", means), ("uap", []), done=0)
    assert cells(surviving.matachana()) == [
        ["perturbation of", "q2", "full"],
        ["full", "50.0 %", "75.0 %"],
        ["q2", "12.5 %", ""],
    ]
    assert "2 of 2 groups not finished" in surviving.studies()


def test_a_report_of_shrestha_has_full_precision_first(reports: Path) -> None:
    means = [
        {"compress": text, "adversarial_accuracy": left}
        for text, left in (("dorefa:8", 0.4), (None, 0.3), ("dorefa:1", 0.8))
    ]
    quantised = [{"compress": text, "accuracy": 0.9} for text in ("dorefa:8", "dorefa:1")]
    add(reports, "shrestha2024", ("mnist-quantised", quantised), ("mnist-fgsm", means))
    assert cells(surviving.shrestha()) == [
        ["network", "attack", "full", "1", "8"],
        ["Mnist A", "FGSM", "30.0 %", "80.0 %", "40.0 %"],
    ]


def test_a_report_without_a_finished_attack_has_no_table(reports: Path) -> None:
    add(reports, "zhao2018", ("lenet5", [{"accuracy": 0.99}]))
    assert surviving.zhao().startswith("*None of these stages is finished.*")
