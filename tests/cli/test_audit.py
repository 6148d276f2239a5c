"""`relrob audit` on tiny networks: the documents' commands, exit codes, a baseline, an interrupted
audit, a GitHub job, and the same in Python."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import relrob
from relrob.api.results import AuditResult
from relrob.audit.policy import default_policy, policy_of
from relrob.cli.main import group
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import draw
from relrob.errors import AlarmError, RelrobError
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.registry import load
from relrob.store.summary import Summary
from relrob_datasets import load as load_images
from tests.cli_case import environment, make_case
from tests.support import ROOT, random_dense

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FAST = ("--time", "20s", "--workers", "1")
TINY = ("--radius", "1/1000", "--step", "1", "--features", "2", "--axes", "4")
PAIR = ("model.onnx", "model_int8.onnx", "--dataset", "images.npz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair under the names of the documents, a policy, and a pair that must not be shipped."""
    made = make_case(tmp_path_factory.mktemp("audit"))
    here = made.folder
    for old, new in (("ref.onnx", "model.onnx"), ("q.onnx", "model_int8.onnx")):
        (here / old).rename(here / new)
    (here / "data.npz").rename(here / "images.npz")
    (here / "policy.toml").write_text("[rules]\nmax-proved-lost = '50%'\n")
    (here / "other.onnx").write_bytes(to_onnx(random_dense(12, (64, 24, 16, 4))))
    return here


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the working directory, no CI around."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RELROB_CACHE", str(folder / "cache"))
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def run(*words: str) -> int:
    """The exit code of `relrob WORDS`, in this process."""
    try:
        group.main(args=list(words), prog_name="relrob", standalone_mode=False)
    except SystemExit as error:
        return int(error.code or 0)
    except RelrobError as error:
        print(f"relrob: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def commands(name: str, kind: str) -> Iterator[list[str]]:
    """Command lines of relrob in blocks of a document."""
    for found, text in FENCE.findall((ROOT / "docs" / name).read_text(encoding="utf-8")):
        for line in text.splitlines() if found == kind else ():
            words = line.strip().removeprefix("- ").removeprefix("run: ").partition("||")[0]
            if words.startswith("relrob "):
                yield shlex.split(words)[1:]


@pytest.mark.parametrize(("name", "kind"), [("audit.md", "sh"), ("ci.md", "yaml"), ("ci.md", "sh")])
def test_every_command_of_the_documents_runs(
    here: Path,
    name: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for path in here.glob("*.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = list(commands(name, kind))
    assert lines
    for words in lines:
        one = [*words, *(() if "--print-policy" in words else ("--workers", "1"))]
        if "--interval" not in words and "--print-policy" not in words and "--images" not in words:
            one += ["--images", "0:6"]
        code = run(*one)
        assert code in (0, 1, 3), (words, capfd.readouterr())


def test_the_python_of_the_documents_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    for kind, code in FENCE.findall(text):
        if kind == "python":
            exec(code, names)  # noqa: S102
    names["test_the_model_may_be_shipped"]()
    assert "images" in capsys.readouterr().out
    assert isinstance(names["document"], dict)


def test_a_job_on_github_runs_as_the_workflow_has_it(here: Path, tmp_path: Path) -> None:
    """With the variables of GitHub: annotations on standard output, the page in the summary."""
    words = next(commands("ci.md", "yaml"))
    words[words.index("model_int8.onnx")] = "other.onnx"
    summary = tmp_path / "summary.md"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(
        [sys.executable, "-m", "relrob", *words, "--out", str(tmp_path / "audit"), *FAST],
        cwd=here,
        env={**environment(here, here / "cache"), **github},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "DO NOT SHIP"), done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert lines and all(
        re.fullmatch(r"::(error|warning) file=[\w./-]+,line=\d+,title=[^:]+::.+", line)
        for line in lines
    )
    assert any("file=other.onnx,line=1" in line for line in lines)
    assert summary.read_text().startswith("# relrob audit: do not ship")
    assert "robustness is not run" in done.stderr


@pytest.fixture(scope="module")
def audited(folder: Path) -> AuditResult:
    """The pair's audit in Python."""
    return relrob.audit(
        folder / "model.onnx",
        folder / "model_int8.onnx",
        dataset=str(folder / "images.npz"),
        time="20s",
        out=folder / "first",
    )


def test_an_audit_in_python_has_records_of_all_images(audited: AuditResult) -> None:
    assert audited.verdict in ("ship", "do not ship") and audited.passed == (audited.exit_code == 0)
    document = audited.json()
    assert json.loads((audited.directory / "audit.json").read_text()) == document
    assert len(audited.records) == 40 == document["dataset"]["images"]
    assert {"agreement", "diagnosis"} <= {*document["pair"]}
    assert document["robustness"]["images"] == 40
    with pytest.raises(dataclasses.FrozenInstanceError):
        audited.verdict = "ship"  # type: ignore[misc]
    sets = document["robustness"]["sets"]
    assert sum(record.set == "L_ic" for record in audited.records) == sets["L_ic"]
    assert [*audited.directory.glob("*")] != []
    tree = ElementTree.parse(audited.directory / "junit.xml")  # noqa: S314
    assert len(list(tree.iter("testcase"))) == len(audited.rules)
    page = (audited.directory / "table.md").read_text()
    assert page.startswith("# relrob audit: ") and "\n## The runtimes\n" in page


def test_bounds_are_those_of_the_run(audited: AuditResult) -> None:
    """The rule min-relative and summary.json, which other code counts."""
    policy = policy_of({"rules": {"min-relative": "50%"}})
    facts = load("relrob.audit.facts:facts_of")(audited.records)
    rules = {rule.id: rule for rule in load("relrob.audit.gate:judge")(policy, facts)}
    measured = rules["min-relative"].measured
    assert isinstance(audited.summary, Summary) and measured is not None
    bounds = audited.summary.relative_robustness_bounds
    assert bounds is not None
    assert [float(end) for end in measured.exact] == pytest.approx([*bounds], abs=1e-6)


def test_an_audit_resumes_and_gives_the_same_bytes(
    here: Path, audited: AuditResult, capfd: pytest.CaptureFixture[str]
) -> None:
    """As after an interruption: the run is there, the files are not."""
    before = {path.name: path.read_bytes() for path in audited.directory.glob("*.*")}
    for name in before:
        (audited.directory / name).unlink()
    events: list[relrob.Event] = []
    again = relrob.audit(
        here / "model.onnx",
        here / "model_int8.onnx",
        dataset=str(here / "images.npz"),
        time="20s",
        out=audited.directory,
        listener=events.append,
    )
    assert any("resuming: 40 of 40" in event.text for event in events)
    assert {event.stage for event in events} >= {"note", "images"}
    after = {path.name: path.read_bytes() for path in again.directory.glob("*.*")}
    for name in ("images.csv", "junit.xml", "table.md", "audit.sarif"):
        assert after[name] == before[name], name
    one, other = (json.loads(files["audit.json"]) for files in (before, after))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_default_policy_fed_back_gives_the_same_audit(
    here: Path, audited: AuditResult, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", "--print-policy") == 0
    (here / "printed.toml").write_text(capfd.readouterr().out)
    code = run("audit", *PAIR, *FAST, "--policy", "printed.toml", "--out", "first", "--json")
    document = json.loads(capfd.readouterr().out)
    assert code == audited.exit_code
    assert document["rules"] == audited.json()["rules"]
    assert {*document["policy"]["lines"]} > {"max-lost"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--min-agreement", "0%", "--max-accuracy-drop", "100%", "--max-proved-lost", "40"], 0),
        (["--max-undecided", "100%", "--min-relative", "0%", "--max-proved-lost", "off",
          "--max-accuracy-drop", "off"], 0),
        (["--min-agreement", "100%", "--max-clean-regressions", "0"], None),
    ],
)  # fmt: skip
def test_options_are_rules(
    here: Path,
    audited: AuditResult,
    words: list[str],
    code: int | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = run("audit", *PAIR, *FAST, *words, "--out", "first", "-q")
    assert capfd.readouterr().out == ""
    differ = any(row.reference_label != row.quantised_label for row in audited.records)
    assert found == (int(differ) if code is None else code)


def test_another_network_fails_by_its_name_and_robustness_is_not_run(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["audit", "model.onnx", "other.onnx", "--dataset", "images.npz", *FAST]
    assert run(*words, "--out", "wrong", "--json") == 1
    document = json.loads(capfd.readouterr().out)
    assert document["verdict"] == "do not ship"
    assert document["sentence"].endswith("; so robustness was not run")
    assert document["robustness"]["skipped"] and not (here / "wrong" / "run").exists()
    (rule,) = [each for each in document["rules"] if each["id"] == "allowed-diagnoses"]
    assert rule["measured"] and rule["passed"] is False
    assert run(*words, "--out", "wrong", "--max-lost", "3", "--json") == 1


def test_only_new_regressions_fail_against_a_baseline(
    here: Path, audited: AuditResult, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every fault of the first audit is known in the second."""
    strict = ["--max-clean-regressions", "0", "--max-proved-lost", "0", "--min-agreement", "100%"]
    words = ["audit", *PAIR, *FAST, *strict, "--out", "second", "--json"]
    assert run(*words, "--baseline", "first") == 0
    document = json.loads(capfd.readouterr().out)
    assert document["baseline"]["new"] == [] and document["baseline"]["path"] == "first"
    assert "since the baseline, newly lost: none" in " ".join(document["sentences"])
    assert run(*words, "--baseline", "first", "--region", "linf-1", "--out", "third") == 2
    assert "is of another region" in capfd.readouterr().err


def test_a_baseline_whose_diagnosis_passes_does_not_spare_the_robustness(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its fault is known, and says nothing of the images that are lost now."""
    data = load_images(str(here / "images.npz"), "test")
    other = load_network(here / "other.onnx", image_shape=(8, 8, 1), classes=4)
    (here / "other_int8.onnx").write_bytes(quantised_bytes(other, "qdq", draw(data, 20), (8, 8, 1)))
    words = ["audit", "model.onnx", "other_int8.onnx", "--dataset", "images.npz", *FAST]
    assert run(*words, "--images", "0:8", "--out", "blocked") == 1
    old = json.loads((here / "blocked" / "audit.json").read_text())
    assert old["robustness"]["skipped"] == "another-network"
    capfd.readouterr()
    code = run(*words, "--images", "0:8", "--baseline", "blocked", "--out", "known", "--json")
    document = json.loads(capfd.readouterr().out)
    assert "skipped" not in document["robustness"]
    (rule,) = [each for each in document["rules"] if each["id"] == "max-proved-lost"]
    assert rule["verdict"] == "failed" and code == 1


WRONG: list[tuple[list[str], str]] = [
    ([], "REFERENCE QUANTISED"),
    (["model.onnx"], "REFERENCE QUANTISED"),
    ([*PAIR, "--time", "soon"], "time 'soon'"),
    ([*PAIR, "--interval", "70"], "interval"),
    ([*PAIR, "--interval", "20", "--images", "0:4"], "beside images; accepted: one of the two"),
    ([*PAIR, "--policy", "none.toml"], "cannot read none.toml"),
    ([*PAIR, "--max-lost", "many"], "max-lost = 'many'"),
    ([*PAIR, "--allow", "rust"], "diagnosis 'rust'; accepted: another-network"),
    ([*PAIR, "--baseline", "nowhere"], "cannot read nowhere/audit.json"),
    ([*PAIR, "--images", "0:0"], "is empty"),
    ([*PAIR, "--region", "search", "--radius", "1", "--step", "1"], "which proves nothing"),
    ([*PAIR, "--step", "1/4"], "--step has no effect"),
    ([*PAIR, "--out", "images.npz"], "images.npz"),
    (["model_int8.onnx", "model.onnx", "--dataset", "images.npz"], "try: the other order"),
]


@pytest.mark.parametrize(("words", "line"), WRONG, ids=[line for _, line in WRONG])
def test_wrong_use_is_one_line(
    here: Path, words: list[str], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", *words, "-q") == 2
    told = capfd.readouterr()
    assert line in told.err and told.err.count("\n") == 1 and told.out == ""


def test_what_is_refused_leaves_the_verdict_of_an_earlier_audit(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = here / "kept" / "audit.json"
    old.parent.mkdir()
    old.write_text("{}")
    for words, line in (
        (["--attacks", "magic"], "attack 'magic'"),
        (["--solver", "magic"], "solver 'magic'"),
        (["--region", "ladder", *TINY], "is the image alone"),
    ):
        assert run("audit", *PAIR, *words, "--images", "0:2", "--out", "kept", "-q") == 2
        assert line in capfd.readouterr().err
        assert old.read_text() == "{}"


def test_a_name_that_is_no_utf8_is_audited_and_shown(here: Path) -> None:
    name = os.fsdecode(b"q\xff.onnx")
    shutil.copy("model_int8.onnx", name)
    result = relrob.audit(
        "model.onnx", name, dataset="images.npz", images="0:1", time="20s", workers=1, out="named"
    )
    document = json.loads((here / "named" / "audit.json").read_text(encoding="utf-8"))
    assert document["quantised"]["path"] == document["pair"]["quantised"]["path"] == "q\\xff.onnx"
    assert "model.onnx $'q\\xff.onnx'" in document["command"]
    assert (result.directory / "report.html").is_file()


def test_images_that_are_not_there_are_named(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("audit", *PAIR, "--images", "0:99999", "--region", "ladder", *TINY) == 2
    assert "images 0:99999: the set has" in capfd.readouterr().err


def test_an_alarm_leaves_no_verdict(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def alarm(*_: object) -> None:
        raise AlarmError("a spot check speaks against a proof")

    monkeypatch.setattr("relrob.api.audit.verify_plan", alarm)
    assert run("audit", *PAIR, *FAST, "--out", "alarm") == 4
    assert not (here / "alarm" / "audit.json").exists()


def test_results_are_mappings_and_values(here: Path) -> None:
    found = relrob.verify(
        "model.onnx", "model_int8.onnx", dataset="images.npz", radius=3, step="1/2", images="0:4",
        features=8, axes=3, out="verified",
    )  # fmt: skip
    assert found["sets"] == found.summary.sets.json() and found["directory"] == "verified"
    assert {**found} == {**found.json(), "directory": "verified"}
    assert [record.index for record in found.records] == [0, 1, 2, 3]
    assert all(path.suffix == ".npz" and path.is_file() for path in found.witnesses)
    fooled = sum(
        (record.reference_verdict == "NOT_ROBUST") + (record.quantised_verdict == "NOT_ROBUST")
        for record in found.records
    )
    assert len(found.witnesses) == fooled
    assert relrob.table("verified", format="csv").count("\n") >= 2


def test_a_table_needs_pandas(audited: AuditResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RelrobError, match=r"pandas is not installed; try: pip install 'relrob\["):
        audited.to_pandas()

    class Pandas:
        DataFrame = list

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    assert [line["index"] for line in audited.to_pandas()] == list(range(40))


def test_packages_are_called_like_functions() -> None:
    """And stay packages."""
    assert relrob.audit.policy.default_policy() == default_policy()  # type: ignore[attr-defined]
    with pytest.raises(RelrobError, match="study 'none'"):
        relrob.study("none")
    assert np.isfinite(load("relrob.study.run:worker_count")("1"))
    with pytest.raises(RelrobError):
        load_network(ROOT / "README.md", image_shape=(8, 8, 1), classes=4)
