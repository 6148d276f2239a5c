"""Completion at Tab: by click's protocol for each shell, and in a real bash."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from relrob.cli import completion
from relrob.cli.main import group
from relrob.compress.table import QUANTISERS, scheme
from relrob.domain.region import KINDS
from relrob.networks.shapes import LAYOUTS
from relrob.registry import EVALUATORS, SOLVERS
from relrob.relative.sets import Effective
from relrob.study.campaign import RERUNS
from relrob.study.spec import builtin
from relrob.training.architectures import ARCHITECTURES
from relrob_datasets.manifest import MANIFESTS
from tests.cli_case import environment

NAME = "_RELROB_COMPLETE"


def offered(line: str) -> tuple[set[str], bool]:
    """The words offered after a line of words, the last one begun; and whether files are."""
    *words, start = line.split(" ")
    found = ShellComplete(group, {}, "relrob", NAME).get_completions(words, start)
    files = any(each.type == "file" for each in found)
    return {each.value for each in found if each.type == "plain"}, files


SOLVER_WORDS = {"auto", *(entry.method for entry in SOLVERS)}
VALUES: list[tuple[str, set[str]]] = [
    ("verify --region ", {*KINDS, "linf-1", "linf-2", "linf-4", "linf-8", "ladder-paper"}),
    ("verify --region linf-", {"linf-1", "linf-2", "linf-4", "linf-8"}),
    ("verify --solver ", SOLVER_WORDS),
    ("verify --runtime ", {entry.name for entry in EVALUATORS}),
    ("verify --reference-runtime re", {"real", "reference"}),
    ("verify --quantise int", {"int8", "int8-per-tensor", "int16x8"}),
    ("verify --effective ", set(Effective)),
    ("verify --grid ", {"exact", "8bit"}),
    ("verify --attacks fgsm,pg", {"fgsm,pgd"}),
    ("verify --layout ", set(LAYOUTS)),
    ("verify --split ", {"train", "test"}),
    ("study run --rerun ", set(RERUNS)),
    ("study show --format ", {"markdown", "csv", "latex", "json"}),
    ("table --format c", {"csv"}),
    ("train --arch ", {each.name for each in ARCHITECTURES}),
    ("train --profile ", {"quick", "full"}),
    ("train --augment c", {"crop", "colours", "cutout"}),
    ("train --compress d", {"dorefa:2"}),
    ("quantise --scheme q", {"qdq", "q:8:2", "q-integer:8:2"}),
    ("quantise --calibration-split t", {"train", "test"}),
    ("audit --labels ", {"given", "reference"}),
    ("verify --channels ", {"rgb", "bgr"}),
    ("audit --images-layout ", set(LAYOUTS)),
    ("runtimes --layout h", {"hwc"}),
    ("runtimes --split te", {"test"}),
    ("runtimes --runtimes ref", {"reference"}),
    ("runtimes --runtimes xnnpack,b", {"xnnpack,builtin"}),
    ("audit --allow st", {"stale-weights"}),
    ("audit --region linf-", {"linf-1", "linf-2", "linf-4", "linf-8"}),
    ("attack n --attack ap", {"apgd-ce", "apgd-t"}),
    ("attack n --filter ", {"none", "source_correct"}),
    ("transfer --filter b", {"both_correct"}),
    ("transfer --target-label ", {"next", "random", "least"}),
    ("attacks pg", {"pgd"}),
    ("datasets get ", {each.name for each in MANIFESTS}),
]


@pytest.mark.parametrize(("line", "words"), VALUES, ids=[line for line, _ in VALUES])
def test_values_of_options_complete(line: str, words: set[str]) -> None:
    assert offered(line) == (words, False)


def test_every_scheme_that_is_offered_exists() -> None:
    words, _ = offered("verify --quantise ")
    assert {scheme(word).name for word in words} == {entry.name for entry in QUANTISERS}


FILES = [
    "verify zeb",
    "verify a.onnx zeb",
    "verify --out zeb",
    "verify --export zeb",
    "verify --dataset zeb",
    "audit zeb",
    "audit --policy zeb",
    "audit --baseline zeb",
    "verify --classes zeb",
    "runtimes zeb",
    "runtimes --dataset zeb",
    "quantise zeb",
    "quantise --dataset zeb",
    "check zeb",
    "check --network zeb",
    "ladder zeb",
    "table zeb",
    "study run zeb",
    "study show zeb",
    "train -o zeb",
]


@pytest.mark.parametrize("line", FILES)
def test_file_names_complete(line: str) -> None:
    assert offered(line) == (set(), True)


def test_names_and_files_complete_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npz", "due.toml", "other.npz"):
        (tmp_path / name).touch()
    known = {each.name for each in MANIFESTS}
    assert offered("verify --dataset m") == ({"mnist", "mine.npz"}, True)
    assert offered("ladder 3 --dataset ") == (known | {"mine.npz", "due.toml", "other.npz"}, True)
    studies = {name for name in builtin() if name.startswith("du")}
    assert offered("study run du") == (studies | {"due.toml"}, True)


def test_the_words_are_those_of_the_library() -> None:
    assert set(completion.EFFECTIVE) == set(Effective)
    assert completion.RERUNS == RERUNS
    assert completion.LAYOUTS == LAYOUTS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_served(shell: str, tmp_path: Path) -> None:
    """The script is written, and its questions are answered as the shell asks them."""
    asked = {"COMP_WORDS": "relrob verify --region linf-", "COMP_CWORD": "3"}
    if shell == "fish":
        asked["COMP_CWORD"] = "linf-"
    ran = {}
    for what in ("source", "complete"):
        ran[what] = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "relrob"],
            env={**environment(tmp_path), NAME: f"{shell}_{what}", **asked},
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=True,
        )
    assert "relrob" in ran["source"].stdout and "complete" in ran["source"].stdout
    assert {
        word for word in ran["complete"].stdout.replace(",", "\n").split("\n") if "-" in word
    } == {f"linf-{levels}" for levels in (1, 2, 4, 8)}
    imported = ran["complete"].stderr
    assert not any(f" {heavy}\n" in imported for heavy in ("numpy", "tensorflow", "scipy", "onnx"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_real_bash_completes(tmp_path: Path) -> None:
    program = tmp_path / "relrob"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m relrob "$@"\n')
    program.chmod(0o755)
    (tmp_path / "zebra_model.keras").touch()
    given = environment(tmp_path)
    given |= {"PATH": f"{tmp_path}:{given['PATH']}", "PS1": "$ ", "TERM": "dumb"}
    bash = Terminal(["bash", "--norc", "--noprofile", "-i"], given, tmp_path)
    try:
        bash.send(f'eval "$({NAME}=bash_source relrob)"; echo rea""dy\n')
        bash.until("ready")
        for typed, whole in (
            ("relrob verify zeb", "zebra_model.keras"),
            ("relrob verify --region ladder-", "ladder-paper"),
            ("relrob study run dunc", "duncan2020"),
            ("relrob verify --dataset zeb", "zebra_model.keras"),
        ):
            bash.send(f"{typed}\t")
            bash.until(whole)
            bash.send("\x15")
    finally:
        bash.close()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words: list[str], given: dict[str, str], cwd: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.child = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=given, cwd=cwd, close_fds=True
        )
        os.close(theirs)
        self.seen = ""

    def send(self, text: str) -> None:
        """Type it; what was seen before is forgotten."""
        self.seen = ""
        os.write(self.ours, text.encode())

    def until(self, words: str, seconds: float = 60) -> None:
        """Wait until the words are on the terminal."""
        end = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 4096).decode(errors="replace")

    def close(self) -> None:
        """End the program."""
        self.child.kill()
        self.child.wait()
        os.close(self.ours)
