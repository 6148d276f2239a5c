"""relrob run inside a line of bash, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

RUN = [
    "--radius",
    "2",
    "--step",
    "1/2",
    "--features",
    "4",
    "--axes",
    "3",
    "--images",
    "0:3",
    "--workers",
    "1",
]


def program(
    mine: Path,
    arguments: list[str],
    cwd: Path | None = None,
    line: str = '"$@"',
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `relrob ARGUMENTS` inside a line of bash, where "$@" stands for it."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "solvers", "datasets"))
    given = {
        "RELROB_CACHE": str(mine / "cache"),
        "PYTHONPATH": path,
        "COLUMNS": "80",
        **(env or {}),
    }
    command = [
        "bash",
        "-o",
        "pipefail",
        "-c",
        line,
        "bash",
        sys.executable,
        "-m",
        "relrob",
        *arguments,
    ]
    environment = {**os.environ, **given}
    return subprocess.run(
        command, cwd=cwd or mine, env=environment, text=True, capture_output=True, check=False
    )


def verify(*more: str, reference: str = "ref.onnx", data: str = "data.npz") -> list[str]:
    """A small run: all but its end is the same each time."""
    return ["verify", reference, "--quantise", "qdq", "--dataset", data, *RUN, *more]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line that a refused command writes."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("relrob: "), done.stderr
    return done.stderr
