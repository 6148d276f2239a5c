"""Stores of an older relrob: read with a warning, checked, carried over at once or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relrob.store.run_directory import FILE, Store
from relrob.system.files import sweep
from tests.make_records import (
    make_config,
    make_older,
    make_result,
)
from tests.store.stores import IMAGES, filled, refused, statement
from tests.support import ROOT


def test_an_older_store_is_read_with_a_warning_and_carried_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = make_older(tmp_path / "old", IMAGES)
    before = (old / FILE).read_bytes()
    with Store.read(old) as store, Store.read(filled(tmp_path / "new")) as new:
        assert store.records() == new.records()
        assert store.content_sha256() == new.content_sha256()
        assert (store.config, store.older) == (new.config, frozenset(range(IMAGES)))
    assert (old / FILE).read_bytes() == before
    with refused("another configuration: seed"):
        Store.open(old, make_config(seed=1))
    for _ in range(2):
        caplog.clear()
        with Store.open(old, make_config()) as store:
            assert store.older == frozenset(range(IMAGES))
        assert "rows not sealed: an older relrob decided 14 of its images" in caplog.text
    with Store.open(old, make_config()) as store:
        store.append(make_result(IMAGES))
    with Store.read(old) as store, Store.open(tmp_path / "new", make_config()) as new:
        new.append(make_result(IMAGES))
        assert store.older == frozenset(range(IMAGES))
        assert (store.records(), store.content_sha256()) == (new.records(), new.content_sha256())
    assert [path.name for path in old.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE records SET reference_verdict = 'NOT_ROBUST' WHERE \"index\" = 0", "image 0 in "),
        ("UPDATE records SET reference_verdict = 'ROBUST' WHERE \"index\" = 2", "image 2 in "),
        ("INSERT INTO certificates VALUES (2, 'reference', x'7b7d')", "image 2 in "),
        ("UPDATE records SET label = CAST(x'ff' AS TEXT)", "damaged"),
    ],
)
def test_an_older_store_that_contradicts_itself_is_refused(
    tmp_path: Path, change: str, words: str
) -> None:
    old = make_older(tmp_path / "old", IMAGES)
    statement("PRAGMA ignore_check_constraints = 1", change)(old)
    with refused(words), Store.read(old) as store:
        store.records()


def test_a_kill_while_an_older_store_is_carried_over_leaves_it(tmp_path: Path) -> None:
    old = make_older(tmp_path / "old", IMAGES)
    program = (
        "import os, sys; from pathlib import Path; from relrob.store import older\n"
        "from relrob.store.run_directory import Store\n"
        "from tests.make_records import make_config\n"
        "older.seals.write = lambda *given: os.kill(os.getpid(), 9)\n"
        "Store.open(Path(sys.argv[1]), make_config())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(old)], cwd=ROOT, env=environment, check=False
    )
    assert done.returncode == -9
    with Store.open(old, make_config()) as store:
        assert store.done() == frozenset(range(IMAGES))
        sweep(old)
    assert [path.name for path in old.iterdir()] == [FILE]


def test_a_sealed_store_of_format_4_is_read_and_carried_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its seals hold before and after, and its images count as sealed."""
    old = make_older(tmp_path / "old", IMAGES, 4)
    before = (old / FILE).read_bytes()
    with Store.read(old) as store, Store.read(filled(tmp_path / "new")) as new:
        assert (store.records(), store.config) == (new.records(), new.config)
        assert store.older == frozenset()
    assert (old / FILE).read_bytes() == before
    with Store.open(old, make_config()) as store:
        store.append(make_result(IMAGES))
    with Store.read(old) as store, Store.open(tmp_path / "new", make_config()) as new:
        new.append(make_result(IMAGES))
        assert (store.records(), store.content_sha256()) == (new.records(), new.content_sha256())
        assert store.older == frozenset()
    assert "not sealed" not in caplog.text
    statement('UPDATE records SET thin = 9 WHERE "index" = 3')(old)
    with refused("image 3 in "):
        Store.read(old)


def test_ties_of_older_records_are_told_by_their_margins(tmp_path: Path) -> None:
    old = make_older(tmp_path / "old", IMAGES)
    statement('UPDATE records SET quantised_margin = 0.0 WHERE "index" IN (0, 1, 3)')(old)
    statement('UPDATE records SET reference_margin = 0.0 WHERE "index" = 3')(old)
    with Store.read(old) as store:
        told = {record.index: record.ties for record in store.records() if record.ties}
        assert told == {1: "quantised", 3: "reference, quantised"}
        assert {record.reference_proved for record in store.records()} == {None}


@pytest.mark.parametrize("line", ["ALTER TABLE records ADD COLUMN more", "DROP TABLE timings"])
def test_a_store_of_format_4_with_other_tables_is_refused(tmp_path: Path, line: str) -> None:
    old = make_older(tmp_path / "old", IMAGES, 4)
    statement(line)(old)
    with refused("not a store of this relrob"):
        Store.read(old)
