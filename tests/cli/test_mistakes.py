"""Errors under --json are JSON on standard output, beside the one line; scripts without a guard."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import relrob
from relrob.cli import interrupt, mistakes
from relrob.cli.main import main
from relrob.errors import AlarmError, RelrobError, UsageError
from relrob.store.run_directory import Store
from tests.cli_case import Case, environment

LINES: list[tuple[list[str], int, str]] = [
    (["verify", "--json"], 2, "without --radius"),
    (["verify", "--json", "--colour", "blue"], 2, "no such option"),
    (["verify", "--radius", "0", "--step", "1/4", "--json"], 2, "radius 0"),
    (["verify", "--region", "linf-8", "--step", "1/4", "--json"], 2, "--step has no effect"),
    (["certify", "--json"], 2, "no such command"),
    (["train", "--json"], 2, "missing option"),
    (["train", "--json", "--epochs", "many", "-o", "a.keras"], 2, "invalid value"),
    (["check", "nowhere.json", "--json"], 2, "nowhere.json"),
    (["table", "nowhere", "--json"], 2, "nowhere"),
    (["study", "run", "nowhere", "--json"], 2, "nowhere"),
    (["study", "show", "nowhere", "--json"], 2, "nowhere"),
    (
        ["quantise", "a.onnx", "--scheme", "dynamic", "--seed", "3", "-o", "b.tflite", "--json"],
        2,
        "--seed has no effect with scheme dynamic",
    ),
    (
        [
            "quantise",
            "a.onnx",
            "--scheme",
            "float16",
            "--calibration",
            "9",
            "-o",
            "b.tflite",
            "--json",
        ],
        2,
        "--calibration has no effect",
    ),
    (
        ["ladder", "3", "--radius", "5", "--step", "1/4", "--memory", "1", "--json"],
        2,
        "--memory has no effect with mnist",
    ),
    (["datasets", "verify", "mnist", "--memory", "1", "--json"], 2, "--memory has no effect"),
    (["datasets", "get", "nowhere", "--json"], 2, "nowhere"),
    (
        ["study", "run", "duncan2020", "--workers", "2", "--scheduler", "tcp://h:1", "--json"],
        2,
        "--workers has no effect with --scheduler",
    ),
    (
        ["verify", "--region", "linf-8", "--workers", "2", "--scheduler", "tcp://h:1", "--json"],
        2,
        "--workers has no effect with --scheduler",
    ),
]


@pytest.mark.parametrize(
    ("words", "code", "given"), LINES, ids=[" ".join(words) for words, _, _ in LINES]
)
def test_an_error_is_json_and_a_line(
    words: list[str],
    code: int,
    given: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["relrob", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert stop.value.code == error["exit_code"] == code
    assert given in error["given"]
    assert list(error) == ["given", "accepted", "hint", "exit_code"]
    line = "; ".join(
        [
            error["given"],
            *([f"accepted: {error['accepted']}"] if error["accepted"] else []),
            *([f"try: {error['hint']}"] if error["hint"] else []),
        ]
    )
    assert shown.err == f"relrob: {line}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AlarmError("a run speaks against a proof"), 4),
        (UsageError("a", "b", "c"), 2),
        (click.UsageError("Bad."), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (OSError(errno.EMFILE, "Too many open files"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 9), 2),
        (KeyError("a bug"), None),
    ],
    ids=repr,
)
def test_every_kind_of_error(
    error: BaseException,
    code: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["relrob", "verify", "--json"])
    monkeypatch.setattr("os.dup2", lambda *numbers: None)
    assert mistakes.tell(error) == code
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["exit_code"] == (1 if code is None else code)
    monkeypatch.setattr(sys, "argv", ["relrob", "verify", "--", "--json"])
    assert mistakes.tell(error) == code
    assert capsys.readouterr().out == ""


def test_ctrl_c_is_json_too(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(interrupt, "_said", False)
    monkeypatch.setattr(sys, "argv", ["relrob", "verify", "--json"])
    interrupt.say()
    interrupt.say()
    shown = capfd.readouterr()
    assert json.loads(shown.out)["error"]["exit_code"] == interrupt.CODE
    assert shown.err == interrupt.LINE.format(
        word="interrupted", remedy="takes up a run where it stopped"
    )


def test_the_library_names_its_errors() -> None:
    assert relrob.RelrobError is RelrobError
    assert "RelrobError" in dir(relrob)


SCRIPT = """import relrob
relrob.verify({reference!r}, {quantised!r}, radius=3, step="1/2", features=8, axes=3,
              images="0:4", dataset={data!r}, workers={workers}, out="run")
"""


def test_a_script_without_a_guard_is_told_so_and_its_run_goes_on(
    case: Case, tmp_path: Path
) -> None:
    def run(workers: int) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        named = {"reference": str(case.reference), "quantised": str(case.quantised)}
        script.write_text(SCRIPT.format(**named, data=str(case.data), workers=workers))
        return subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=environment(tmp_path),
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )

    first = run(2)
    assert first.returncode == 1
    lines = first.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("Traceback")] == lines[:1]
    assert lines[-1].startswith(
        "relrob.errors.RelrobError: a worker process ended before its first"
    )
    assert "if __name__ == '__main__':" in lines[-1] and "workers=1" in lines[-1]
    assert "BlockingIOError" not in first.stderr
    assert run(1).returncode == 0
    with Store.read(tmp_path / "run") as store:
        assert len(store.done()) == 4
