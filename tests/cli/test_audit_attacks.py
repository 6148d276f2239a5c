"""`relrob audit --attacks` on tiny networks: rows, rules, documents, a baseline and the alarm."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import relrob
from relrob.api.results import AuditResult
from relrob.errors import AlarmError
from relrob.relative import classify
from tests.cli_case import Case, make_case
from tests.study.test_attacks import BROKEN, lying


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("audited"))


def audit(case: Case, out: Path, **more: Any) -> AuditResult:
    given: dict[str, Any] = {
        "attacks": ["fgsm", "pgd"],
        "region": "linf-8",
        "images": "0:8",
        "time": "20s",
    }
    return relrob.audit(
        case.reference, case.simulated, dataset=str(case.data), out=out, **given | more
    )


@pytest.fixture(scope="module")
def audited(case: Case, tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return audit(case, tmp_path_factory.mktemp("out") / "first", max_attacked="0")


def test_the_document_has_the_attacks_and_no_times(audited: AuditResult) -> None:
    document = audited.json()
    attacks = document["attacks"]
    assert [each["label"] for each in attacks["each"]] == ["fgsm", "pgd"]
    assert '"seconds"' not in json.dumps(attacks)
    assert document["seconds"]["attacks"] > 0
    summary = json.loads((audited.directory / "run" / "summary.json").read_text())
    for each, timed in zip(attacks["each"], summary["attacks"]["each"], strict=True):
        assert each["quantised"]["inside"] == timed["quantised"]["inside"]
    assert "attack fgsm" in (audited.directory / "table.md").read_text()


def test_the_rows_are_what_the_rule_counts(audited: AuditResult) -> None:
    lines = csv.DictReader((audited.directory / "images.csv").read_text().splitlines())
    beaten = [int(r["index"]) for r in lines if r["quantised_attacked"] not in ("", "none")]
    assert BROKEN in beaten
    (rule,) = [each for each in audited.rules if each.id == "max-attacked"]
    assert rule.measured is not None and list(rule.measured.images) == beaten
    assert rule.passed is False and audited.exit_code == 1
    assert sum(row.quantised_attacked != "" for row in audited.records) == rule.measured.of == 7
    assert any(each.startswith("of 7 images attacked") for each in audited.sentences)


def test_a_second_audit_resumes_and_the_first_excuses_it(case: Case, audited: AuditResult) -> None:
    before = audited.json()
    events: list[relrob.Event] = []
    again = audit(case, audited.directory, max_attacked="0", listener=events.append)
    assert any("resuming: 8 of 8" in event.text for event in events)
    assert {**again.json(), "seconds": 0} == {**before, "seconds": 0}
    next_ = audited.directory.parent / "next"
    excused = audit(case, next_, max_attacked="0", baseline=audited.directory)
    (rule,) = [each for each in excused.rules if each.id == "max-attacked"]
    assert rule.passed and rule.measured is not None and rule.measured.images == ()


def test_an_alarm_leaves_no_verdict(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "decide", lying([BROKEN]))
    with pytest.raises(AlarmError, match=f"image {BROKEN}: the reference network gives"):
        audit(case, tmp_path / "out")
    assert not (tmp_path / "out" / "audit.json").exists()


def test_attacks_are_part_of_the_default_directory(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {
        relrob.audit(
            case.reference,
            case.simulated,
            dataset=str(case.data),
            region="linf-8",
            images="0:3",
            time="20s",
            attacks=attacks,
        ).directory
        for attacks in (None, "fgsm", "pgd:steps=3")
    }
    assert len(names) == 3
