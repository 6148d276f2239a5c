"""A damaged or edited store is refused, with the image that is not as relrob wrote it."""

from __future__ import annotations

import io
import random
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.record import ImageResult
from relrob.errors import StoreError
from relrob.store import witness_file
from relrob.store.run_directory import FILE, Store
from tests.flips import GOOD, flips
from tests.make_records import (
    changed,
    make_config,
    make_record,
    make_result,
    make_witness,
)
from tests.store.stores import IMAGES, filled, refused, statement


def damage(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Rewrite the store's bytes."""
    return lambda path: (path / FILE).write_bytes(change((path / FILE).read_bytes()))


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
