"""summary.json to the byte: against documents that relrob wrote when a summary was a dictionary,
and against the committed quickstart run, older still."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relrob.domain.record import Record, Set
from relrob.report.run.table import table_markdown
from relrob.report.run.terminal import rendered
from relrob.report.run.write import summary_json
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import changed, make_header, make_record
from tests.support import ROOT

GOLDEN = Path(__file__).with_name("golden_summaries.json")
QUICKSTART = ROOT / "reports" / "quickstart"
SEARCH = {"kind": "search", "radius": 20.0, "step": 0.25, "seed": 0}
BALL = {"kind": "linf", "radius": 0.1, "exact": {"radius": "1/10"}}
MORE = {"arithmetic": "integer", "black_box": "b", "conversion": "c", "accuracy": None}
HEADERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "search": {"region": SEARCH, "effective_rule": "farthest"},
    "ball": {"region": BALL},
    "real": {"arithmetic": "real", "warnings": ["x"]},
    "int": {"quantised": make_header(0)["quantised"] | MORE},
}
NEW = {
    *("relative_robustness_bounds", "adversarial_transfer_bounds", "transfer_points_bounds"),
    *("closest_transfer_bounds", "undecided", "robust_by", "lost_images", "ties", "tie_images"),
    "other_ties",
}
NAMES = ["plain28", "search7", "ball7", "int28", "plain0", "real1"]


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    return found


def summary_of(name: str) -> Summary:
    """The summary of the records that the golden document of that name is about."""
    kind = name.rstrip("0123456789")
    images = int(name.removeprefix(kind))
    records = [
        changed(make_record(i), thin=i % 3, disagreements=i % 2, spot_checks=i, proved=i * 7)
        for i in range(images)
    ]
    return summarise(records, make_header(images) | HEADERS[kind], 1.23456789)


def text(document: dict[str, Any]) -> str:
    """A document as relrob has always written it."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_are_those_of_the_dictionary_before(name: str) -> None:
    """But for what is new, and for rates that undecided images could change."""
    found, before = summary_of(name).json(), golden(name)
    shares = summary_of(name).shares
    open_ = {"relative_robustness": "R_Q^FP", "adversarial_transfer": "R^0"}
    for rate, which in open_.items():
        if shares[which].undecided:
            before[rate], found["intervals"][rate] = None, before["intervals"][rate]
    for rate in ("transfer_points", "closest_transfer"):
        before[rate] = None if before["sets"]["unknown"] else before[rate]
    before["points"] |= {"reference_proved": None, "quantised_proved": None}
    assert text({key: found[key] for key in before}) == text(before)
    assert found.keys() - before.keys() == NEW


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_read_back_whole(name: str) -> None:
    summary = summary_of(name)
    assert Summary.of(json.loads(summary_json(summary))) == summary
    older = Summary.of(golden(name))
    assert (older.sets, older.points, older.effective, older.shares) == (
        summary.sets,
        summary.points,
        summary.effective,
        summary.shares,
    )
    assert older.robust_by is None
    assert rendered(older)


def test_a_summary_cannot_be_changed() -> None:
    summary = summary_of("plain28")
    with pytest.raises(AttributeError):
        summary.seconds = 0.0  # type: ignore[misc]
    before = summary_json(summary)
    summary.json()["sets"]["R"] = summary.header.json()["dataset"]["images"] = -1
    assert summary_json(summary) == before


def test_an_older_summary_prints_and_keeps_its_keys() -> None:
    """Runs made before spot checks were counted have no such key."""
    document = json.loads((QUICKSTART / "summary.json").read_text(encoding="utf-8"))
    summary = Summary.of(document)
    assert summary_json(summary) == (QUICKSTART / "summary.json").read_text(encoding="utf-8")
    counted = document.pop("spot_checks")
    older = Summary.of(document)
    assert (older.spot_checks, summary.spot_checks) == (0, counted["run"]) and counted
    assert replace(older, spot_checks=counted["run"]) == summary
    page = (QUICKSTART / "table.md").read_text(encoding="utf-8")
    mine = table_markdown(summary).splitlines()
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        line for line in mine if line.startswith("|")
    ]
    counts = document["effective"]
    told = f"{counts['transferred']:,} of {counts['reference']:,} effective points"
    assert told in rendered(summary)


def test_the_committed_records_give_the_committed_summary() -> None:
    """images.csv has all columns but five counts; what needs none of these is equal."""
    document = json.loads((QUICKSTART / "summary.json").read_text(encoding="utf-8"))
    with (QUICKSTART / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    summary = summarise([record_of(row) for row in rows], document, 0.0)
    found = summary.json()
    missing = {"points", "seconds", "thin", "closest_transfer", "effective", "spot_checks"}
    missing |= {"closest_transfer_bounds", "robust_by"}
    assert len(rows) == document["dataset"]["images"] == summary.sets.images
    for name in document.keys() - missing:
        assert found[name] == document[name], name
    for name in ("reference", "quantised", "transferred"):
        assert found["effective"][name] == document["effective"][name]


def record_of(row: dict[str, str]) -> Record:
    """A line of images.csv as a record."""
    names = ("points", "reference_effective", "quantised_effective", "transferred")
    counts: dict[str, Any] = {name: int(row[name]) if row[name] else None for name in names}
    return Record(
        int(row["index"]),
        int(row["label"]),
        int(row["reference_label"]),
        int(row["quantised_label"]),
        Set(row["set"]),
        row["reference_verdict"],
        row["quantised_verdict"],
        decided_by=row["decided_by"],
        reason=row["reason"],
        **counts,
    )
