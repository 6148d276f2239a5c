"""The pages for users: every command in a block marked `sh` runs, in the order of the page, with
the files of the tour."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import relrob
from relrob.cli.main import group
from relrob.errors import RelrobError
from tests.support import ROOT
from tests.test_docs import FENCE

PAGES = ("start", "verdicts", "howto", "faq", "tutorial-certificate", "tutorial-paper")
# Commands that make more than one process unless told otherwise.
PARALLEL = {"verify", "audit", "study run"}
TOUR = "relrob demo --out tour"


def commands(page: str) -> list[str]:
    """The lines of blocks marked `sh`."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return [
        line
        for kind, block in FENCE.findall(text)
        for line in (block.splitlines() if kind == "sh" else ())
        if line.strip()
    ]


def code(words: list[str]) -> int:
    """The exit code of a command, in this process."""
    if words[0] in PARALLEL or " ".join(words[:2]) in PARALLEL:
        words = [*words, "--workers", "1"]
    try:
        group.main(args=words, prog_name="relrob", standalone_mode=False)
    except SystemExit as error:
        return int(error.code or 0)
    except RelrobError as error:
        return error.exit_code
    return 0


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that `relrob demo --out tour` makes, and a cache of this module's own."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELROB_CACHE", str(folder / "cache"))
        relrob.demo(folder / "tour")
        yield folder / "tour"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(
    page: str,
    toured: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(page)
    assert lines
    if any(TOUR in line for line in lines):
        shutil.copytree(toured, tmp_path / "tour")
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "relrob", line
        allowed = (0, 1, 3) if words[1] == "audit" else (0,)
        if line != TOUR:
            assert code(words[1:]) in allowed, (line, capsys.readouterr())


def test_blocks_that_do_not_run_say_so() -> None:
    """A block of another kind than sh that holds commands is marked text."""
    for page in (*PAGES, "building"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for kind, block in FENCE.findall(text):
            assert kind in ("sh", "text", "python"), page
            assert kind != "python" or "relrob " not in block.replace(">>> import relrob", "")
