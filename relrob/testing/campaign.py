"""A campaign over edited files: a forked worker makes and judges them in their order.

A death is put down to the file and the stage. The counts of every run are appended to a log whose
lines add up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from threadpoolctl import threadpool_limits

from relrob.networks import first as reading
from relrob.testing.alone import RefusedError
from relrob.testing.edited import Edited, edited
from relrob.testing.referee import Report, judged, normalised, told

# Files a worker, before a fresh one takes over.
BATCH: Final = 2_000
# Seconds for one file.
PATIENCE: Final = 150.0
# Contradictions written out in a line of the log; all are counted.
KEPT: Final = 400


@dataclass
class Tally:
    """The findings of a run, or of all runs of a log together."""

    counts: Counter[str] = field(default_factory=Counter)
    contradictions: list[dict[str, Any]] = field(default_factory=list)

    def add(self, line: dict[str, Any]) -> None:
        """Add one file, or one line of the log."""
        self.counts.update(line["counts"])
        self.contradictions += line["contradictions"]


def one(seed: int, kind: str, number: int, folder: Path, stage: Any = None) -> dict[str, Any]:
    """Make and judge one file. `stage`: told "relrob" once the runtime has taken the file."""
    try:
        file = edited(seed, kind, number)
    except RefusedError as error:
        return _line(
            [f"{kind}: made", f"{kind}: refused by its runtime"], [], normalised(str(error))
        )
    except Exception as error:
        return _line([f"{kind}: made", f"{kind}: not made: {told(error)}"], [])
    if stage is not None:
        stage("relrob")
    report = judged(file, folder, number)
    counts = [
        f"{kind}: made",
        f"{kind}: accepted",
        *(f"{kind}: edit: {name}" for name in file.edits or ("none",)),
    ]
    line = _line(counts, contradictions(file, report))
    line["counts"].update({f"{kind}: {key}": value for key, value in report.counts.items()})
    return line


def contradictions(file: Edited, report: Report) -> list[dict[str, Any]]:
    """One entry for each complaint, with all that makes the file again."""
    about = {
        "seed": file.seed,
        "format": file.format,
        "number": file.number,
        "base": file.base,
        "runtime": file.runtime,
        "edits": list(file.edits),
        "style": file.style,
        "region": file.question.region.kind,
    }
    return [{**about, "complaint": complaint} for complaint in report.complaints]


def _line(counts: Sequence[str], found: list[dict[str, Any]], why: str = "") -> dict[str, Any]:
    return {"counts": dict(Counter(counts)), "contradictions": found, "why": why}


def run(
    seed: int, formats: Sequence[str], first: int, files: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, report) for each file; file n has the format n modulo the number of formats."""
    at, end = first, first + files
    with tempfile.TemporaryDirectory(prefix="relrob-files-") as folder:
        while at < end:
            for number, line in _worker(seed, formats, at, min(at + BATCH, end), Path(folder)):
                yield number, line
                at = number + 1


def _worker(
    seed: int, formats: Sequence[str], first: int, end: int, folder: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A forked process; ends early where it dies, after the line about that file."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        code = 1
        try:
            _serve(seed, formats, first, end, folder, send)
            code = 0
        finally:
            os._exit(code)
    os.close(send)
    number, stage, late = first, "runtime", False
    with os.fdopen(receive, "rb", buffering=0) as pipe:
        for message in _messages(pipe.fileno()):
            if message is None:
                late = True
                os.kill(child, signal.SIGKILL)
            elif "stage" in message:
                number, stage = message["number"], message["stage"]
            else:
                yield message["number"], message
                number, stage = message["number"] + 1, "runtime"
    os.waitpid(child, 0)
    if number < end:
        yield (
            number,
            _death(
                seed,
                formats[number % len(formats)],
                number,
                stage,
                "gave no answer" if late else "died",
            ),
        )


def _death(seed: int, kind: str, number: int, stage: str, status: str) -> dict[str, Any]:
    """A death in the runtime's own hands is a refusal; in relrob's it is a contradiction."""
    counts = [
        f"{kind}: made",
        f"{kind}: {'refused by its runtime: it ' + status if stage == 'runtime' else 'accepted'}",
    ]
    about = {
        "seed": seed,
        "format": kind,
        "number": number,
        "complaint": f"the process {status} inside relrob",
    }
    return _line(counts, [] if stage == "runtime" else [about])


def _messages(pipe: int) -> Iterator[dict[str, Any] | None]:
    """Lines of JSON until the end of the pipe; None, and the end, where none comes for `PATIENCE`
    seconds."""
    held = b""
    while True:
        if not select.select([pipe], [], [], PATIENCE)[0]:
            yield None
            return
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            return
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _serve(
    seed: int, formats: Sequence[str], first: int, end: int, folder: Path, send: int
) -> None:
    """The worker: it announces each stage, then sends the report. It is itself the process that a
    file may crash, so no check starts another."""
    threadpool_limits(1)
    reading.try_network = lambda *given, **more: None
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    for number in range(first, end):

        def tell(stage: str, number: int = number) -> None:
            os.write(send, json.dumps({"number": number, "stage": stage}).encode() + b"\n")

        tell("runtime")
        line = one(seed, formats[number % len(formats)], number, folder, tell)
        os.write(send, json.dumps({"number": number, **line}).encode() + b"\n")


def append(log: Path, head: dict[str, Any], tally: Tally) -> None:
    """One line about a run."""
    line = {
        **head,
        "counts": dict(sorted(tally.counts.items())),
        "contradictions": tally.contradictions[:KEPT],
    }
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def total(log: Path) -> tuple[Tally, list[str]]:
    """All runs of a log together, and which of them went over the same numbers."""
    tally, seen, twice = Tally(), dict[tuple[Any, ...], list[range]](), []
    for text in log.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        tally.add(line)
        numbers = range(line["first"], line["first"] + line["files"])
        for kind in line["formats"]:
            for other in seen.setdefault((line["seed"], kind), []):
                if max(numbers.start, other.start) < min(numbers.stop, other.stop):
                    twice.append(
                        f"seed {line['seed']}, {kind}, from {max(numbers.start, other.start)}"
                    )
            seen[line["seed"], kind].append(numbers)
    return tally, twice


def campaign(
    seed: int, formats: Sequence[str], first: int, files: int, say: Any
) -> tuple[Tally, dict[str, Any]]:
    """Run it. `say`: is told each contradiction, and how far the run is. The tally and the head of
    its line in the log."""
    tally, begin = Tally(), time.monotonic()
    for number, line in run(seed, formats, first, files):
        tally.add(line)
        for found in line["contradictions"]:
            say(described(found))
        if (number + 1 - first) % 1000 == 0:
            say(f"{number + 1 - first} files, {time.monotonic() - begin:.0f} s")
    head = {"seed": seed, "formats": list(formats), "first": first, "files": files}
    return tally, {**head, "seconds": round(time.monotonic() - begin)}


def described(found: dict[str, Any]) -> str:
    """A contradiction in one line."""
    facts = ", ".join(
        str(found[key]) for key in ("base", "runtime", "style", "region") if key in found
    )
    edits = " + ".join(found.get("edits", [])) or "no edit"
    return f"{found['format']} {found['number']} ({facts}; {edits}): {found['complaint']}"
