"""`relrob.system.child`: what a foreign file can do to the process that reads it, and what becomes
of that."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relrob.errors import DatasetError, NetworkError, ShapeError, UsageError
from relrob.system import child, confine
from relrob.system.nursery import Clock

MIB = 2**20


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Iterator[None]:
    yield
    child.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second instead of ten."""
    monkeypatch.setattr(child, "SECONDS", 1.0)


def guarded(function: str, size: int = 0, **arguments: Any) -> Any:
    """A function of this file, in a child."""
    return child.guarded(
        f"tests.system.test_child:{function}",
        arguments,
        name="FILE",
        size=size,
        failure=NetworkError,
        accepted="whole files",
    )


def double(value: int) -> dict[str, int]:
    return {"twice": 2 * value, "process": os.getpid()}


def refuse() -> None:
    raise ShapeError("FILE has 3 outputs", "2", "another file")


def stumble() -> None:
    raise KeyError("layer\x1b[2J")


def crash() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def leave() -> None:
    os._exit(3)


def wait(path: str) -> None:
    Path(path).read_bytes()


def spin() -> None:
    while True:
        pass


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(3600)


def fill(size: int) -> int:
    return len(bytes(size))


def map_natively() -> None:
    """As C++ does it: the allocation fails, the library says so and aborts."""
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def import_then_fill(size: int) -> int:
    with confine.importing():
        kept = bytes(size)
    return len(kept) + len(bytes(size // 4))


def slow_import(seconds: float) -> str:
    with confine.importing():
        time.sleep(seconds)
    return "imported"


def write_file(path: str) -> None:
    Path(path).write_text("written")


def start_program(path: str) -> None:
    subprocess.run([sys.executable, "-c", f"open({path!r}, 'w')"], check=True)


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5)


def nonsense() -> object:
    return object()


def chatter() -> int:
    for stream in (1, 2):
        os.write(stream, b"chatter" * 10_000)
    return len(os.read(0, 10))


def where() -> str:
    return str(Path.cwd())


def test_a_result_comes_from_another_process() -> None:
    told = guarded("double", value=21)
    assert told["twice"] == 42
    assert told["process"] != os.getpid()
    assert guarded("double", value=1)["process"] != told["process"]


def test_errors_of_relrob_come_as_they_are() -> None:
    with pytest.raises(ShapeError) as caught:
        guarded("refuse")
    assert str(caught.value) == "FILE has 3 outputs; accepted: 2; try: another file"


def test_any_other_exception_is_one_line_without_control_characters() -> None:
    with pytest.raises(NetworkError, match="FILE cannot be read: KeyError") as caught:
        guarded("stumble")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("function", "number"), [("crash", signal.SIGSEGV), ("abort", signal.SIGABRT)]
)
def test_a_crash_is_one_line(function: str, number: int) -> None:
    with pytest.raises(
        NetworkError,
        match=rf"^FILE ended its reader with a crash \(signal {number:d}\); accepted: whole",
    ):
        guarded(function)
    assert guarded("double", value=2)["twice"] == 4


def test_an_end_without_an_answer_and_an_answer_that_is_no_json() -> None:
    for function in ("leave", "nonsense"):
        with pytest.raises(NetworkError, match="FILE cannot be read"):
            guarded(function)


@pytest.mark.usefixtures("short")
def test_a_pipe_a_loop_and_a_child_that_heeds_no_signal_end_in_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    asked: dict[str, dict[str, Any]] = {
        "wait": {"path": str(tmp_path / "pipe")},
        "spin": {},
        "deaf": {},
    }
    for function, arguments in asked.items():
        with pytest.raises(NetworkError, match=r"^FILE was not read within 1 s; accepted"):
            guarded(function, **arguments)


@pytest.mark.usefixtures("short")
def test_time_grows_with_the_size_and_imports_do_not_count() -> None:
    assert guarded("slow_import", seconds=2.5) == "imported"
    with pytest.raises(NetworkError, match="within 2 s"):
        guarded("spin", size=20_000_000)


def test_memory_ends_in_one_line_that_names_the_option() -> None:
    with pytest.raises(
        DatasetError, match=r"^FILE needed more than 2 GiB to read; .*try: --memory 4$"
    ):
        ask_fill(3 * 2**30)
    with pytest.raises(NetworkError, match="needed more than"):
        guarded("map_natively")


def ask_fill(size: int, memory: float | None = None, file: int = 0) -> Any:
    return child.guarded(
        "tests.system.test_child:fill",
        {"size": size},
        name="FILE",
        size=file,
        failure=DatasetError,
        accepted="x",
        memory=memory,
    )


def test_the_option_and_the_size_of_the_file_raise_the_limit() -> None:
    with pytest.raises(DatasetError, match=r"needed more than 0.25 GiB"):
        ask_fill(300 * MIB, 0.25)
    assert ask_fill(300 * MIB, 0.5) == 300 * MIB
    assert ask_fill(300 * MIB, 0.25, 100 * MIB) == 300 * MIB


def test_what_is_imported_does_not_count() -> None:
    told = child.guarded(
        "tests.system.test_child:import_then_fill",
        {"size": 200 * MIB},
        name="FILE",
        size=0,
        failure=NetworkError,
        accepted="x",
        memory=0.1,
    )
    assert told == 250 * MIB


@pytest.mark.parametrize("memory", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(memory: float) -> None:
    with pytest.raises(UsageError, match="memory"):
        ask_fill(1, memory)


def test_nothing_is_written_started_or_called(tmp_path: Path) -> None:
    if not _landlock():
        pytest.skip("this Linux has no Landlock")
    target = tmp_path / "target"
    for function in ("write_file", "start_program"):
        with pytest.raises(NetworkError, match="PermissionError"):
            guarded(function, path=str(target))
    assert not target.exists()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(NetworkError, match="PermissionError"),
    ):
        guarded("connect", port=server.getsockname()[1])


def _landlock() -> bool:
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))) >= 4


def test_chatter_goes_nowhere_and_nothing_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    assert guarded("chatter") == 0
    assert capfd.readouterr() == ("", "")


def test_relative_paths_mean_what_they_mean_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded("where") == str(tmp_path.resolve())


def test_a_helper_that_was_killed_is_replaced() -> None:
    guarded("double", value=1)
    process = child._nursery._process
    assert process is not None
    process.kill()
    process.wait()
    assert guarded("double", value=3)["twice"] == 6


def test_an_interrupt_ends_helper_and_child(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path[:0] = ['.', 'solvers', 'datasets']\n"
        "from tests.system.test_child import guarded\n"
        "try:\n    guarded('double', value=1); print('ready', flush=True); guarded('deaf')\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    helper = _children(process.pid)
    while not (grandchild := [each for one in helper for each in _children(one)]):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert _gone([*helper, *grandchild])


@pytest.mark.parametrize("orphaned", [True, False])
def test_a_child_that_comes_too_late_to_be_watched_ends(orphaned: bool) -> None:
    """Its parent may end between the fork and the call that ties it to its parent."""
    script = (
        "import os, time; from relrob.system.confine import die_with_parent\n"
        "parent = os.getpid()\n"
        "if child := os.fork():\n"
        f"    {orphaned} or os.waitpid(child, 0); os._exit(0)\n"
        f"while {orphaned} and os.getppid() == parent:\n    time.sleep(0.01)\n"
        "die_with_parent(parent)\n"
        "os.write(1, b'alive'); os._exit(0)\n"
    )
    # The call returns when nobody holds the pipe any more.
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    assert told.stdout == (b"" if orphaned else b"alive")


def _children(process: int) -> list[int]:
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def _gone(processes: list[int]) -> bool:
    for _ in range(6000):
        if not any(_runs(one) for one in processes):
            return True
        time.sleep(0.01)
    return False


def _runs(process: int) -> bool:
    """Does it run still? A dead one stays as a zombie where nobody reaps orphans."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_calls_from_threads_wait_for_each_other() -> None:
    told: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: told.append(guarded("double", value=n)["twice"]))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [0, 2, 4, 6]


def test_holes_of_a_file_do_not_count_as_its_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    assert child.size_of(tmp_path / "sparse") < MIB
    (tmp_path / "full").write_bytes(b"x" * 100_000)
    assert child.size_of(tmp_path) >= 100_000 == child.size_of(tmp_path / "full")
    assert child.size_of(tmp_path / "missing") == 0


def test_seconds_without_a_processor_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock(os.getpid(), 10.0)
    monkeypatch.setattr(clock, "_waited", lambda: 0.8 * (now[0] - 100.0))
    now[0] = 130.0
    assert not clock.over()
    now[0] = 141.0
    assert clock.over()
