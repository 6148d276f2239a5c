"""The command `python -m relrob.testing.mutate --format tflite --files 20000`: damaged files.

Each file passes through the guarded first reading and first run. It may be read, be refused in one
line, or end its child by a crash, by time or by memory, which is one line too. Failures are: an
exception that is no RelrobError, a file written, a child that outlives its time, and memory beyond
the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from relrob.networks.first import READY, first_reading
from relrob.registry import EVALUATORS, find, load
from relrob.system import confine
from relrob.system.child import GIB, MEMORY, SECONDS
from relrob.system.nursery import Call, Clock, Frames, answer, ended, tail, write_frame
from relrob.testing.cases import SHAPE
from relrob.testing.mutations import mutated
from relrob.testing.mutations_bytes import any_bytes

CLASSES: Final = 4
# Files a child: the one that it dies of is known.
TOGETHER: Final = 100
FORMATS: Final = ("tflite", "onnx", "h5", "keras", "savedmodel", "fixed", "npz")
_ENDINGS: Final = {"fixed": ".npz", "savedmodel": ""}
_RUNTIMES: Final = ("onnxruntime", "fixed")
_DATA: Final = ("relrob_datasets.first", "relrob_datasets.npz")
_TENSORFLOW: Final = ("h5", "keras", "savedmodel")
_ALLOWED: Final = int(MEMORY * GIB) + (1 << 22)


@dataclass
class Campaign:
    """`kind`: the format; `seeds`: its valid files, a dictionary of the files below it for a
    directory; `seed`: of the damage."""

    kind: str
    seeds: list[dict[str, bytes]]
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def make(self, number: int, folder: Path) -> Path:
        """Write file `number`, which is none of the seeds: it follows from their bytes, `seed` and
        `number`."""
        rng = np.random.default_rng([self.seed, FORMATS.index(self.kind), number])
        chosen = self.seeds[int(rng.integers(len(self.seeds)))]
        names = list(chosen)
        name = names[int(rng.integers(len(names)))]
        others = [content for each in self.seeds for content in each.values()]
        kind = "" if self.kind == "savedmodel" and not name.endswith(".pb") else self.kind
        known, damaged = rng.random() < 0.98, chosen[name]
        while damaged == chosen[name]:
            damaged = (
                mutated(rng, kind, chosen[name], others) if known else any_bytes(rng, chosen[name])
            )
        place = folder / f"{number}{_ENDINGS.get(self.kind, f'.{self.kind}')}"
        if self.kind != "savedmodel":
            place.write_bytes(damaged)
            return place
        for each, content in chosen.items():
            (place / each).parent.mkdir(parents=True, exist_ok=True)
            (place / each).write_bytes(damaged if each == name else content)
        return place

    def read(self, place: Path) -> Any:
        """The guarded first reading."""
        if self.kind == "npz":
            return load("relrob_datasets.first:first_reading")(str(place), "test")
        return first_reading(str(place), image_shape=SHAPE, classes=CLASSES)


def in_child(campaign: Campaign, numbers: range, folder: Path, speak: int) -> None:
    """Read the files one after the other, under the limits, and say of each how it went."""

    def say(what: dict[str, Any]) -> None:
        write_frame(speak, json.dumps(what).encode())

    for number in numbers:
        place = campaign.make(number, folder)
        say({"begin": number})
        confine.limit(_ALLOWED, 1 << 24, lambda begins: say({"importing": begins}))
        told = answer(campaign.read, {"place": place})
        confine.lift()
        say({"number": number, **{key: value for key, value in told.items() if key != "value"}})
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


class Batch:
    """A child at work on some numbers."""

    def __init__(self, campaign: Campaign, numbers: range) -> None:
        self.campaign, self.numbers = campaign, numbers
        self.folder = Path(tempfile.mkdtemp(prefix="relrob-mutate-"))
        (self.folder / "here").mkdir()
        self.listen, speak = os.pipe()
        self.noise = os.memfd_create("noise")
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._work(parent, speak)
        os.close(speak)
        self.frames, self.clock, self.current = (
            Frames(self.listen, 1 << 30),
            Clock(self.pid, 120.0),
            numbers.start,
        )

    def _work(self, parent: int, speak: int) -> None:
        """Never returns."""
        code = 1
        try:
            confine.die_with_parent(parent)
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            for stream in (1, 2):
                os.dup2(self.noise, stream)
            os.chdir(self.folder / "here")
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.folder)
            confine.write_only_below(str(self.folder))
            in_child(self.campaign, self.numbers, self.folder, speak)
            code = 0
        finally:
            os._exit(code)

    def look(self, ready: bool) -> range | None:
        """Take note of a message. Returns the numbers that are left when the child has ended, None
        while it works."""
        if ready:
            frames, more = self.frames.read()
            for frame in frames:
                self._note(frame)
            if not more:
                return self._over(None)
        elif self._ended() and not select.select([self.listen], [], [], 0)[0]:
            return self._over(None)
        return self._over({"time": SECONDS}) if self.clock.over() else None

    def _ended(self) -> bool:
        """Has it? A process that it left behind may hold the pipe open."""
        seen = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, seen) is not None

    def _note(self, frame: dict[str, Any]) -> None:
        if "begin" in frame:
            self.current, self.clock = int(frame["begin"]), Clock(self.pid, SECONDS)
        elif "importing" in frame:
            self.clock.pause(bool(frame["importing"]))
        else:
            self.current = int(frame.pop("number")) + 1
            self.clock = Clock(self.pid, 120.0)
            _count(self.campaign, self.current - 1, frame)

    def _over(self, outcome: dict[str, Any] | None) -> range:
        """It has ended, or must."""
        if outcome is not None:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.current < self.numbers.stop:
            request = Call("", {}, _ALLOWED, SECONDS)
            _count(self.campaign, self.current, outcome or ended(status, request, tail(self.noise)))
            self.current += 1
        written = [each.name for each in (self.folder / "here").rglob("*")]
        if written:
            self.campaign.wrong.append(f"files written by {self.numbers}: {written[:3]}")
        os.close(self.listen)
        os.close(self.noise)
        shutil.rmtree(self.folder, ignore_errors=True)
        return range(self.current, self.numbers.stop)


def _count(campaign: Campaign, number: int, told: dict[str, Any]) -> None:
    """The outcome in a word; forbidden outcomes are kept in full."""
    kind = next(
        (each for each in ("error", "memory", "time", "signal", "exit", "bug") if each in told),
        "read",
    )
    words = {
        "error": "refused",
        "signal": "crashed",
        "time": "out of time",
        "memory": "out of memory",
    }
    campaign.outcomes[words.get(kind, kind)] += 1
    if kind in ("bug", "exit"):
        campaign.wrong.append(
            f"{campaign.kind} {number}: {told.get('bug', 'ended without an answer')} at "
            f"{told.get('where') or '?'}"
        )


def run(campaign: Campaign, numbers: range, jobs: int, report: Callable[[str], None]) -> None:
    """Every number once, in `jobs` processes."""
    todo = [
        range(at, min(at + TOGETHER, numbers.stop))
        for at in range(numbers.start, numbers.stop, TOGETHER)
    ][::-1]
    active: list[Batch] = []
    shown = time.monotonic()
    while todo or active:
        while todo and len(active) < jobs:
            active.append(Batch(campaign, todo.pop()))
        ready, _, _ = select.select([each.listen for each in active], [], [], 0.2)
        for batch in list(active):
            left = batch.look(batch.listen in ready)
            if left is not None:
                active.remove(batch)
                todo += [left] if len(left) else []
        if time.monotonic() - shown > 60:
            shown = time.monotonic()
            report(f"{campaign.outcomes.total():,} files: {_words(campaign)}")


def _words(campaign: Campaign) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(campaign.outcomes.items()))


def read_seeds(folder: Path, kind: str) -> list[dict[str, bytes]]:
    """The files of a format, one dictionary a network."""
    found = []
    for top in sorted((folder / kind).iterdir()):
        files = sorted(each for each in top.rglob("*") if each.is_file()) if top.is_dir() else [top]
        found.append(
            {
                (each.relative_to(top).as_posix() if top.is_dir() else ""): each.read_bytes()
                for each in files
            }
        )
    return found


def main(arguments: list[str]) -> int:
    """Exit code 1 when something happened that may not."""
    parser = argparse.ArgumentParser(prog="python -m relrob.testing.mutate", description=__doc__)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--seeds",
        type=Path,
        help="folder that python -m relrob.testing.seeds wrote; made when not given",
    )
    parser.add_argument("--log", type=Path, help="file that a line is added to")
    parser.add_argument("--keep", type=Path, help="only write the files, to this folder")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="relrob-seeds-") as made:
        folder = given.seeds or Path(made)
        if given.seeds is None:
            ours = [sys.executable, "-m", "relrob.testing.seeds", made]
            subprocess.run(ours, check=True, capture_output=True)  # noqa: S603
        campaign = Campaign(given.format, read_seeds(folder, given.format), given.seed)
    numbers = range(given.first, given.first + given.files)
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            campaign.make(number, given.keep)
        return 0
    runtimes = (*_RUNTIMES, *(("keras",) if given.format in _TENSORFLOW else ()))
    modules = [find(EVALUATORS, name, "runtime").target.partition(":")[0] for name in runtimes]
    for module in (*READY, *_DATA, *modules):
        load(f"{module}:__name__")
    begin = time.monotonic()
    run(campaign, numbers, given.jobs, print_line)
    return _finish(campaign, given, time.monotonic() - begin)


def _finish(campaign: Campaign, given: Any, seconds: float) -> int:
    """Say it all."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / GIB
    if peak > MEMORY + 1.5:
        campaign.wrong.append(f"{peak:.2f} GiB in a child")
    for each in campaign.wrong[:200]:
        print_line(each)
    line = (
        f"| {given.format} | {given.seed} | {given.first} to {given.first + given.files - 1} | "
        f"{_words(campaign)} "
        f"| {peak:.2f} | {seconds:.0f} | {len(campaign.wrong)} |"
    )
    print_line(line)
    if given.log is not None:
        with given.log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
    return 1 if campaign.wrong else 0


def print_line(line: str) -> None:
    """Write a line and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
