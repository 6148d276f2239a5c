"""Readings of damaged files that go wrong on purpose, for the judge of `relrob.testing.mutate`:
`python -m tests.planted_readings`.

In a process of its own, since the judge forks. Prints as JSON what the judge made of them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relrob.errors import NetworkError
from relrob.testing import mutate

ENDLESS = 10**6  # seconds


def loop() -> None:
    """A hang that works."""
    while True:
        pass


def raises(error: BaseException) -> Callable[[], None]:
    """A reading that ends so."""

    def read() -> None:
        raise error

    return read


def stays() -> None:
    """What it starts would go on after it."""
    if os.fork() == 0:
        time.sleep(ENDLESS)


READINGS: dict[str, Callable[[], object]] = {
    "read": lambda: "digest",
    "refused": raises(NetworkError("a file", "another", "that one")),
    "traceback": raises(KeyError("planted")),
    "a bare exit": raises(SystemExit(0)),
    "no answer": lambda: os._exit(0),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "memory": lambda: bytearray(1 << 45),
    "read again": lambda: "digest",
    "stays": stays,
}
HANGS: tuple[Callable[[], object], ...] = (loop, lambda: time.sleep(ENDLESS))


@dataclass
class Planted(mutate.Campaign):
    """File n is read by reading n."""

    readings: tuple[Callable[[], object], ...] = ()

    def read(self, place: Path) -> Any:
        return self.readings[int(place.stem)]()


def judged(*readings: Callable[[], object]) -> dict[str, Any]:
    """Outcomes and complaints."""
    campaign = Planted("npz", [{"": b"some bytes"}], 0, readings=readings)
    mutate.run(campaign, range(len(readings)), 2, lambda line: None)
    return {"outcomes": campaign.outcomes, "wrong": campaign.wrong}


def outlived() -> bool:
    """Does a process that a reading started hold a pipe open a minute after the run?"""
    listen, speak = os.pipe()
    judged(READINGS["stays"], READINGS["read"])
    os.close(speak)
    return not select.select([listen], [], [], 60)[0]


def main() -> dict[str, Any]:
    """All of them, each by itself, all in one run, and what may not happen beside."""
    found: dict[str, Any] = {name: judged(reading) for name, reading in READINGS.items()}
    found["all"] = judged(*READINGS.values())
    found["written"] = judged(lambda: Path("stray").write_bytes(b"here"), READINGS["read"])
    found["outlived"] = outlived()
    setattr(mutate, "SECONDS", 0.5)  # noqa: B010 - it belongs to another module
    found["hangs"] = judged(*HANGS)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
