"""The work of a stage as a worker gets it: options, finished inputs, a folder to write to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from relrob.domain.stage import Stage
from relrob.errors import RelrobError
from relrob.registry import load
from relrob.store.stage_directory import begun, checked_file, finished, keep
from relrob.store.stage_document import Row
from relrob.system.version import VERSION


@dataclass(frozen=True)
class Input:
    """A finished stage that another reads: its options, rows, and the path of each file."""

    digest: str
    options: dict[str, Any]
    rows: tuple[Row, ...]
    files: dict[str, Path]

    def only(self, suffix: str) -> Path:
        """Its one file of that suffix. Raises RelrobError."""
        found = [path for name, path in self.files.items() if name.endswith(suffix)]
        if len(found) != 1:
            raise RelrobError(f"stage {self.digest[:12]} has {len(found)} {suffix} files", "one")
        return found[0]


@dataclass(frozen=True)
class Job:
    """What a maker gets. `folder`: where its files go; what a killed job left there is still there,
    so that long work goes on. `digest`: of the stage."""

    digest: str
    options: dict[str, Any]
    inputs: dict[str, Input]
    folder: Path


# Makes the files of a stage and returns its rows: flat dictionaries of texts, numbers and None.
Make = Callable[[Job], list[Row]]


def work(directory: Path, stage: Stage, target: str) -> float:
    """Do a stage whose inputs are finished; returns the seconds that it took. `target`: of its
    kind.

    Raises RelrobError. The folder of a stage that fails keeps what its maker left.
    """
    begin = time.monotonic()
    folder = begun(directory, stage.digest)
    inputs = {role: read_input(directory, each.digest) for role, each in stage.inputs.items()}
    make: Make = load(target)
    rows = make(Job(stage.digest, dict(stage.options), inputs, folder))
    seconds = time.monotonic() - begin
    keep(directory, stage, rows, seconds, _tools())
    return seconds


def _tools() -> dict[str, str]:
    """What decides the last bits of results, beside the options."""
    tools = {name: version(name) for name in ("numpy", "tensorflow", "keras")}
    return {"relrob": VERSION, **tools, "processors": str(len(os.sched_getaffinity(0)))}


def read_input(directory: Path, digest: str) -> Input:
    """A finished stage, its files checked. Raises RelrobError."""
    done = finished(directory, digest)
    if done is None:
        raise RelrobError(f"stage {digest[:12]} is not finished", "inputs first")
    files = {name: checked_file(directory, done, name) for name in done.files}
    return Input(digest, done.options, done.rows, files)


def worker(given: tuple[str, tuple[tuple[Stage, str], ...]]) -> Callable[[int], tuple[int, float]]:
    """What `relrob.study.pool` runs: the function from a stage's number to (number, seconds).
    `given`: the study's directory, and each stage with its maker's "module:attribute"."""
    directory, stages = Path(given[0]), given[1]
    return lambda number: (number, work(directory, *stages[number]))
