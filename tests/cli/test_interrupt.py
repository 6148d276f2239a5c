"""Ctrl-C is one line at any moment, and says what the same command would do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_case import Case, environment, relrob_command

INTERRUPTED = "relrob: interrupted; the same command takes up a run where it stopped\n"
IN_AN_IMPORT = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})
sys.meta_path.insert(0, Finder())
"""
MADE_ANOTHER_ERROR = """
import numpy
load = numpy.load
def broken(*given, **more):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except BaseException as error:
        raise ImportError("as native modules do") from error
numpy.load = broken
"""
DROPPED = """
import numpy
load = numpy.load
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
def broken(*given, **more):
    Dying()
    return load(*given, **more)
numpy.load = broken
"""
A_WORKER_IS_HALF_STARTED = """
import multiprocessing.util as util
spawn, seen = util.spawnv_passfds, []
def spawned(path, arguments, handles):
    pid = spawn(path, arguments, handles)
    if "resource_tracker" not in str(arguments):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
    return pid
util.spawnv_passfds = spawned
"""
WORKERS_START = """
import relrob.study.pool as pool
give = pool._give
def given(worker, waiting):
    os.kill(os.getpid(), signal.SIGINT)
    give(worker, waiting)
pool._give = given
"""
MOMENTS = {
    **{
        f"import {name}": IN_AN_IMPORT.format(name=name, signal="SIGINT")
        for name in (
            "click",
            "relrob.cli.main",
            "numpy",
            "relrob.api.verify",
            "onnxruntime",
            "relrob.report.run.write",
        )
    },
    "made another error": MADE_ANOTHER_ERROR,
    "dropped": DROPPED,
    "a worker is half started": A_WORKER_IS_HALF_STARTED,
    "workers start": WORKERS_START,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_is_one_line_at_any_moment(case: Case, tmp_path: Path, moment: str) -> None:
    """Each moment is brought about, not waited for."""
    arguments = [*case.arguments("--out", "run", "--quiet"), "--workers", "2"]
    done = interrupted(arguments, MOMENTS[moment], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", INTERRUPTED)
    assert "40" in relrob_command(case.arguments("--out", "run"), tmp_path).stdout


def interrupted(arguments: list[str], moment: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The program, which gets a Ctrl-C at a moment."""
    script = cwd / "interrupted.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"    sys.argv = ['relrob', *{arguments!r}]\n"
        f"    exec({moment!r})\n"
        "    from relrob.cli import main\n"
        "    main()\n"
    )
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=cwd,
        env=environment(cwd),
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("train", "takes up a run where it stopped"),
        ("study", "takes up a run where it stopped"),
        ("attack", "begins anew"),
        ("transfer", "begins anew"),
        ("prune", "begins anew"),
    ],
)
def test_ctrl_c_says_whether_the_command_resumes(command: str, remedy: str, tmp_path: Path) -> None:
    moment = IN_AN_IMPORT.format(name="click", signal="SIGINT")
    plain = interrupted([command, "-o", "verify"], moment, tmp_path)
    assert plain.stderr == f"relrob: interrupted; the same command {remedy}\n"
    document = interrupted([command, "--json"], moment, tmp_path)
    error = json.loads(document.stdout)["error"]
    assert error["hint"] == f"the same command, which {remedy}" and error["exit_code"] == 130


def test_ctrl_c_says_how_to_resume(case: Case, tmp_path: Path) -> None:
    arguments = [
        *case.arguments("--features", "21", "--radius", "30", "--out", "run"),
        "--workers",
        "2",
    ]
    # A program started in the background of a shell without job control inherits an ignored SIGINT,
    # and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "relrob", *arguments],
            cwd=tmp_path,
            env=environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("images"):
            break
    running.send_signal(signal.SIGINT)
    rest = running.stderr.read()
    running.stderr.close()
    assert running.wait() == 130
    assert f"\n{rest}".endswith(f"\n{INTERRUPTED}")
    assert "Traceback" not in rest


@pytest.mark.parametrize("name", ["click", "numpy", "relrob.api.verify", "relrob.report.run.write"])
def test_sigterm_is_one_line_and_loses_nothing(case: Case, tmp_path: Path, name: str) -> None:
    """A scheduler sends it, and a container that stops."""
    moment = IN_AN_IMPORT.format(name=name, signal="SIGTERM")
    done = interrupted([*case.arguments("--out", "run", "--json")], moment, tmp_path)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["given"], error["exit_code"]) == (143, "terminated", 143)
    last = done.stderr.splitlines()[-1]
    assert last == "relrob: terminated; the same command takes up a run where it stopped"
    assert "Traceback" not in done.stderr
    assert "40" in relrob_command(case.arguments("--out", "run"), tmp_path).stdout
