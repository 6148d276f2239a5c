"""Audits as JUnit, SARIF, GitHub's commands and Markdown, against what their readers ask for."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from relrob.audit.policy import changed, default_policy, read_policy
from relrob.audit.rows import COLUMNS
from relrob.audit.rules import DIAGNOSES, OFF, RULES
from relrob.errors import StoreError
from relrob.report.audit.csv_file import rows_csv
from relrob.report.audit.github import tell, workflow_commands
from relrob.report.audit.junit import junit_xml
from relrob.report.audit.sarif import FINGERPRINT, sarif_json
from relrob.report.audit.words import markdown, terminal
from relrob.report.audit.write import OWN, audit_json, begin_in, write_audit
from relrob.report.run.csv_file import COLUMNS as RUN_COLUMNS
from tests.audit.made import LOST, made_document, made_rows, sampled

BLOCKED = made_document(blocking=("permuted-classes",))
UNDECIDED = made_document(
    policy=changed(
        default_policy(), {"max-lost": 2, "max-proved-lost": OFF, "max-accuracy-drop": "1%"}
    )
)
# The schema of Jenkins (jenkins-junit.xsd): attributes and children of each element.
JUNIT = {
    "testsuites": (
        {"name", "time", "tests", "failures", "errors", "disabled", "skipped"},
        {"testsuite"},
    ),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "skipped",
            "time",
            "timestamp",
            "id",
            "hostname",
            "package",
            "disabled",
            "group",
            "url",
            "file",
            "log",
            "version",
        },
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "classname", "time", "assertions", "status", "class", "group", "file", "line"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"message", "type"}, set[str]()),
    "error": ({"message", "type"}, set[str]()),
    "skipped": ({"message", "type"}, set[str]()),
    "system-out": (set[str](), set[str]()),
}


def check_junit(element: ElementTree.Element) -> None:
    """The schema, and that the counts are true."""
    attributes, children = JUNIT[element.tag]
    assert {*element.attrib} <= attributes, element.tag
    assert {child.tag for child in element} <= children, element.tag
    if element.tag in ("testsuite", "testsuites"):
        assert int(element.attrib["tests"]) == len(list(element.iter("testcase")))
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(element.attrib[name]) == len(list(element.iter(tag)))
    for child in element:
        check_junit(child)


@pytest.mark.parametrize("document", [made_document(), BLOCKED, UNDECIDED])
def test_junit_has_a_case_a_rule_and_is_valid(document: Mapping[str, Any]) -> None:
    root = ElementTree.fromstring(junit_xml(document))  # noqa: S314
    check_junit(root)
    cases = {case.attrib["name"]: [child.tag for child in case] for case in root.iter("testcase")}
    assert [*cases] == [rule["id"] for rule in document["rules"]]
    tags = {"failed": "failure", "cannot say": "error", "not measured": "skipped"}
    for rule in document["rules"]:
        wanted = [tags[rule["verdict"]]] if rule["verdict"] in tags else []
        assert cases[rule["id"]] == [*wanted, "system-out"]


def check_sarif(log: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of SARIF 2.1.0's schema that the file uses, and what GitHub asks for beyond it;
    returns the results."""
    assert {*log} == {"$schema", "version", "runs"} and log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert {*run} <= {"tool", "results", "columnKind", "automationDetails"}
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = run["tool"]["driver"]
    assert {*driver} <= {"name", "semanticVersion", "rules", "informationUri"}
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for rule in driver["rules"]:
        assert {*rule} == {
            "id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration",
            "properties",
        }  # fmt: skip
        for part in ("shortDescription", "fullDescription"):
            assert {*rule[part]} == {"text"} and 0 < len(rule[part]["text"]) <= 1024
        assert {*rule["help"]} == {"text", "markdown"}
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert rule["properties"]["precision"] in ("very-high", "high", "medium", "low")
        assert all(isinstance(tag, str) for tag in rule["properties"]["tags"])
    for result in run["results"]:
        assert {*result} == {
            "ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"
        }  # fmt: skip
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert {*result["message"]} == {"text"} and result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert not re.match(r"[a-z]+:|/", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] >= 1
        assert all(
            isinstance(key, str) and isinstance(value, str)
            for key, value in result["partialFingerprints"].items()
        )
    results: list[dict[str, Any]] = run["results"]
    return results


def test_sarif_has_a_result_a_failed_rule_and_none_an_image() -> None:
    off = {"max-accuracy-drop": OFF, "max-proved-lost": OFF}
    fine = made_document(policy=changed(default_policy(), off))
    assert (fine["verdict"], check_sarif(json.loads(sarif_json(fine)))) == ("ship", [])
    open_rules = {**fine, "rules": [{**rule, "passed": None} for rule in fine["rules"]]}
    assert fine["rules"] and check_sarif(json.loads(sarif_json(open_rules))) == []
    lost = [sampled(index, LOST) for index in range(30)]
    results = check_sarif(json.loads(sarif_json(made_document(lost))))
    assert [result["ruleId"] for result in results] == ["max-proved-lost"]
    both = check_sarif(json.loads(sarif_json(BLOCKED)))
    assert [each["ruleId"] for each in both] == [DIAGNOSES, "max-proved-lost"]


def test_a_fingerprint_stays_while_the_numbers_change() -> None:
    """And differs between rules and between files."""
    found = []
    for lost, path in ((4, "q.tflite"), (9, "q.tflite"), (9, "other.tflite")):
        document = made_document([sampled(index, LOST) for index in range(lost)], path=path)
        (result,) = check_sarif(json.loads(sarif_json(document)))
        found.append(result["partialFingerprints"][FINGERPRINT])
    assert found[0] == found[1] != found[2]
    prints = [
        each["partialFingerprints"][FINGERPRINT]
        for each in check_sarif(json.loads(sarif_json(BLOCKED)))
    ]
    assert len({*prints}) == len(prints) == 2


def test_results_point_at_the_line_of_the_policy_or_at_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "a policy.toml").write_text("[rules]\n\nmax-proved-lost = 0\n")
    policy = read_policy(tmp_path / "ci" / "a policy.toml")
    policy = changed(policy, {"max-accuracy-drop": "1%"})
    document = made_document(policy=policy, path=str(tmp_path / "q 8.tflite"))
    places = {}
    for result in check_sarif(json.loads(sarif_json(document))):
        place = result["locations"][0]["physicalLocation"]
        uri, line = place["artifactLocation"]["uri"], place["region"]["startLine"]
        places[result["ruleId"]] = (uri, line)
    assert places == {
        "max-accuracy-drop": ("q%208.tflite", 1),
        "max-proved-lost": ("ci/a%20policy.toml", 3),
    }
    lines = workflow_commands(document)
    assert lines[1].startswith(
        "::error file=ci/a policy.toml,line=3,title=relrob audit%3A max-proved-lost::"
    )


def test_annotations_are_one_line_each_and_escaped() -> None:
    lines = workflow_commands(UNDECIDED)
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::warning"]
    assert "5.00%25 of 20 images" in lines[0]
    assert all("\n" not in line for line in lines)


def test_the_summary_of_the_job_is_appended(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    told = tell(BLOCKED, {"GITHUB_STEP_SUMMARY": str(page)})
    assert told == workflow_commands(BLOCKED)
    assert page.read_text() == "before\n" + markdown(BLOCKED)
    assert tell(BLOCKED, {}) == told
    with pytest.raises(StoreError, match="cannot write"):
        tell(BLOCKED, {"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_words() -> None:
    told = terminal(BLOCKED)
    assert told.startswith("DO NOT SHIP\n\nOf 10 images where the reference is robust, ")
    assert "FAILED  max-proved-lost          1 of 10, at most 5%" in told
    assert max(map(len, told.splitlines())) <= 80
    page = markdown(BLOCKED)
    assert page.startswith("# relrob audit: do not ship\n")
    assert "permuted-classes \\<b\\>\\|" in page
    assert "| relative robustness | 70.0 to 90.0% |" in page


def test_the_lines_of_images_are_those_of_a_run(tmp_path: Path) -> None:
    """With clean labels for every image."""
    assert [name for name in RUN_COLUMNS if name in COLUMNS] == list(COLUMNS[:15])
    rows = made_rows()
    lines = list(csv.DictReader(rows_csv(rows).splitlines()))
    assert [line["index"] for line in lines] == [str(index) for index in range(20)]
    assert (lines[3]["set"], lines[12]["set"], lines[12]["quantised_label"]) == ("R^FP", "", "0")
    text = write_audit(tmp_path, made_document(rows), rows)
    assert (tmp_path / "audit.json").read_text() == text
    digest = hashlib.sha256((tmp_path / "images.csv").read_bytes()).hexdigest()
    assert json.loads(text)["files"] == {"images.csv": digest}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit.json", "audit.sarif", "images.csv", "junit.xml", "table.md"
    ]  # fmt: skip


def test_the_document_is_sorted_and_has_times_under_one_key() -> None:
    document = made_document()
    text = audit_json(document)
    assert list(json.loads(text)) == sorted(document)
    document["seconds"] = {"audit": 99.0}
    other = audit_json(document)
    assert [one for one in text.splitlines() if one not in other.splitlines()] == [
        '    "audit": 1.0'
    ]
    assert rows_csv(made_rows()) == rows_csv(reversed(made_rows()))


def test_an_audit_begins_where_nobody_has_files(tmp_path: Path) -> None:
    """A verdict of an earlier audit is gone while another one is at work."""
    begin_in(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    write_audit(tmp_path / "old", made_document(), made_rows())
    assert {path.name for path in (tmp_path / "old").iterdir()} == OWN - {"run", "report.html"}
    begin_in(tmp_path / "old")
    begin_in(tmp_path / "old")  # as after an interruption
    assert not (tmp_path / "old" / "audit.json").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.md").write_text("mine")
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="has files but no audit"):
        begin_in(tmp_path / "mine")
    with pytest.raises(StoreError, match="not a directory"):
        begin_in(tmp_path / "mine" / "notes.txt")


def test_every_rule_has_words() -> None:
    for rule in RULES:
        assert rule.measures[0].islower() and not rule.measures.endswith(".")
        assert rule.mend and rule.of
