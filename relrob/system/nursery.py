"""The far side of `relrob.system.child`: a process that imports, then forks one child a request and
watches over it.

Nothing foreign is read here, only in the children. Requests come from relrob itself and are
pickles; a child may have been taken over by the file that it read, so its answer is JSON, of
bounded length, and never anything that could run.
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

IDLE: Final = 20.0  # seconds without a request after which it ends; the next one starts another
IMPORTS: Final = 120.0  # seconds for imports, which are ours and not the file's
STARVED: Final = 4  # times the limit, where the machine is too busy to run the child
LONGEST: Final = 1 << 20  # bytes of an answer
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
class Request:
    """Call `target` ("module:function") with `arguments`; at most `memory` bytes, `seconds`, and
    files of `written` bytes."""

    target: str
    arguments: dict[str, Any]
    memory: int
    seconds: float
    written: int = _WRITTEN
    imports: tuple[str, ...] = ()
    directory: str = "."


def serve() -> None:
    """Requests from standard input, answers to what was standard output, until the one is closed or
    idle."""
    given, told = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    while select.select([given], [], [], IDLE)[0]:
        request = read_frame(given)
        if request is None:
            return
        try:
            write_frame(told, json.dumps(attend(pickle.loads(request), (given, told))).encode())  # noqa: S301 - from relrob
        except BrokenPipeError:
            return


def attend(request: Request, others: tuple[int, ...] = ()) -> dict[str, Any]:
    """Fork, watch, answer: {"value": ...}, {"error": [class, given, accepted, hint]}, {"bug":
    text}, {"signal": n}, {"exit": n}, {"time": seconds} or {"memory": bytes}. `others`: descriptors
    that the child closes; the first gone means that nobody waits."""
    for module in request.imports:
        load(f"{module}:__name__")
    folder = tempfile.mkdtemp(prefix="relrob-reader-")
    listen, speak = os.pipe()
    noise = os.memfd_create("noise")
    pid = os.fork()
    if pid == 0:
        _child(request, folder, listen, speak, noise, others)
    os.close(speak)
    try:
        outcome, status = _watch(pid, listen, request, others[:1])
        return outcome if outcome is not None else ended(status, request, tail(noise))
    finally:
        os.close(listen)
        os.close(noise)
        shutil.rmtree(folder, ignore_errors=True)


def _child(
    request: Request, folder: str, listen: int, speak: int, noise: int, others: tuple[int, ...]
) -> None:
    """The process that reads the file. Never returns."""
    try:
        os.setsid()
        confine.die_with_parent()
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
    """What the function gives, or how it failed, as JSON can say it."""
    try:
        return {"value": function(**arguments)}
    except MemoryError:
        confine.lift()
        return {"memory": True}
    except RelrobError as error:
        confine.lift()
        if _of_memory(str(error).encode(errors="replace")):
            return {"memory": True}
        return {"error": [type(error).__name__, *error.parts]}
    except BaseException as error:
        confine.lift()
        if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
            return {
                "error": ["RelrobError", error.strerror or "too many open files", "", DESCRIPTORS]
            }
        if _of_memory(str(error).encode(errors="replace")):
            return {"memory": True}
        return {"bug": f"{type(error).__name__}: {str(error)[:2000]}", "where": _where(error)}


def _of_memory(text: bytes) -> bool:
    return any(word in text for word in _NO_MEMORY)


def _where(error: BaseException) -> str:
    """The last line of relrob's own code, for whoever mends it."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "relrob" in name and "system" not in name:
            found = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _say(speak: int, what: dict[str, Any]) -> None:
    write_frame(speak, json.dumps(what).encode()[:LONGEST])


def _watch(
    pid: int, listen: int, request: Request, others: tuple[int, ...]
) -> tuple[dict[str, Any] | None, int]:
    """(the answer or None, wait status)."""
    clock, outcome = Clock(pid, request.seconds), None
    reader = Frames(listen)
    while outcome is None:
        ready, _, _ = select.select([listen, *others], [], [], clock.step())
        if others and others[0] in ready:  # closed, since nobody asks twice at a time
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
        os.killpg(pid, signal.SIGKILL)  # what it may have started
    return outcome, status


class Clock:
    """Seconds that count: not those of imports, and not those in which the child waited for a
    processor."""

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
        """When to look again."""
        return 0.2

    def over(self) -> bool:
        """Has it had its time?"""
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
        """Seconds that its threads, all together, were ready to run and something else ran."""
        total = 0.0
        with suppress(OSError, ValueError, IndexError):
            for thread in self._threads.iterdir():
                total += int((thread / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return total


class Frames:
    """Frames of JSON from a pipe, as they arrive; too many bytes, or no JSON, and it counts as
    ended."""

    def __init__(self, source: int, longest: int = LONGEST) -> None:
        self._source = source
        self._longest = longest
        self._held = b""
        self._total = 0
        self.ended = False

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """(whole frames, whether more may come)."""
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


def ended(status: int, request: Request, tail: bytes) -> dict[str, Any]:
    """Why there was no answer."""
    if _of_memory(tail):
        return {"memory": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


def tail(noise: int) -> bytes:
    """The last that the child's libraries printed."""
    size = os.lseek(noise, 0, os.SEEK_END)
    os.lseek(noise, max(0, size - _TAIL), os.SEEK_SET)
    return os.read(noise, _TAIL)


def write_frame(target: int, data: bytes) -> None:
    """The length, then the bytes."""
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
