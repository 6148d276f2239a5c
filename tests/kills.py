"""Runs that are killed or interrupted, by hand: `python -m tests.kills kill 300`, `python -m
tests.kills interrupt 100`.

`kill`: SIGKILL within the first 50 ms of the store's life, at any moment, and while the readable
files are written; then the same command, sometimes killed again. Each run is a fork of a process
that has everything imported, so it takes a third of a second. `interrupt`: Ctrl-C to the program
itself, from its first milliseconds on. Exit code 1 when one trial fails.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import relrob
from relrob.store.run_directory import FILE, JOURNAL, Store
from tests.cli_case import Case, environment, make_case
from tests.support import ROOT

MOMENTS = ("birth", "any", "files")
LINE = "relrob: interrupted; the same command takes up a run where it stopped"


def run(case: Case, out: Path) -> None:
    """Six images, one worker."""
    relrob.verify(
        case.reference,
        case.quantised,
        dataset=str(case.data),
        radius=3,
        step="1/2",
        features=8,
        axes=3,
        images="0:6",
        certificates=True,
        out=out,
    )


def forked(case: Case, out: Path) -> int:
    """The process id of a run of its own."""
    pid = os.fork()
    if pid:
        return pid
    try:
        run(case, out)
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)


def ended(pid: int) -> bool:
    """Has the run ended by itself? Collects it."""
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def until(seen: Callable[[], bool], pid: int) -> bool:
    """Wait for something, as closely as possible; False where the run ended before."""
    while not seen():
        if ended(pid):
            return False
    return True


def several(out: Path) -> bool:
    """Are there files besides the store and its journal?"""
    return len(os.listdir(out)) > 1 + (out / JOURNAL).exists()  # noqa: PTH208 - fast


def killed(case: Case, out: Path, moment: str, delay: float) -> bool:
    """Start or resume a run and kill it; False where it ended first. Raises AssertionError where it
    refused to resume."""
    pid = forked(case, out)
    signs = {
        "birth": lambda: (out / FILE).exists() or (out / JOURNAL).exists(),
        "files": lambda: (out / FILE).exists() and several(out),
        "any": lambda: True,
    }
    if not until(signs[moment], pid):
        return False
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def content(out: Path) -> dict[str, Any]:
    """Every file of a run directory, without the clock."""
    files: dict[str, Any] = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    with Store.read(out) as store:
        files[FILE] = (store.content_sha256(), store.certificates())
    summary = json.loads(files["summary.json"])
    rows = list(csv.DictReader(files["images.csv"].decode().splitlines()))
    files["summary.json"] = {**summary, "seconds": 0}
    files["images.csv"] = [{**row, "seconds": ""} for row in rows]
    return {
        name: value for name, value in files.items() if name != "table.md"
    }  # it tells the seconds


def kills(case: Case, folder: Path, count: int, seed: int = 0) -> Counter[str]:
    """Kill and resume so often: how often at each moment. Raises AssertionError at the first that
    is not as if never killed."""
    rng, told = random.Random(seed), Counter[str]()
    begun = time.perf_counter()
    run(case, folder / "calm")
    calm, spent = content(folder / "calm"), time.perf_counter() - begun
    trial = 0
    while sum(told[moment] for moment in MOMENTS) < count and trial < 10 * count:
        out, trial = folder / f"war-{trial}", trial + 1
        while True:
            moment = MOMENTS[trial % len(MOMENTS)]
            delay = rng.uniform(0, spent if moment == "any" else 0.05) * (rng.random() < 0.9)
            dead = killed(case, out, moment, delay)
            told[moment if dead else "ended before"] += 1
            sizes = [path.stat().st_size for path in (out / FILE,) if path.exists()]
            told[
                "store of 0 bytes"
                if sizes == [0]
                else "journal left"
                if (out / JOURNAL).exists()
                else ""
            ] += dead
            if not dead or rng.random() < 0.8:
                break
        status = os.waitpid(forked(case, out), 0)[1]
        assert status == 0, f"{out} did not resume"
        found = content(out)
        assert found == calm, [
            name for name in {*found, *calm} if found.get(name) != calm.get(name)
        ]
    return told


def interrupted(case: Case, out: Path, delay: float, workers: str) -> str:
    """Ctrl-C after so many seconds: what came of it, in a word or as it was."""
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background job of a shell would inherit an ignored one
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "relrob",
                *case.arguments("--workers", workers, "--quiet", "--out", str(out)),
            ],
            cwd=case.folder,
            env=environment(case.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)  # the whole foreground job, as a terminal does
    _, told = process.communicate()
    if (process.returncode, told.strip()) == (130, LINE):
        return "130"
    if (process.returncode, told) == (0, ""):
        return "ended before"
    early = process.returncode in (1, -signal.SIGINT) and (
        "init_import_site" in told or "<frozen runpy>" in told or not told
    )
    if early and f"{ROOT}/relrob" not in told:
        return "before Python itself was up"
    return f"{process.returncode}: {told}"


def interrupts(case: Case, folder: Path, count: int, seed: int = 0) -> Counter[str]:
    """So many runs of the program, each interrupted once."""
    rng = random.Random(seed)
    longest = 3.0
    return Counter(
        interrupted(
            case,
            folder / f"out-{trial}",
            rng.uniform(0, longest if trial % 2 else 0.4),
            "12"[trial % 3 == 0],
        )
        for trial in range(count)
    )


def main(what: str, count: str, seed: str = "0") -> int:
    """Run the trials and say what came of them."""
    with tempfile.TemporaryDirectory(prefix="relrob-kills-") as name:
        os.environ["RELROB_CACHE"] = f"{name}/cache"
        case = make_case(Path(name))
        told = (kills if what == "kill" else interrupts)(case, Path(name), int(count), int(seed))
    for sort, times in told.most_common():
        if sort:
            sys.stdout.write(f"{times:5d} {sort}\n")
    return int(any(":" in sort for sort in told))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
