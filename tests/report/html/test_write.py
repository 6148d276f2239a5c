"""report.html as commands write it: from their directories alone, the same bytes each time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import relrob
from relrob.api.explain import explain
from relrob.api.page import page
from relrob.api.study import run_named, table_text
from relrob.errors import StoreError
from tests.cli_case import Case, relrob_command
from tests.report.html.test_run_page import Text
from tests.study.grids import study_file
from tests.support import ROOT


@pytest.fixture(scope="module")
def run(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with attacks."""
    folder = tmp_path_factory.mktemp("page")
    relrob.verify(
        case.reference,
        case.simulated,
        dataset=str(case.data),
        region="linf",
        radius="0.05",
        images="0:8",
        attacks="fgsm:eps=0.1",
        out=folder / "run",
    )
    return folder / "run"


def test_verify_writes_a_page_that_needs_no_network_and_no_data(run: Path, tmp_path: Path) -> None:
    first = (run / "report.html").read_bytes()
    copy = shutil.copytree(run, tmp_path / "elsewhere")
    for name in ("report.html", "table.md", "images.csv"):
        (copy / name).unlink()
    assert page(copy).read_bytes() == first
    words = Text(first.decode()).words
    assert "relrob verify" in words["provenance"] and "--region linf" in words["provenance"]
    assert "Layer by layer" in words["layers"] and "fgsm" in words["attacks"]
    ids = Text(first.decode()).ids
    assert [each for each in ids if re.fullmatch(r"i\d+", each)] == [f"i{n}" for n in range(8)]


def test_the_same_command_gives_the_same_bytes(run: Path, case: Case, tmp_path: Path) -> None:
    arguments = [
        *("verify", str(case.reference), str(case.simulated), "--dataset", str(case.data)),
        *("--region", "linf", "--radius", "0.05", "--images", "0:8", "--attacks", "fgsm:eps=0.1"),
    ]
    relrob_command([*arguments, "--workers", "2", "--out", "again", "--quiet"], tmp_path)
    assert (tmp_path / "again" / "report.html").read_bytes() == (run / "report.html").read_bytes()


def test_relrob_page_writes_elsewhere_and_says_where(run: Path, tmp_path: Path) -> None:
    done = relrob_command(["page", str(run), "-o", "one.html", "--json"], tmp_path)
    assert json.loads(done.stdout) == {"pages": ["one.html"]}
    assert (tmp_path / "one.html").read_bytes() == (run / "report.html").read_bytes()


def test_a_directory_that_holds_nothing_finished_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished run"):
        page(tmp_path)
    shutil.copy(run / "store.sqlite", tmp_path)
    with pytest.raises(StoreError, match=r"no summary\.json"):
        page(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        page(tmp_path)


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            put("dataset", "name", value="imagenet"),
            r"dataset\.name is .* and 'imagenet' here",
        ),
        (put("dataset", "sha256", value="0" * 64), r"dataset\.sha256"),
        (put("dataset", "images", value=1), "images is 1"),
        (put("dataset", "images", value=True), "images is True"),
        (put("dataset", "notes", value="one"), r"dataset\.notes is no list"),
        (put("dataset", "range", value="0:2"), r"dataset\.range is absent there"),
        (put("dataset", "classes", value=[1] * 10), r"dataset\.classes is no list"),
        (put("run", value="0" * 64), "run is"),
        (put("quantised", "scheme", value="int4"), r"quantised\.scheme"),
        (put("quantised", "runtime", value="builtin"), r"quantised\.runtime"),
        (put("quantised", "sha256", value="0" * 64), r"quantised\.sha256"),
        (put("quantised", "accuracy", value=float("nan")), "NaN is no number"),
        (put("quantised", "accuracy", value=1.5), r"quantised\.accuracy is 1\.5, not in"),
        (put("quantised", "accuracy", value="0.9"), r"quantised\.accuracy is '0\.9'"),
        (put("quantised", "path", value=3), r"quantised\.path is no text"),
        (put("quantised", value=3), "is damaged"),
        (put("reference", "input", value={"scale": "255"}), r"reference\.input\.scale"),
        (put("region", "radius", value=0.9), r"region\.radius"),
        (put("region", "exact", "radius", value="9/10"), r"region\.exact\.radius"),
        (put("arithmetic", value="integer"), "arithmetic"),
        (put("effective_rule", value="farthest"), "effective_rule"),
    ],
)
def test_a_header_that_is_not_that_of_the_store_is_shown_nowhere(
    run: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    document = json.loads((copy / "summary.json").read_text())
    change(document)
    (copy / "summary.json").write_text(json.dumps(document))
    for show in (page, lambda place: table_text([place], "csv")):
        with pytest.raises(StoreError, match=words) as caught:
            show(copy)
        assert str(copy / "summary.json") in str(caught.value)


def test_attacks_on_a_page_are_those_of_the_store(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    whole = json.loads((copy / "summary.json").read_text())
    for edited in ({**whole, "attacks": {**whole["attacks"], "seed": 9}}, dict(whole)):
        if edited == whole:
            del edited["attacks"]
        (copy / "summary.json").write_text(json.dumps(edited))
        with pytest.raises(StoreError, match="attacks"):
            page(copy)


def test_counts_on_a_page_are_those_of_the_store(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    document = json.loads((copy / "summary.json").read_text())
    first = (copy / "report.html").read_bytes()
    document |= {"sets": dict.fromkeys(document["sets"], 1), "relative_robustness": 1.0}
    (copy / "summary.json").write_text(json.dumps(document))
    assert page(copy).read_bytes() == first


@pytest.mark.parametrize("data", [b"[" * 200_000, b"\xff{}", b"9" * 5000, b"[]"])
def test_a_damaged_summary_is_one_line_in_every_command(
    run: Path, tmp_path: Path, data: bytes
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "summary.json").write_bytes(data)
    for show in (page, lambda place: table_text([place], "csv"), lambda place: explain(place, 0)):
        with pytest.raises(StoreError, match=r"summary\.json is damaged"):
            show(copy)


def test_an_audit_has_a_page_with_every_rule_and_every_image(case: Case, tmp_path: Path) -> None:
    result = relrob.audit(
        case.reference,
        case.simulated,
        dataset=str(case.data),
        images="0:3",
        time="20s",
        max_lost=0,
        out=tmp_path / "audit",
    )
    text = (tmp_path / "audit" / "report.html").read_text()
    found = Text(text)
    document = result.json()
    assert {"ship": "Ship", "do not ship": "Do not ship", "cannot say": "Cannot say"}[
        result.verdict
    ] in found.words["verdict"]
    for rule in document["rules"]:
        assert rule["id"] in found.words["rules"]
    for each in document["runtimes"]["runtimes"]:
        assert each["runtime"] in found.words["runtimes"]
    assert "--max-lost 0" in found.words["provenance"]
    assert {f"i{index}" for index in range(3)} <= set(found.ids)
    assert "both right" in found.words["others"]
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    again = page(tmp_path / "audit", tmp_path / "again.html").read_text()
    assert again == text
    assert result.verdict.capitalize() in result._repr_html_()


def test_a_study_has_a_page_with_every_cell(case: Case, tmp_path: Path) -> None:
    path = study_file(case, tmp_path, "0:6")
    run_named(str(path), tmp_path / "study")
    text = (tmp_path / "study" / "report.html").read_text()
    words = Text(text).words
    assert "A small | study" in words["verdict"]
    assert words["cells"].count("xnnpack") + words["cells"].count("onnxruntime") >= 4
    assert "lost" in words and "provenance" in words
    assert page(tmp_path / "study", tmp_path / "again.html").read_text() == text


def test_a_result_shows_its_head_in_a_notebook(run: Path, case: Case) -> None:
    result = relrob.verify(
        case.reference,
        case.simulated,
        dataset=str(case.data),
        region="linf",
        radius="0.05",
        images="0:8",
        attacks="fgsm:eps=0.1",
        out=run,
    )
    shown = result._repr_html_()
    assert "relative robustness" in shown and "<script" not in shown
    assert shown.count("<div") == shown.count("</div")


def test_no_template_engine_is_imported_until_a_page_is_written() -> None:
    program = (
        "import sys, relrob.api.verify, relrob.api.audit, relrob.api.study, relrob.api.page; "
        "print({'jinja2', 'markupsafe', 'PIL'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
