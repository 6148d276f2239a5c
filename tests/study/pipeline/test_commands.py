"""`relrob study` on studies of stages: run, show, export and import as users type them."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import relrob
from relrob.api import pipeline as api
from relrob.cli.study import command
from relrob.errors import UsageError
from relrob.study.pipeline.spec import read_pipeline
from tests.study.pipeline.toy import KINDS, TEXT


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with toy.toml, whose stages add numbers."""
    monkeypatch.setattr(api, "read_pipeline", partial(read_pipeline, kinds=KINDS))
    monkeypatch.setattr(api, "is_pipeline", lambda given: "number" in given)
    (tmp_path / "toy.toml").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def shown(*words: str) -> Any:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_study_is_run_shown_carried_and_gone_on_with(there: Path) -> None:
    found = shown("run", "toy.toml", "--out", "s", "--workers", "1", "--json")
    assert (found["study"], found["profile"]) == ("toy", "small")
    assert [(g["group"], g["done"], g["stages"]) for g in found["groups"]] == [
        ("a", 4, 4), ("b", 2, 2), ("both", 8, 8)
    ]  # fmt: skip
    assert found["groups"][2]["rows"][0] == {"factor": 1, "value": 15, "seed": 0} | {"value": 15.0}
    assert shown("export", "s", "-o", "s.zip", "--json") == {"path": "s.zip", "stages": 14}
    assert shown("import", "s.zip", "--out", "t", "--json")["added"] == 14
    again = shown("run", "toy.toml", "--out", "t", "--workers", "1", "--profile", "large", "--json")
    assert [group["done"] for group in again["groups"]] == [6, 3, 12]


def test_every_format_has_every_row(there: Path) -> None:
    assert run("run", "toy.toml", "--out", "s", "--workers", "1", "-q").exit_code == 0
    rows = list(csv.DictReader(io.StringIO(run("show", "s", "--format", "csv").stdout)))
    assert [row["group"] for row in rows] == ["a"] * 4 + ["b"] * 2 + ["both"] * 8
    assert [float(row["value"]) for row in rows[:6]] == [10, 11, 20, 21, 5, 6]
    markdown = run("show", "s").stdout
    assert "## both" in markdown
    assert "8 of 8 stages done." in markdown
    assert markdown.count("\n| 10 | 0 |") == 1
    latex = run("show", "s", "--format", "latex").stdout
    assert latex.count(r"\begin{tabular}") == 3
    assert len(shown("show", "s", "--format", "json")["groups"]) == 3


def test_a_study_in_python_has_the_rows_as_records(there: Path) -> None:
    result = relrob.study("toy.toml", out="s", workers=1, only=["b"])
    assert result.cells == ()
    assert [line[:3] for line in result.lines] == [("b", 0, 5), ("b", 1, 6)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--images", "0:2"), "--images has no effect on stages"),
        (("--rerun", "always"), "--rerun has no effect on stages"),
        (("--reference", "mnist=x.keras"), "REFERENCE has no effect on stages"),
        (("--profile", "huge"), "no profile 'huge'; accepted: small, large"),
        (("--only", "c"), "group 'c'; accepted: a, b, both"),
    ],
)
def test_no_option_is_ignored(there: Path, words: tuple[str, ...], says: str) -> None:
    result = run("run", "toy.toml", "--out", "s", *words)
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)


def test_a_profile_for_a_study_of_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a study of runs"):
        relrob.study("duncan2020", out=tmp_path, profile="quick")


def test_stages_are_exported_as_zip_alone(there: Path) -> None:
    assert run("run", "toy.toml", "--out", "s", "--only", "b", "-q").exit_code == 0
    result = run("export", "s", "-o", "s.csv")
    assert isinstance(result.exception, UsageError)
    assert "ends in .zip" in str(result.exception)


def test_groups_are_exported_alone_and_without_some_files(there: Path) -> None:
    assert run("run", "toy.toml", "--out", "s", "-q").exit_code == 0
    assert shown("export", "s", "-o", "a.zip", "--only", "a", "--json")["stages"] == 4
    assert shown("export", "s", "-o", "b.zip", "--without", "value.txt", "--json")["stages"] == 14
    assert shown("import", "b.zip", "--out", "t", "--json")["added"] == 14
    result = run("export", "s", "-o", "a.zip", "--only", "c")
    assert isinstance(result.exception, UsageError)
    assert "group 'c'; accepted: a, b, both" in str(result.exception)
