"""The store: whole records, one run a directory, resumable after kill -9, errors of one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.api.study import table_text
from relrob.domain.record import RECORD_COLUMNS, ImageResult, Set, WitnessView
from relrob.errors import StoreError
from relrob.store import sqlite_file, witness_file
from relrob.store.run_directory import FILE, Store
from relrob.system.files import sweep
from tests.flips import GOOD, flips
from tests.make_records import (
    changed,
    make_config,
    make_older,
    make_record,
    make_result,
    make_witness,
)
from tests.support import ROOT

IMAGES = 14


def filled(directory: Path, images: int = IMAGES) -> Path:
    """A finished run."""
    with Store.open(directory, make_config()) as store:
        for index in range(images):
            store.append(make_result(index))
    return directory


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """The block raises a StoreError of one line that says `words`."""
    with pytest.raises(StoreError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def same(one: WitnessView, other: WitnessView) -> bool:
    """Equal in every field."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(WitnessView)
    )


def test_what_goes_in_comes_out_and_one_file_is_left(tmp_path: Path) -> None:
    filled(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with Store.read(tmp_path) as store:
        assert store.records() == [make_record(index) for index in range(IMAGES)]
        assert store.done() == frozenset(range(IMAGES))
        assert store.seconds() == {index: 0.001 * (index + 1) for index in range(IMAGES)}
        expected = {
            (v.index, v.network): v for index in range(IMAGES) for v in make_result(index).witnesses
        }
        found = store.witnesses()
        assert [(view.index, view.network) for view in found] == sorted(expected)
        assert all(same(view, expected[view.index, view.network]) for view in found)
        assert [view.index for view in store.witnesses(3)] == [3, 3]
        assert store.config == make_config()


def test_other_programs_can_read_the_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled(tmp_path) / FILE)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(records)")]
        assert columns == list(RECORD_COLUMNS)
        kinds = connection.execute(
            "SELECT DISTINCT typeof(points) FROM records ORDER BY 1"
        ).fetchall()
        assert kinds == [("integer",), ("null",), ("text",)]  # 2^78 does not fit SQLite's integers
        blob = connection.execute("SELECT npz FROM witnesses").fetchone()[0]
    with np.load(io.BytesIO(blob), allow_pickle=False) as members:
        assert members["original"].shape == (28, 28, 1)
        assert members["original"].dtype == np.float32


def test_numpy_scalars_are_stored_as_plain_numbers(tmp_path: Path) -> None:
    record = changed(
        make_record(3),
        label=np.int64(3),
        reference_margin=np.float32(0.1),
        clean_regression=np.bool_(True),
    )
    with Store.open(tmp_path, make_config()) as store:
        store.append(ImageResult(record, (), 0.5))
        kept = store.records()[0]
    assert (kept.label, kept.reference_margin, kept.clean_regression) == (
        3,
        float(np.float32(0.1)),
        True,
    )
    assert [
        type(value) for value in (kept.label, kept.reference_margin, kept.clean_regression)
    ] == [int, float, bool]


def test_an_image_that_no_network_ever_labelled_can_be_stored(tmp_path: Path) -> None:
    crashed = changed(
        make_record(5), reference_label=-1, quantised_label=-1, reference_verdict="UNKNOWN"
    )
    with Store.open(tmp_path, make_config()) as store:
        store.append(ImageResult(crashed, (), 0.0))
        assert store.records() == [crashed]


def test_records_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    with Store.open(tmp_path, make_config()) as store:
        for index in (1, 5, 3):
            store.append(make_result(index))
        assert [record.index for record in store.records()] == [1, 3, 5]
        assert [record.index for record in store.records([5, 2, 1])] == [5, 1]


def test_append_again_changes_nothing_and_another_result_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path, make_config()) as store:
        result = make_result(3)
        store.append(result)
        store.append(replace(result, seconds=9.0))
        before = store.content_sha256()
        assert store.seconds() == {3: 0.004}
        other_margin = replace(result, record=replace(result.record, reference_margin=0.0))
        other_pixels = (
            replace(result.witnesses[0], perturbed=result.witnesses[0].original),
            *result.witnesses[1:],
        )
        for other in (
            other_margin,
            replace(result, witnesses=()),
            replace(result, witnesses=other_pixels),
        ):
            with refused("image 3", "another result"):
                store.append(other)
        assert store.content_sha256() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reference_margin": float("nan")}, "NaN"),
        ({"set": "R_maybe"}, "impossible record"),
        ({"reference_verdict": "robust"}, "impossible record"),
        ({"reference_verdict": ""}, "impossible record"),
        ({"evaluated": -1}, "impossible record"),
        ({"points": -1}, "impossible record"),
    ],
)
def test_an_impossible_record_leaves_nothing(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    result = make_result(3)
    with Store.open(tmp_path, make_config()) as store:
        with refused(words):
            store.append(replace(result, record=changed(result.record, **change)))
        for views in (
            (result.witnesses[0],) * 2,
            (make_witness(4),),
            (replace(result.witnesses[0], network="both"),),
        ):
            with pytest.raises(StoreError, match=r"not its own|impossible"):
                store.append(replace(result, witnesses=views))
        assert (store.records(), store.witnesses(), store.seconds()) == ([], [], {})


def test_another_configuration_is_named_key_by_key(tmp_path: Path) -> None:
    filled(tmp_path)
    region = make_config()["region"] | {"radius": "10"}
    with refused(
        "region.radius is '20' there and '10' here",
        "scheme is absent there and 'int8' here",
        "--out",
    ):
        Store.open(tmp_path, make_config(region=region, scheme="int8"))
    with Store.open(
        tmp_path, dict(reversed(make_config().items()))
    ) as store:  # the order of keys is no difference
        assert len(store.done()) == IMAGES
        assert len(store.digest) == 64
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (
            3,
        )  # EXTRA: a commit outlives a power cut


def damage(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Rewrite the store's bytes."""
    return lambda path: (path / FILE).write_bytes(change((path / FILE).read_bytes()))


def statement(*sql: str) -> Callable[[Path], None]:
    """Change the store with SQL."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path / FILE)) as connection, connection:
            for line in sql:
                connection.execute(line)

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage(lambda data: data[: len(data) // 2]), "damaged"),
        (damage(lambda data: data[:4096]), "damaged"),
        (damage(lambda data: b"\x89PNG" + data[4:]), "damaged"),
        (damage(lambda data: b"not a database, but a text file of some length " * 40), "damaged"),
        (damage(lambda data: data[:8192] + b"\xff" * 4096 + data[12288:]), "damaged"),
        (damage(lambda data: data[:-4096] + b"\xff" * 4096), "damaged"),
        (statement("PRAGMA user_version = 1"), "an older relrob (format 1)"),
        (statement("PRAGMA user_version = 99"), "a newer relrob (format 99)"),
        (statement("ALTER TABLE records ADD COLUMN extra"), "not a store of this relrob"),
        (statement("PRAGMA user_version = 0"), "not a store of this relrob"),
        (statement("DELETE FROM meta"), "names no configuration"),
        (
            statement("DELETE FROM meta WHERE key = 'seal'"),
            "its configuration was changed, or images were added",
        ),
        (
            statement("UPDATE meta SET value = replace(value, '20', '10') WHERE key = 'config'"),
            "its configuration was",
        ),
        (
            statement("UPDATE meta SET value = '[1]' WHERE key = 'config'"),
            "its configuration is none",
        ),
        (statement("UPDATE meta SET value = '{' WHERE key = 'config'"), "JSONDecodeError"),
        (statement("UPDATE meta SET value = CAST(x'ff7b7d' AS TEXT)"), "UTF-8"),
        (statement("CREATE TABLE more (a)"), "not a store of this relrob"),
        *(
            (statement(f'{change} WHERE "index" = 3'), "image 3 in ")
            for change in (
                "UPDATE records SET reference_margin = reference_margin + 1e-9",
                "UPDATE records SET label = label + 1",
                "UPDATE records SET points = points + 1",
                "UPDATE records SET reason = 'x'",
                "UPDATE records SET reason = x'78'",
                "UPDATE records SET spot_checks = 1",
                "UPDATE timings SET seconds = 9",
                "DELETE FROM timings",
                "DELETE FROM records",
                "DELETE FROM witnesses",
                "UPDATE witnesses SET npz = zeroblob(9)",
                "UPDATE seals SET sha256 = substr(sha256, 2) || '0'",
                "UPDATE seals SET format = 3",
                "DELETE FROM seals",
            )
        ),
        (statement('UPDATE records SET "index" = 99 WHERE "index" = 3'), "image 3 in "),
        (statement("INSERT INTO certificates VALUES (3, 'reference', x'7b7d')"), "image 3 in "),
        (statement("INSERT INTO timings VALUES (77, 1.0)"), "image 77 in "),
        (
            statement(
                *(
                    f'DELETE FROM {name} WHERE "index" = 3'  # noqa: S608 - names
                    for name in ("seals", "witnesses", "certificates", "timings", "records")
                )
            ),
            "images were added or taken out",
        ),
    ],
)
def test_a_spoilt_store_is_refused_by_open_and_read(
    tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(filled(tmp_path))
    with refused(words):
        Store.open(tmp_path, make_config())
    with refused(words):
        Store.read(tmp_path)


def test_a_spoilt_witness_is_refused_and_runs_no_code(tmp_path: Path) -> None:
    filled(tmp_path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, np.array([Fraction(1)], dtype=object), allow_pickle=True)
        archive.writestr("original.npy", member.getvalue())
    whole = witness_file.encode(make_witness(1))
    for data in (b"", b"PK", whole[:200], whole[:-40], buffer.getvalue()):
        with refused("witness of image 1 cannot be read"):
            witness_file.decode(data, "of image 1")
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
            connection.execute('UPDATE witnesses SET npz = ? WHERE "index" = 1', (data,))
        with refused("image 1 in ", "is not as relrob wrote it"):
            Store.read(tmp_path)


def test_a_damaged_witness_file_is_refused_whatever_numpy_makes_of_it() -> None:
    """Of members with damaged headers and bytes: NumPy and zipfile raise some ten kinds of errors,
    MemoryError among them."""
    rng, whole = random.Random(5), witness_file.encode(make_witness(1))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    refusals = 0
    for _ in range(600):
        name = rng.choice(list(members))
        data = bytearray(members[name])
        data[rng.randrange(min(len(data), 128))] = rng.randrange(256)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, bytes(data) if member == name else content)
        try:
            witness_file.decode(buffer.getvalue())
        except StoreError as error:
            refusals += 1
            assert "cannot be read" in str(error) and "\n" not in str(error)
    assert refusals > 300


def test_a_witness_that_unpacks_without_end_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("original.npy", bytes(1 << 28) + b"1")
    with refused("bytes when unpacked"):
        witness_file.decode(buffer.getvalue())


def test_directories_that_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with refused("has files but no run", "--out another directory"):
        Store.open(tmp_path, make_config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with refused("is not a run directory"):
        Store.read(tmp_path)
    with refused("cannot write"):
        Store.open(tmp_path / "thesis.tex" / "run", make_config())
    with refused("cannot write"):
        Store.open(Path("/proc/relrob"), make_config())
    with Store.open(tmp_path / "new" / "a?b#c 100%", make_config()) as store:
        store.append(make_result(0))
    assert (tmp_path / "new" / "a?b#c 100%" / FILE).is_file()


KILLED_AT: dict[str, str] = {
    "before the first byte": "open(path, 'w').close()",
    "while the first transaction is in memory": "c.execute('BEGIN'); c.execute('CREATE TABLE meta (key)')",
    "while it is written": "c.execute('PRAGMA cache_size=1'); c.execute('PRAGMA cache_spill=1'); c.execute('BEGIN');"
    "c.execute('CREATE TABLE a (b)'); [c.execute('INSERT INTO a VALUES (zeroblob(9000))') for _ in range(9)]",
    "before the tables": "c.execute('PRAGMA page_size=8192'); c.execute('VACUUM')",
}


@pytest.mark.parametrize("moment", [*KILLED_AT, "with a journal alone"])
def test_a_killed_creation_is_no_run_yet(tmp_path: Path, moment: str) -> None:
    program = "import os, sqlite3, sys; path = sys.argv[1]; c = sqlite3.connect(path, isolation_level=None);"
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


def test_an_empty_store_of_somebody_else_is_a_run_not_yet(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with refused("an older relrob (format 1)"):
        Store.open(tmp_path, make_config())


def test_single_bits_change_nothing_in_silence(tmp_path: Path) -> None:
    """A few of what `python -m tests.flips` does by the thousand."""
    told = flips(tmp_path, 240, seed=3)
    assert set(told) <= set(GOOD)
    assert told[GOOD[0]] > 20 and told[GOOD[1]] > 5


def test_what_is_forgotten_leaves_the_seal_of_the_rest(tmp_path: Path) -> None:
    with Store.open(filled(tmp_path), make_config()) as store:
        store.forget([3, 5, 3, 99])
    with Store.open(tmp_path, make_config()) as store:
        assert store.done() == frozenset(range(IMAGES)) - {3, 5}
        store.append(make_result(5))
        store.append(make_result(3))
        digest = store.content_sha256()
    with Store.read(filled(tmp_path / "whole")) as whole, Store.read(tmp_path) as store:
        assert store.content_sha256() == digest == whole.content_sha256()


def test_a_failed_append_leaves_the_seal_as_it_was(tmp_path: Path) -> None:
    result = make_result(3)
    with Store.open(tmp_path, make_config()) as store:
        with refused("impossible"):
            store.append(replace(result, certificates=(("both", b"{}"),)))
        store.append(result)
    with Store.read(tmp_path) as store:
        assert store.records() == [result.record]


def test_values_that_sqlite_rounds_are_sealed_as_stored(tmp_path: Path) -> None:
    """A margin of -0.0 comes back as 0.0, an infinite one as it is."""
    record = changed(make_record(3), reference_margin=-0.0, quantised_margin=float("inf"))
    with Store.open(tmp_path, make_config()) as store:
        store.append(ImageResult(record, (), 1.0))
    with Store.read(tmp_path) as store:
        assert store.records() == [record]


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
        "import os, sys; from pathlib import Path; from relrob.store import older; from relrob.store.run_directory import Store\n"
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


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    """What was acknowledged is there, what is there is whole, and the end is that of a run that
    nobody killed."""
    rng, images, kills = random.Random(7), 150, 0
    killed, calm = tmp_path / "killed", filled(tmp_path / "calm", images)
    while len(acknowledged := stored_whole(killed)) < images:
        command = [sys.executable, "-m", "tests.make_records", str(killed), str(images)]
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
        assert stored_whole(killed) >= acknowledged | set(told)
    assert kills == 6
    with Store.read(killed) as one, Store.read(calm) as other:
        assert one.content_sha256() == other.content_sha256()
        assert one.records() == other.records()
    assert [path.name for path in killed.iterdir()] == [FILE]


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
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA cache_size=1');"
        "c.execute('BEGIN'); c.execute('UPDATE witnesses SET npz = zeroblob(9000)'); os.kill(os.getpid(), 9)"
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


def test_the_content_digest_sees_every_field_but_not_the_clock(tmp_path: Path) -> None:
    result = make_result(3)
    record, view = result.record, result.witnesses[0]
    variants = [result, replace(result, witnesses=result.witnesses[1:])]
    variants += [replace(result, record=changed(record, **{name: value})) for name, value in (
        ("label", 9), ("set", Set.MIXED), ("points", 7), ("reference_margin", 0.25), ("reason", "x"), ("thin", 1),
    )]  # fmt: skip
    views = (
        replace(view, cost="1/3"),
        replace(view, moved=(9,)),
        replace(view, quantised_margin=0.5),
    )
    variants += [replace(result, witnesses=(other, *result.witnesses[1:])) for other in views]
    digests = []
    for number, variant in enumerate([*variants, replace(result, seconds=99.0)]):
        with Store.open(tmp_path / str(number), make_config()) as store:
            store.append(variant)
            digests.append(store.content_sha256())
    assert len(set(digests)) == len(variants)
    assert digests[-1] == digests[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_witness_bytes_are_a_function_of_the_witness(channels: int) -> None:
    view = make_witness(5, "quantised", channels)
    data = witness_file.encode(view)
    assert witness_file.encode(witness_file.decode(data)) == data
    assert same(witness_file.decode(data), view)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {(info.date_time[0], info.create_system) for info in archive.infolist()} == {
            (1980, 3)
        }
    with pytest.raises(StoreError, match="height x width x channels"):
        witness_file.encode(replace(view, shape=(2, 2, 1)))


def test_the_run_digest_is_of_the_canonical_configuration(tmp_path: Path) -> None:
    config = make_config()
    with Store.open(tmp_path, config) as store:
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert store.digest == hashlib.sha256(text.encode()).hexdigest()
