"""Paths that a terminal could obey are printed escaped, on a terminal with colours too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from relrob.cli.common import say
from relrob.cli.main import group
from relrob.store.stage_archive import pack
from tests.store.test_stage_archive import FIRST, make
from tests.support import ROOT

BAD = "run\x1b[2J\u202e"


def test_words_are_escaped_and_lines_stay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # click takes escapes out where it writes to no terminal.
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    say(f"\nRun directory: {BAD} caf\udce9 \u00e9")
    assert capsys.readouterr().out == ("\nRun directory: run\\u001b[2J\\u202e caf\\xe9 \u00e9\n")


def test_a_study_that_is_carried_says_its_path_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("study"), FIRST, "one", [{"value": 1}])
    pack(Path("study"), Path("stages.zip"))
    done = CliRunner().invoke(group, ["study", "import", "stages.zip", "--out", BAD], color=True)
    assert done.exit_code == 0, done.output
    assert done.output == "1 stages added to run\\u001b[2J\\u202e, 0 were there already\n"


def unescaped(text: str) -> list[str]:
    """The calls of click.echo with a path in a formatted text."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.echo":
            for part in ast.walk(node.args[0]) if node.args else ():
                told = ast.unparse(part) if isinstance(part, ast.FormattedValue) else ""
                if any(word in told for word in ("directory", "output", "out}", "folder", "path")):
                    found.append(ast.unparse(node))
    return found


def test_no_command_prints_a_path_as_it_is() -> None:
    assert unescaped('click.echo(f"Run directory: {result.directory}")')
    assert unescaped('click.echo(f"{added} stages added to {out}, {there}")')
    for path in sorted((ROOT / "relrob" / "cli").glob("*.py")):
        assert not unescaped(path.read_text(encoding="utf-8")), path.name
