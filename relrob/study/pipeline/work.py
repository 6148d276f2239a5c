"""The work of a stage as a worker gets it: options, finished inputs, a folder to write to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, final

from relrob.domain.events import Event, Listener, silent
from relrob.domain.stage import Stage
from relrob.errors import RelrobError
from relrob.registry import load
from relrob.store.stage_directory import begun, checked_file, finished, keep
from relrob.store.stage_document import Row
from relrob.study.pipeline.shelf import Shelf
from relrob.system.processors import processors
from relrob.system.version import VERSION

# Seconds between two lines about one stage.
EVERY: Final = 60.0


@dataclass(frozen=True)
class Input:
    """A finished stage that another reads: its options, rows, and the path and the SHA-256 of each
    file."""

    digest: str
    options: dict[str, Any]
    rows: tuple[Row, ...]
    files: dict[str, Path]
    sha256: dict[str, str]

    def only(self, suffix: str) -> Path:
        """Its one file of that suffix. Raises RelrobError."""
        found = [path for name, path in self.files.items() if name.endswith(suffix)]
        if len(found) != 1:
            raise RelrobError(f"stage {self.digest[:12]} has {len(found)} {suffix} files", "one")
        return found[0]


@dataclass(frozen=True)
class Job:
    """What a maker gets. `folder`: where its files go; what a killed job left there is still there,
    so that long work goes on. `digest`: of the stage. `shelf`: what the worker keeps open from
    stage to stage. `listener`: of the stage's progress."""

    digest: str
    options: dict[str, Any]
    inputs: dict[str, Input]
    folder: Path
    shelf: Shelf
    listener: Listener = silent


# Makes the files of a stage and returns its rows: flat dictionaries of texts, numbers and None.
Make = Callable[[Job], list[Row]]


def work(
    directory: Path,
    stage: Stage,
    target: str,
    shelf: Shelf | None = None,
    listener: Listener = silent,
) -> float:
    """Do a stage whose inputs are finished; returns the seconds that it took. `target`: of its
    kind. `shelf`: of the worker, None for one of this stage alone.

    Raises RelrobError. The folder of a stage that fails keeps what its maker left.
    """
    begin = time.monotonic()
    folder = begun(directory, stage.digest)
    inputs = {role: read_input(directory, each.digest) for role, each in stage.inputs.items()}
    make: Make = load(target)
    job = Job(stage.digest, dict(stage.options), inputs, folder, shelf or Shelf(), listener)
    rows = make(job)
    seconds = time.monotonic() - begin
    keep(directory, stage, rows, seconds, _tools())
    return seconds


def _tools() -> dict[str, str]:
    """What decides the last bits of results, beside the options."""
    tools = {name: version(name) for name in ("numpy", "tensorflow", "keras")}
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return {"relrob": VERSION, **tools, "processors": str(processors()), "threads": threads}


def read_input(directory: Path, digest: str) -> Input:
    """A finished stage, its files checked. Raises RelrobError."""
    done = finished(directory, digest)
    if done is None:
        raise RelrobError(f"stage {digest[:12]} is not finished", "inputs first")
    files = {name: checked_file(directory, done, name) for name in done.files}
    return Input(digest, done.options, done.rows, files, dict(done.files))


def worker(
    given: tuple[str, tuple[tuple[Stage, str], ...], int], tell: Listener
) -> Callable[[int], tuple[int, float]]:
    """What `relrob.study.pool` runs: the function from a stage's number to (number, seconds).

    `given`: the study's directory, each stage with its maker's "module:attribute", and the threads
    of TensorFlow. It reads these once in a process, so that the first stage would decide for all.
    """
    directory, stages, threads = Path(given[0]), given[1], given[2]
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    shelf = Shelf()

    def function(number: int) -> tuple[int, float]:
        stage, target = stages[number]
        return number, work(directory, stage, target, shelf, Within(stage.described, tell))

    return function


@final
class Within:
    """The progress of one stage, told from time to time: "cifarnet seed=0: 30%, 12 min left"."""

    def __init__(
        self, name: str, tell: Listener, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._tell, self._clock = name, tell, clock
        self._last = self._began = clock()
        self._first: int | None = None

    def __call__(self, event: Event) -> None:
        """Tell it, unless something was told `EVERY` seconds ago or less."""
        now = self._clock()
        if event.total <= 0:
            return
        if self._first is None:
            self._first, self._began = event.done, now
        if now - self._last < EVERY or event.done >= event.total:
            return
        self._last = now
        gone = event.done - self._first
        text = f"{self._name}: {event.done * 100 // event.total}%"
        if gone > 0:
            left = (event.total - event.done) * (now - self._began) / gone
            text += f", {time_text(left)} left"
        self._tell(Event("note", text + (f" ({event.text})" if event.text else "")))


def time_text(seconds: float) -> str:
    """A time that nobody knows to the second.

    >>> time_text(20), time_text(400), time_text(9000)
    ('20 s', '7 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
