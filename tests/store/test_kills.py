"""A store survives kill -9, full disks, few descriptors and a second relrob beside it."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from relrob.api.study import table_text
from relrob.store import sqlite_file
from relrob.store.radius_directory import FILE as RADII
from relrob.store.radius_directory import RadiusStore
from relrob.store.run_directory import FILE, Store
from tests import make_radii
from tests.make_records import (
    make_config,
    make_record,
    make_result,
)
from tests.store.stores import filled, refused
from tests.support import ROOT

Whole = Callable[[Path], frozenset[int]]
KILLED_AT: dict[str, str] = {
    "before the first byte": "open(path, 'w').close()",
    "while the first transaction is in memory": "c.execute('BEGIN'); "
    "c.execute('CREATE TABLE meta (key)')",
    "while it is written": "c.execute('PRAGMA cache_size=1'); c.execute('PRAGMA cache_spill=1'); "
    "c.execute('BEGIN'); c.execute('CREATE TABLE a (b)'); "
    "[c.execute('INSERT INTO a VALUES (zeroblob(9000))') for _ in range(9)]",
    "before the tables": "c.execute('PRAGMA page_size=8192'); c.execute('VACUUM')",
}


@pytest.mark.parametrize("moment", [*KILLED_AT, "with a journal alone"])
def test_a_killed_creation_is_no_run_yet(tmp_path: Path, moment: str) -> None:
    program = (
        "import os, sqlite3, sys; path = sys.argv[1]; "
        "c = sqlite3.connect(path, isolation_level=None);"
    )
    killed_at = KILLED_AT.get(moment, KILLED_AT["while it is written"])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}{killed_at}; os.kill(os.getpid(), 9)",
            str(tmp_path / FILE),
        ],
        check=False,
    )
    assert done.returncode == -9
    if moment == "with a journal alone":
        (tmp_path / FILE).unlink()
    for _ in range(2):
        with refused("has no run yet"):
            Store.read(tmp_path)
        with refused("has no run yet"):
            table_text([tmp_path], "markdown")
        Store.check(tmp_path)
        Store.check(tmp_path, make_config())
    filled(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@contextmanager
def limited(kind: int, value: int) -> Iterator[None]:
    """A limit of the operating system's on this process."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def test_too_many_open_files_are_one_line(tmp_path: Path) -> None:
    result = make_result(0)
    with Store.open(tmp_path, make_config()) as store:
        lowest = os.open(os.devnull, os.O_RDONLY)  # all below are taken
        os.close(lowest)
        with limited(resource.RLIMIT_NOFILE, lowest):
            with refused("cannot use", "unable to open database file", "ulimit -n"):
                store.append(result)
            with refused("Too many open files", "ulimit -n"):
                Store.open(tmp_path / "other", make_config())
        store.append(result)
        assert store.records() == [result.record]


def test_a_disk_that_takes_no_more_while_a_store_is_made_is_one_line(tmp_path: Path) -> None:
    with limited(resource.RLIMIT_FSIZE, 3000), refused("cannot use", "free space"):
        Store.open(tmp_path, make_config())
    filled(tmp_path)


def test_a_full_disk_loses_no_stored_image(tmp_path: Path) -> None:
    with Store.open(tmp_path, make_config()) as store:
        store._connection.execute("PRAGMA max_page_count = 30")
        with refused("disk is full", "free space"):
            for index in range(200):
                store.append(make_result(index))
        done = store.done()
    assert 0 < len(done) < 200
    with Store.open(tmp_path, make_config()) as store:
        assert store.records() == [make_record(index) for index in sorted(done)]
        store.append(make_result(len(done)))


def test_one_writer_at_a_time_and_readers_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path, make_config()) as store:
        store.append(make_result(0))
        with refused("another relrob is using"):
            Store.open(tmp_path, make_config())
        with Store.read(tmp_path) as reader:
            store.append(make_result(1))
            assert reader.done() == {0, 1}
            with refused("cannot use"):
                reader.append(make_result(2))
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with refused("another relrob is using"):
            Store.open(tmp_path, make_config())
        with refused("another relrob is using"):
            Store.read(tmp_path)
    with Store.open(tmp_path, make_config()) as store:
        assert store.done() == {0, 1}
    store.close()


def killed_at_random(module: str, place: Path, images: int, whole: Whole) -> None:
    """Append the images by a program that is killed six times: what was acknowledged is there, and
    what is there is whole."""
    rng, kills = random.Random(7), 0
    while len(acknowledged := whole(place)) < images:
        command = [sys.executable, "-m", module, str(place), str(images)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = rng.randint(1, 15) if kills < 6 else images - len(acknowledged)
            told = [int(process.stdout.readline()) for _ in range(lines)]
            if kills < 6:
                time.sleep(rng.uniform(0, 0.003))
                process.kill()
                kills += 1
            told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        assert process.returncode in (-9, 0)
        assert acknowledged.isdisjoint(told)
        assert whole(place) >= acknowledged | set(told)
    assert kills == 6


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    """The end is that of a run that nobody killed."""
    killed, calm = tmp_path / "killed", filled(tmp_path / "calm", 150)
    killed_at_random("tests.make_records", killed, 150, stored_whole)
    with Store.read(killed) as one, Store.read(calm) as other:
        assert one.content_sha256() == other.content_sha256()
        assert one.records() == other.records()
    assert [path.name for path in killed.iterdir()] == [FILE]


def test_kill_9_at_random_moments_of_a_search_for_radii(tmp_path: Path) -> None:
    """The end is that of a search that nobody killed."""
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    killed_at_random("tests.make_radii", killed, 100, radii_whole)
    make_radii.main(str(calm), "100")
    with RadiusStore.read(killed) as one, RadiusStore.read(calm) as other:
        assert one.records() == other.records() and one.seconds() == other.seconds()
        assert one.witness_files() == other.witness_files()
    assert [path.name for path in killed.iterdir()] == [RADII]


def radii_whole(directory: Path) -> frozenset[int]:
    """Indices in a search, each checked to have its record, witnesses and seconds as appended."""
    if not (directory / RADII).exists():
        return frozenset()
    with RadiusStore.open(directory, make_radii.CONFIG) as store:
        found = store.records()
        assert found == {index: make_radii.made_record(index) for index in found}
        assert set(store.seconds()) == set(found)
        expected = {
            (index, view.network)
            for index, record in found.items()
            for view in make_radii.views_of(record)
        }
        assert {(index, network) for index, network, _ in store.witness_files()} == expected
    return frozenset(found)


def stored_whole(directory: Path) -> frozenset[int]:
    """Indices in a store, each checked to have its record, witnesses and seconds as appended."""
    if not directory.exists():
        return frozenset()
    with Store.read(directory) as store:
        done = store.done()
        assert store.records() == [make_record(index) for index in sorted(done)]
        assert set(store.seconds()) == done
        expected = {
            (view.index, view.network) for index in done for view in make_result(index).witnesses
        }
        assert {(index, network) for index, network, _ in store.witness_files()} == expected
    return done


def test_a_kill_inside_a_transaction_is_rolled_back_by_read(tmp_path: Path) -> None:
    with Store.read(filled(tmp_path)) as store:
        before = store.content_sha256()
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA cache_size=1'); c.execute('BEGIN'); "
        "c.execute('UPDATE witnesses SET npz = zeroblob(9000)'); os.kill(os.getpid(), 9)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / FILE)], check=False
        ).returncode
        == -9
    )
    assert (tmp_path / f"{FILE}-journal").stat().st_size > 0
    with Store.read(tmp_path) as store:
        assert store.content_sha256() == before
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
