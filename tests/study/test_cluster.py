"""Dask: real worker processes on loopback, one killed in mid-run, one image that kills every
worker; the store is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.config
import distributed
import pytest
from distributed import WorkerPlugin

from relrob.domain.events import Event
from relrob.domain.record import ImageResult, Set
from relrob.domain.verdict import Reason
from relrob.errors import DatasetError, RelrobError, StoreError, UsageError
from relrob.registry import load_extra
from relrob.store.run_directory import Store
from relrob.study import cluster as tested
from relrob.study.plan import make_plan
from relrob.study.run import check_scheduler, run
from relrob.study.work import Plan, make_classifier, make_in_worker
from tests.cli_case import Case, relrob_command

LOCAL: Any = distributed.LocalCluster  # typed as if their answers could be awaited
CLIENT: Any = distributed.Client


@pytest.fixture
def dask_cluster(tmp_path: Path) -> Iterator[Any]:
    """Two worker processes, of a thread each; a task is given up at its second worker's death."""
    settings = {"distributed.scheduler.allowed-failures": 1, "distributed.admin.log-length": 0}
    with (
        dask.config.set({**settings, "temporary-directory": str(tmp_path)}),
        LOCAL(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
    ):
        yield cluster


def plan_of(case: Case, images: str = "0:24") -> Plan:
    """A ladder run on the small data set."""
    return make_plan(case.request(images))


def whole(plan: Plan, folder: Path) -> str:
    """What one process makes of it."""
    with Store.open(folder, plan.config) as store:
        run(plan, store)
        return store.content_sha256()


def test_a_killed_worker_costs_nothing(case: Case, tmp_path: Path, dask_cluster: Any) -> None:
    plan, address = plan_of(case), dask_cluster.scheduler_address
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if event.stage == "images" and event.done == 5 and not killed:
            with CLIENT(address, set_as_default=False) as client:
                victim = sorted(client.run(os.getpid).values())[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    with Store.open(tmp_path / "cluster", plan.config) as store:
        run(plan, store, listener=kill_one, scheduler=address)
        assert killed and len(store.done()) == 24
        assert store.content_sha256() == whole(plan, tmp_path / "here")


class Poison(WorkerPlugin):  # type: ignore[misc]
    """Image 3 kills whoever looks at it; image 6 the first one that does; image 9 fails with what
    nobody expects."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen

    def setup(self, worker: Any) -> None:
        seen, made = self.seen, make_in_worker

        def poisoned(plan: Plan) -> Callable[[int], ImageResult]:
            function = made(plan)

            def decide(index: int) -> ImageResult:
                if index == 3 or (index == 6 and not seen.exists()):
                    if index == 6:
                        seen.touch()
                    os._exit(1)
                if index == 9:
                    raise ZeroDivisionError("nobody expects me")
                return function(index)

            return decide

        changed: Any = tested
        changed.make_in_worker = poisoned


def test_a_poisoned_image_is_unknown_and_the_rest_is_decided(
    case: Case, tmp_path: Path, dask_cluster: Any
) -> None:
    plan = plan_of(case, "0:12")
    with CLIENT(dask_cluster, set_as_default=False) as client:
        client.register_plugin(Poison(tmp_path / "seen"))
    with Store.open(tmp_path / "cluster", plan.config) as store:
        run(plan, store, scheduler=dask_cluster.scheduler_address)
        records = {record.index: record for record in store.records()}
    with Store.open(tmp_path / "here", plan.config) as store:
        run(plan, store)
        expected = {record.index: record for record in store.records()}
    assert [index for index, record in records.items() if record.set is Set.UNKNOWN] == [3, 9]
    assert Reason.CRASH.value in records[3].reason
    assert {i: r for i, r in records.items() if i not in (3, 9)} == {
        i: r for i, r in expected.items() if i not in (3, 9)
    }


def test_the_command_and_what_it_refuses(case: Case, tmp_path: Path, dask_cluster: Any) -> None:
    address = dask_cluster.scheduler_address
    for out, more in (("one", ["--scheduler", address]), ("two", [])):
        done = relrob_command(case.arguments("--out", out, "--json", *more), tmp_path)
        assert json.loads(done.stdout)["sets"]["unknown"] == 0 and not done.stderr
    with Store.read(tmp_path / "one") as one, Store.read(tmp_path / "two") as two:
        assert one.content_sha256() == two.content_sha256()
    refused = relrob_command(
        case.arguments("--scheduler", "tcp://127.0.0.1:9"), tmp_path, check=False
    )
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9; accepted:" in refused.stderr
    refused = relrob_command(case.arguments("--scheduler", "nonsense"), tmp_path, check=False)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "scheduler 'nonsense'; accepted: PROTOCOL://HOST:PORT" in refused.stderr


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:9", "", "tcp://", "host:8786"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match=f"scheduler '{address}'"):
        check_scheduler(address)


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tested, "WORKERS_SECONDS", 0.2)
    with (
        LOCAL(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        pytest.raises(UsageError, match="has no workers"),
    ):
        check_scheduler(cluster.scheduler_address)


@contextmanager
def started_by_hand(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`dask scheduler` and one `dask worker`, as on a machine of one's own: the scheduler's process
    and its address."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command, null = [sys.executable, "-m", "dask"], subprocess.DEVNULL
    file = folder / "scheduler.json"
    options = [
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    scheduler = subprocess.Popen([*command, *options], cwd=folder, env=environment, stderr=null)
    options = ["worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
    options += ["--death-timeout", "60"]
    worker = subprocess.Popen([*command, *options], cwd=folder, env=environment, stderr=null)
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield scheduler, json.loads(file.read_text())["address"]
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait()


def test_a_scheduler_that_goes_away_leaves_a_run_to_resume(case: Case, tmp_path: Path) -> None:
    plan = plan_of(case)
    with Store.open(tmp_path / "run", plan.config) as store:
        with started_by_hand(tmp_path) as (scheduler, address):

            def kill(event: Event) -> None:
                if event.stage == "images" and event.done == 3:
                    scheduler.kill()
                    scheduler.wait()

            with pytest.raises(RelrobError, match="went away"):
                run(plan, store, listener=kill, scheduler=address)
        assert 3 <= len(store.done()) < 24
        run(plan, store)
        assert store.content_sha256() == whole(plan, tmp_path / "here")


def test_a_killed_driver_loses_nothing(case: Case, tmp_path: Path, dask_cluster: Any) -> None:
    """SIGKILL while the cluster works for it, then the same command again."""
    arguments = case.arguments(
        "--out", "killed", "--scheduler", dask_cluster.scheduler_address, "-q"
    )
    environment = {
        **os.environ,
        "RELROB_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "relrob", *arguments], cwd=tmp_path, env=environment
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with (
            suppress(StoreError),
            Store.read(tmp_path / "killed") as store,
        ):  # not there yet, or being made
            if store.done():
                break
        time.sleep(0.02)
    process.kill()
    process.wait()
    relrob_command(arguments, tmp_path)
    relrob_command(case.arguments("--out", "here", "-q"), tmp_path)
    with Store.read(tmp_path / "killed") as one, Store.read(tmp_path / "here") as two:
        assert one.content_sha256() == two.content_sha256()


def test_a_shipment_needs_no_shared_disk(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    plan = plan_of(case, "0:3")
    sent = tested.packed(plan)
    assert Path(tested.unpacked(sent).reference.path) == case.reference.resolve()
    far = replace(sent.plan, reference=replace(sent.plan.reference, path="/nowhere/ref.onnx"))
    files = {"/nowhere/ref.onnx": sent.files[sent.plan.reference.path]}
    there = tested.unpacked(replace(sent, plan=far, files=files))
    assert Path(there.reference.path).parent == tmp_path / "cache" / "shipped"
    assert Path(there.reference.path).read_bytes() == case.reference.read_bytes()
    assert make_classifier(there)(0).record == make_classifier(plan)(0).record


def test_a_worker_of_another_kind_is_refused(case: Case) -> None:
    sent = tested.packed(plan_of(case, "0:3"))
    with pytest.raises(UsageError, match=r"a worker has relrob .* accepted: 9\.9"):
        tested.unpacked(replace(sent, version="9.9"))
    header = {**sent.plan.header, "dataset": {**sent.plan.header["dataset"], "sha256": "0" * 64}}
    with pytest.raises(DatasetError, match="other images"):
        tested.unpacked(replace(sent, plan=replace(sent.plan, header=header)))


def test_an_extra_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "broken.py").write_text("import relrob.nothing_of_that_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        UsageError,
        match=r"nothing_of_that_name is not installed; try: pip install 'relrob\[distributed\]'",
    ):
        load_extra("needy:x", "distributed")
    with pytest.raises(ModuleNotFoundError):
        load_extra("broken:x", "distributed")
