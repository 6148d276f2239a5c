"""The far side of `relrob.system.child`: a process that imports, then forks a child for each call
and watches over it.

Foreign files are read in the children alone. Calls come from relrob itself and are pickles. A file
may have taken over the child that read it, so the child's answer is JSON of bounded length, and
never anything that could run.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.errors import RelrobError
from relrob.registry import load
from relrob.system import confine
from relrob.system.files import DESCRIPTORS, NO_DESCRIPTORS
from relrob.system.temporary import FULL, made_folder, refusal

# Seconds without a call after which the process ends; the next call starts another.
IDLE: Final = 20.0
# Seconds for imports, which the file does not cause.
IMPORTS: Final = 120.0
# Times the limit of seconds, on a machine too busy to run the child.
STARVED: Final = 4
# The most bytes of an answer.
LONGEST: Final = 1 << 20
_TAIL: Final = 4096
_NO_MEMORY: Final = (
    b"bad_alloc",
    b"bad allocation",
    b"allocate memory",
    b"Unable to allocate",
    b"length_error",
    b"out of memory",
    b"MemoryError",
)
_WRITTEN: Final = 1 << 24


@dataclass(frozen=True)
class Call:
    """A call of `target` ("module:function") with `arguments`.

    Limits: `memory` in bytes, `seconds`, and `written` bytes of a file. `imports`: modules to load
    before; `directory`: the working directory.
    """

    target: str
    arguments: dict[str, Any]
    memory: int
    seconds: float
    written: int = _WRITTEN
    imports: tuple[str, ...] = ()
    directory: str = "."


def serve() -> None:
    """Answer calls from standard input on the standard output of the start, until standard input is
    closed or idle."""
    given, told = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    while select.select([given], [], [], IDLE)[0]:
        request = read_frame(given)
        if request is None:
            return
        try:
            # The pickle comes from relrob itself.
            call: Call = pickle.loads(request)  # noqa: S301
            write_frame(told, json.dumps(attend(call, (given, told))).encode())
        except BrokenPipeError:
            return


def attend(request: Call, others: tuple[int, ...] = ()) -> dict[str, Any]:
    """Fork, watch and answer: {"value": ...}, {"error": [class, given, accepted, hint]}, {"bug":
    text}, {"signal": n}, {"exit": n}, {"time": seconds} or {"memory": true}.

    `others`: descriptors that the child closes. Nobody waits any more when the first of them is
    closed on the other side.
    """
    for module in request.imports:
        load(f"{module}:__name__")
    try:
        folder = made_folder("relrob-reader-")
    except RelrobError as error:
        return _told(error)
    listen, speak = os.pipe()
    noise = os.memfd_create("noise")
    watcher = os.getpid()
    pid = os.fork()
    if pid == 0:
        _child(request, watcher, folder, listen, speak, noise, others)
    os.close(speak)
    try:
        outcome, status = _watch(pid, listen, request, others[:1])
        return outcome if outcome is not None else ended(status, request, tail(noise))
    finally:
        os.close(listen)
        os.close(noise)
        shutil.rmtree(folder, ignore_errors=True)


def _child(
    request: Call,
    watcher: int,
    folder: str,
    listen: int,
    speak: int,
    noise: int,
    others: tuple[int, ...],
) -> None:
    """Be the process that reads the file, as long as the process `watcher` lives. Never
    returns."""
    try:
        confine.die_with_parent(watcher)
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for number in (listen, *others):
            os.close(number)
        for number in (1, 2):
            os.dup2(noise, number)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        with suppress(OSError):
            os.chdir(request.directory)
        confine.write_only_below(folder)
        function: Callable[..., Any] = load(request.target)
        confine.limit(
            request.memory, request.written, lambda begins: _say(speak, {"importing": begins})
        )
        _say(speak, answer(function, request.arguments))
    finally:
        os._exit(0)


def answer(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The result of the function, or its failure, as JSON can hold it."""
    try:
        return {"value": function(**arguments)}
    except MemoryError:
        confine.lift()
        return {"memory": True}
    except RelrobError as error:
        confine.lift()
        if _of_memory(str(error).encode(errors="replace")):
            return {"memory": True}
        return _told(error)
    except BaseException as error:
        confine.lift()
        if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
            return {
                "error": ["RelrobError", error.strerror or "too many open files", "", DESCRIPTORS]
            }
        if isinstance(error, OSError) and error.errno in FULL:
            return _told(refusal(error))
        if _of_memory(str(error).encode(errors="replace")):
            return {"memory": True}
        return {"bug": f"{type(error).__name__}: {str(error)[:2000]}", "where": _where(error)}


def _told(error: RelrobError) -> dict[str, Any]:
    """An error as JSON can hold it."""
    return {"error": [type(error).__name__, *error.parts]}


def _of_memory(text: bytes) -> bool:
    return any(word in text for word in _NO_MEMORY)


def _where(error: BaseException) -> str:
    """The last line of relrob's own code in the traceback, as "file:line"."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "relrob" in name and "system" not in name:
            found = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _say(speak: int, frame: dict[str, Any]) -> None:
    write_frame(speak, json.dumps(frame).encode()[:LONGEST])


def _watch(
    pid: int, listen: int, request: Call, others: tuple[int, ...]
) -> tuple[dict[str, Any] | None, int]:
    """(the answer or None, wait status)."""
    clock, outcome = Clock(pid, request.seconds), None
    reader = Frames(listen)
    while outcome is None:
        ready, _, _ = select.select([listen, *others], [], [], clock.step())
        # The descriptor is closed: nobody asks twice at a time.
        if others and others[0] in ready:
            break
        if listen in ready:
            frames, open_still = reader.read()
            for frame in frames:
                if "importing" in frame:
                    clock.pause(bool(frame["importing"]))
                else:
                    outcome = frame
            if not open_still:
                break
        if outcome is None and clock.over():
            outcome = {"time": request.seconds}
    with suppress(ProcessLookupError):
        if outcome is not None or (others and not reader.ended):
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(ProcessLookupError, PermissionError):
        # Processes that the child may have started end too.
        os.killpg(pid, signal.SIGKILL)
    return outcome, status


class Clock:
    """The seconds that count: without those of imports, and without those in which the child waited
    for a processor."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._threads = Path(f"/proc/{pid}/task")
        self._seconds = seconds
        self._begin = time.monotonic()
        self._paused: float | None = None
        self._free = 0.0
        self._free_wait = 0.0

    def pause(self, begins: bool) -> None:
        """An import begins or ends."""
        now = time.monotonic()
        if begins and self._paused is None:
            self._paused, self._wait_then = now, self._waited()
        elif not begins and self._paused is not None:
            self._free += now - self._paused
            self._free_wait += self._waited() - self._wait_then
            self._paused = None

    def step(self) -> float:
        """Seconds until the next look."""
        return 0.2

    def over(self) -> bool:
        """True once the child has had its time."""
        now = time.monotonic()
        free = self._free + (now - self._paused if self._paused is not None else 0.0)
        if free > IMPORTS:
            return True
        if self._paused is not None:
            return False
        spent = now - self._begin - self._free
        return (
            spent - (self._waited() - self._free_wait) > self._seconds
            or spent > STARVED * self._seconds
        )

    def _waited(self) -> float:
        """Seconds that its threads together were ready to run while something else ran."""
        total = 0.0
        with suppress(OSError, ValueError, IndexError):
            for thread in self._threads.iterdir():
                total += int((thread / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return total


class Frames:
    """Frames of JSON from a pipe, as they arrive. After too many bytes, or bytes that are no JSON,
    the pipe counts as ended."""

    def __init__(self, source: int, longest: int = LONGEST) -> None:
        self._source = source
        self._longest = longest
        self._held = b""
        self._total = 0
        self.ended = False

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """(whole frames, True while more may come)."""
        block = os.read(self._source, 1 << 16)
        self._held += block
        self._total += len(block)
        frames = []
        while len(self._held) >= 4 and len(self._held) - 4 >= (
            size := struct.unpack("<I", self._held[:4])[0]
        ):
            try:
                frames.append(json.loads(self._held[4 : 4 + size]))
            except (ValueError, RecursionError):
                self._total = 2 * self._longest + 4096
                break
            self._held = self._held[4 + size :]
        self.ended = not block
        return [frame for frame in frames if isinstance(frame, dict)], bool(
            block
        ) and self._total <= self._longest + 4096


def ended(status: int, request: Call, tail: bytes) -> dict[str, Any]:
    """The reason why there was no answer. `status`: of waitpid; `tail`: the last output."""
    if _of_memory(tail):
        return {"memory": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


def tail(noise: int) -> bytes:
    """The last bytes that the child's libraries printed."""
    size = os.lseek(noise, 0, os.SEEK_END)
    os.lseek(noise, max(0, size - _TAIL), os.SEEK_SET)
    return os.read(noise, _TAIL)


def write_frame(target: int, data: bytes) -> None:
    """Write a frame: the length, then the bytes."""
    rest = struct.pack("<I", len(data)) + data
    while rest:
        rest = rest[os.write(target, rest) :]


def read_frame(source: int) -> bytes | None:
    """The next frame, or None at the end."""
    head = _exactly(source, 4)
    return None if head is None else _exactly(source, struct.unpack("<I", head)[0])


def _exactly(source: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        block = os.read(source, min(size - len(data), 1 << 20))
        if not block:
            return None
        data += block
    return data


if __name__ == "__main__":
    serve()
