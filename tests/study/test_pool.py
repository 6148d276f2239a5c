"""The worker pool: order does not matter, deaths cost one item, errors travel."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from relrob.domain.events import Event
from relrob.errors import RelrobError, UsageError
from relrob.study import pool
from relrob.study.pool import Unanswered, map_unordered
from relrob.study.run import worker_count

ROOT = Path(__file__).resolve().parents[2]


def make_square(given: int) -> Callable[[int], int]:
    return lambda item: given * item * item


def make_deadly(given: Path) -> Callable[[int], int]:
    """Item 3 kills its worker each time; item 5 only the first time."""

    def function(item: int) -> int:
        if item == 3 or (item == 5 and not given.exists()):
            if item == 5:
                given.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    return function


def make_refusing(given: None) -> Callable[[int], int]:
    def function(item: int) -> int:
        raise UsageError(f"item {item}", "none")

    return function


def make_hopeless(given: None) -> Callable[[int], int]:
    raise UsageError("cannot start", "something else")


def test_every_item_once() -> None:
    assert sorted(map_unordered(make_square, 2, range(20), 2)) == [2 * i * i for i in range(20)]
    assert list(map_unordered(make_square, 2, [], 2)) == []


def test_items_that_are_added_while_answers_are_taken_are_done_too() -> None:
    """Each answer below 100 brings two items more, also where every worker was idle."""
    waiting = deque([1])
    found = []
    for answer in map_unordered(make_square, 1, waiting, 2):
        found.append(answer)
        if len(found) < 4:
            waiting.extend((len(found) * 2, len(found) * 2 + 1))
    assert sorted(found) == [i * i for i in range(1, 8)]


def make_telling(given: int, send: Callable[[Event], None]) -> Callable[[int], int]:
    def function(item: int) -> int:
        for step in range(given):
            send(Event("note", f"item {item}", step, given))
        return item

    return function


def test_events_of_workers_reach_the_listener_before_the_answer() -> None:
    told: list[Event] = []
    for item in map_unordered(make_telling, 3, range(4), 2, told.append):
        assert [e.done for e in told if e.text == f"item {item}"] == [0, 1, 2]
    assert len(told) == 12


def test_a_death_costs_one_item_and_only_a_second_one_loses_it(tmp_path: Path) -> None:
    answers = list(map_unordered(make_deadly, tmp_path / "seen", range(8), 2))
    assert [a for a in answers if isinstance(a, Unanswered)] == [Unanswered(3)]
    assert sorted(a for a in answers if not isinstance(a, Unanswered)) == [0, 1, 2, 4, 5, 6, 7]


def make_broken(given: None) -> Callable[[int], object]:
    """Item 1 raises what no caller expects, item 2 an answer that cannot travel, item 4 is
    interrupted from the keyboard."""

    def function(item: int) -> object:
        if item == 1:
            raise ZeroDivisionError("a bug")
        if item == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return (lambda: item) if item == 2 else item

    return function


def test_bugs_and_answers_that_cannot_travel_lose_their_item_alone() -> None:
    answers = list(map_unordered(make_broken, None, range(6), 2))
    assert sorted(a.item for a in answers if isinstance(a, Unanswered)) == [1, 2]
    assert sorted(a for a in answers if not isinstance(a, Unanswered)) == [0, 3, 4, 5]


def test_no_more_workers_than_items_and_none_left_behind() -> None:
    """Closing the iterator early stops the processes at once."""
    before = set(multiprocessing.active_children())
    assert len(set(map_unordered(make_slow, None, range(2), 8))) <= 2
    endless = map_unordered(make_slow, None, range(10**6), 2)
    pids = {next(endless) for _ in range(4)}
    assert all(_alive(pid) for pid in pids)
    assert isinstance(endless, Generator)
    endless.close()
    assert not any(_alive(pid) for pid in pids)
    assert set(multiprocessing.active_children()) == before


def make_deaf(given: None) -> Callable[[int], bool]:
    """Was Ctrl-C kept from this process before any of its modules was imported?"""
    deaf = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    return lambda item: deaf


def test_workers_are_deaf_to_ctrl_c_from_birth_and_their_parent_is_not() -> None:
    handler = signal.getsignal(signal.SIGINT)
    assert list(map_unordered(make_deaf, None, range(2), 2)) == [True, True]
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_ctrl_c_while_a_worker_is_started_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another thread takes the signal, as those of native libraries do. The worker runs
    then, and its parent must know it to end it."""
    given, born, start = list[int | None](), list[BaseProcess](), SpawnProcess.start

    def give(worker: pool._Worker, waiting: deque[int]) -> None:
        given.append(worker.process.pid)

    def interrupted(process: SpawnProcess) -> None:
        start(process)
        born.append(process)
        thread = threading.Thread(target=_take_ctrl_c)
        thread.start()
        thread.join()

    monkeypatch.setattr(pool, "_give", give)
    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    # A shell that starts the tests in its background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            list(map_unordered(make_square, 2, range(3), 2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted.__name__ not in [entry.name for entry in caught.traceback]
    assert len(born) == 1 and not given and not multiprocessing.active_children()


def _take_ctrl_c() -> None:
    """Send Ctrl-C to this thread alone, which inherited the mask of the one that started it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_no_room_for_a_worker_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Pipe", full)
    with pytest.raises(
        RelrobError, match="cannot start a worker process: Too many open files; try: --workers 1"
    ):
        list(map_unordered(make_square, 2, range(3), 2))


@pytest.mark.parametrize("make", [make_refusing, make_hopeless])
def test_errors_of_workers_reach_the_parent(make: Callable[[None], Callable[[int], int]]) -> None:
    with pytest.raises(UsageError, match="accepted"):
        list(map_unordered(make, None, range(3), 2))


@pytest.mark.parametrize("make", ["make_slow", "make_stuck"])
def test_workers_leave_when_their_parent_is_killed(make: str, tmp_path: Path) -> None:
    """Between two items, and in the middle of one that would take ten minutes."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'solvers')!r}, {str(ROOT / 'datasets')!r}]\n"
        "from relrob.study.pool import map_unordered\n"
        f"from tests.study.test_pool import {make} as make\n"
        "if __name__ == '__main__':\n"
        f"    for _ in map_unordered(make, {str(tmp_path)!r}, range(10**6), 2):\n"
        "        pass\n",
        encoding="utf-8",
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    while len(pids := [int(path.name) for path in tmp_path.glob("[0-9]*")]) < 2:
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def make_stuck(given: str) -> Callable[[int], int]:
    """Each item leaves the number of its process in the folder `given`, and takes ten minutes."""

    def function(item: int) -> int:
        Path(given, str(os.getpid())).touch()
        time.sleep(600)
        return item

    return function


def make_slow(given: str | None) -> Callable[[int], int]:
    """Each item leaves the number of its process in the folder `given`, if there is one."""

    def function(item: int) -> int:
        if given is not None:
            Path(given, str(os.getpid())).touch()
        time.sleep(0.01)
        return os.getpid()

    return function


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_worker_counts_that_mean_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="auto, or a whole number"):
        worker_count(text)


def test_auto_is_the_cores_that_this_process_may_use() -> None:
    assert worker_count("auto") == len(os.sched_getaffinity(0))
