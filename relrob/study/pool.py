"""Worker processes, each with one image at a time. A worker that dies costs the work on its image.

Each worker holds its own pipe: the parent knows the image of a dead worker. A worker whose parent
was killed ends at once, in the middle of its work. Ctrl-C is the parent's business.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

from relrob.domain.events import Event, Listener
from relrob.errors import RelrobError

log = logging.getLogger(__name__)


# The first message of a worker.
_READY = "ready"


@dataclass(frozen=True)
class Unanswered:
    """An item without an answer: two workers died over it."""

    item: int


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    item: int | None = None
    ready: bool = False


def _serve(pipe: Connection) -> None:
    """Run a worker: build the function, then answer item after item until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        make, given, tells = pipe.recv()
        function = make(given, pipe.send) if tells else make(given)
        pipe.send(_READY)
        while True:
            item = pipe.recv()
            try:
                answer = function(item)
            except RelrobError as error:
                answer = error
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except RelrobError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended: one item can take hours."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - only workers call this
    wait([parent.sentinel])
    os._exit(1)


def map_unordered(
    make: Callable[..., Callable[[int], Any]],
    given: Any,
    items: Iterable[int],
    workers: int,
    listener: Listener | None = None,
) -> Iterator[Any]:
    """Answers of `make(given)(item)` for each item, from `workers` processes, in any order.

    `items` may be a deque, to which the caller adds items while it takes answers. `listener`: of
    the events that workers send; `make(given, send)` is called then. `Unanswered` stands for an
    item that killed two workers. `make` is importable and `given` picklable. Closing the iterator
    stops the workers. Raises the RelrobError that a worker raised, or one when a worker cannot
    start.
    """
    waiting = items if isinstance(items, deque) else deque(items)
    tried = set[int]()
    context = multiprocessing.get_context("spawn")
    # Not as arguments of the process: a worker that ends before it has read these leaves its
    # parent waiting for good.
    work = bytes(ForkingPickler.dumps((make, given, listener is not None)))
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.item is not None for worker in crew):
            _fill(crew, work, waiting, workers, context)
            for ready in wait([worker.pipe for worker in crew if worker.item is not None]):
                worker = next(each for each in crew if each.pipe is ready)
                item = worker.item
                assert item is not None  # noqa: S101 - only busy workers are waited for
                try:
                    answer = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    if not worker.ready:
                        raise _no_start() from None
                    log.warning("a worker process died over image %d", item)
                    if item in tried:
                        yield Unanswered(item)
                    else:
                        tried.add(item)
                        waiting.append(item)
                    crew.remove(worker)
                    _stop(worker)
                    continue
                if isinstance(answer, RelrobError):
                    raise answer
                if isinstance(answer, Event):
                    if listener is not None:
                        listener(answer)
                    continue
                if not worker.ready:
                    worker.ready = True
                    continue
                _give(worker, waiting)
                yield answer
    finally:
        for worker in crew:
            _stop(worker)


def _fill(
    crew: list[_Worker], work: bytes, waiting: deque[int], workers: int, context: Any
) -> None:
    """Give every idle worker an item, and start workers for items that are left."""
    for worker in crew:
        if worker.item is None and waiting:
            _give(worker, waiting)
    first = len(crew)
    for _ in range(min(workers - first, len(waiting))):
        _start(crew, context)
    for worker in crew[first:]:
        _brief(worker, work, waiting)


def leave_unguarded() -> None:
    """End this process where it is a worker that runs the caller's script again from its first
    line: the script has no guard. Its parent tells the user (`_no_start`)."""
    # multiprocessing marks a worker so while it imports the script.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


def _no_start() -> RelrobError:
    """The error when a worker ends before it is ready."""
    return RelrobError(
        "a worker process ended before its first image, most often because it ran the caller's "
        "script again",
        "a script that calls relrob below `if __name__ == '__main__':`",
        "workers=1, which starts no process",
    )


def _start(crew: list[_Worker], context: Any) -> _Worker:
    """Add a worker. Raises RelrobError where the machine has no room for one."""
    # A process that Ctrl-C finds half started would write a traceback.
    with _uninterrupted():
        try:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
        except OSError as error:
            raise RelrobError(
                f"cannot start a worker process: {error.strerror or error}", hint="--workers 1"
            ) from error
        theirs.close()
        worker = _Worker(process, ours)
        crew.append(worker)
    return worker


def _brief(worker: _Worker, work: bytes, waiting: deque[int]) -> None:
    """Send a worker what it is to do, and its first item. Raises RelrobError where it has ended."""
    try:
        worker.pipe.send_bytes(work)
    except (BrokenPipeError, ConnectionResetError):
        raise _no_start() from None
    _give(worker, waiting)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block has ended. A process that starts in it never hears Ctrl-C.

    Blocking the signal is not enough. Another thread may take it, and the handler then runs in this
    one all the same. The resource tracker, should multiprocessing start it now, unblocks it.
    """
    resource_tracker.ensure_running()
    held: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(handler)
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if ours:
            signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


def _give(worker: _Worker, waiting: deque[int]) -> None:
    """Send the next item. A worker that has just died is noticed when its answer is read."""
    worker.item = waiting.popleft() if waiting else None
    if worker.item is not None:
        try:
            worker.pipe.send(worker.item)
        except (BrokenPipeError, ConnectionResetError):
            log.debug("worker %s is gone", worker.process.pid)


def _stop(worker: _Worker) -> None:
    """End a worker now: it holds nothing that must be kept."""
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
