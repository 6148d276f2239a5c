"""A function that reads a foreign file, called in a process of its own with limits of memory and
time.

The first call starts a nursery (`relrob.system.nursery`): an interpreter that imports the libraries
of readers and forks a child for each call. It ends by itself when it is idle. The answer is plain
JSON and never a pickle, because a file that takes over its reader must not get further. relrob then
reads the file again itself, from the same bytes.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from relrob import errors
from relrob.errors import RelrobError, UsageError
from relrob.system.nursery import Call, read_frame, write_frame

GIB: Final = 2**30
# GiB above the memory that the interpreter has mapped.
MEMORY: Final = 2.0
SECONDS: Final = 10.0
# Copies of the file in memory that a reader may make.
_COPIES: Final = 3
# Bytes a second that a slow disk and a busy machine read.
_SPEED: Final = 20_000_000
_BOOT: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from relrob.system.nursery import serve; serve()"
)
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_ENVIRONMENT: Final = {
    **dict.fromkeys(_THREADS, "1"),
    # More arenas, and graphics cards, take address space that no file asked for.
    "MALLOC_ARENA_MAX": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# Prefixes of variables that the helper must share.
_HEEDED: Final = (
    "KERAS",
    "TF_",
    "RELROB",
    "OPENBLAS",
    "TMPDIR",
    "HOME",
    "PYTHON",
)
_AGAIN: Final = "copy or export the file again"


def check_memory(memory: float | None) -> None:
    """Raise UsageError for a number that is no limit in GiB."""
    if memory is not None and not 0 < memory < 2**20:
        raise UsageError(f"memory {memory:g}", "GiB, a number above 0", "--memory 4")


def size_of(path: str | Path) -> int:
    """Bytes on the disk of a file, or of all files below a directory. Holes of sparse files do not
    count."""
    top = Path(path)
    total = 0
    with suppress(OSError, ValueError):
        for file in (top, *top.rglob("*")) if top.is_dir() else (top,):
            found = file.stat()
            total += min(found.st_size, found.st_blocks * 512)
    return total


def guarded(
    target: str,
    arguments: dict[str, Any],
    *,
    name: str,
    size: int,
    failure: type[RelrobError],
    accepted: str,
    memory: float | None = None,
    imports: Sequence[str] = (),
) -> Any:
    """The result of `target` ("module:function") for `arguments`, as JSON, computed in a child.

    `name` and `size`: the file that it reads, in words, and its bytes. `memory`: GiB, None for the
    default; three times the size is added. `imports`: modules that are loaded once, before.
    `accepted`: words of the error. Raises the RelrobError that the function raised, and `failure`
    where the child ended otherwise.
    """
    check_memory(memory)
    allowed = int((MEMORY if memory is None else memory) * GIB) + _COPIES * size
    seconds = SECONDS + size / _SPEED
    request = Call(
        target, arguments, allowed, seconds, size + (1 << 24), tuple(imports), str(Path.cwd())
    )
    outcome = _nursery.ask(request)
    if "value" in outcome:
        return outcome["value"]
    if "memory" in outcome:
        raise failure(
            f"{name} needed more than {allowed / GIB:.3g} GiB to read",
            accepted,
            f"--memory {_more(allowed)}",
        )
    if "time" in outcome:
        raise failure(f"{name} was not read within {seconds:.0f} s", accepted, _AGAIN)
    if "signal" in outcome:
        raise failure(
            f"{name} ended its reader with a crash (signal {outcome['signal']})", accepted, _AGAIN
        )
    if "error" in outcome:
        kind, *parts = (str(part) for part in outcome["error"])
        raise _kind(kind, failure)(*parts[:3])
    told = str(outcome.get("bug", f"its reader ended without an answer ({outcome.get('exit')})"))
    raise failure(f"{name} cannot be read: {told}", accepted, _AGAIN)


def _more(allowed: int) -> int:
    """GiB to try next."""
    return max(4, 2 * round(allowed / GIB))


def _kind(name: str, failure: type[RelrobError]) -> type[RelrobError]:
    """The class of that name in `relrob.errors`."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, RelrobError) else failure


class _Nursery:
    """The helper process, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._others: list[subprocess.Popen[bytes] | None] = []
        self._lock = Lock()

    def ask(self, request: Call) -> dict[str, Any]:
        """The answer of the helper. A helper that has gone is replaced once."""
        with self._lock:
            try:
                return self._try(request) or self._try(request) or {"exit": "its watcher ended"}
            except BaseException:
                # Ctrl-C, above all, must not leave a helper that still works.
                self.close()
                raise

    def _try(self, request: Call) -> dict[str, Any] | None:
        process = self._started()
        if process.stdin is None or process.stdout is None:
            return None
        try:
            write_frame(process.stdin.fileno(), pickle.dumps(request))
            told = read_frame(process.stdout.fileno())
        except BrokenPipeError:
            told = None
        if told is None:
            self.close()
            return None
        answer: dict[str, Any] = json.loads(told)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(_HEEDED)
        }
        if environment != self._environment:
            self.close()
        self._environment = environment
        if self._process is None:
            command = [
                sys.executable,
                "-P",
                "-W",
                "ignore",
                "-c",
                _BOOT,
                json.dumps([os.fspath(p) for p in sys.path]),
            ]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
                bufsize=0,
            )
        return self._process

    def close(self) -> None:
        """End the helper, and with it the child that it watches."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def forget(self) -> None:
        """Let go of the helper after a fork: it is the parent's."""
        # A reference stays, or this process would wait for the parent's child.
        self._others.append(self._process)
        self._process, self._lock = None, Lock()


_nursery = _Nursery()
close = _nursery.close
atexit.register(close)
os.register_at_fork(after_in_child=_nursery.forget)
