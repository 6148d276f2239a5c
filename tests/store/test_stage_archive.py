"""Damage and malice in finished stages and in the file that carries them: one line, nothing false,
and never the results of two machines mixed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from relrob.domain.stage import Stage, canonical, stage_digest
from relrob.errors import StoreError
from relrob.store import stage_archive
from relrob.store.stage_archive import pack, unpack
from relrob.store.stage_directory import every, finished, folder_of, keep
from relrob.store.stage_document import DOCUMENT, is_plain
from relrob.system.files import sha256_bytes

FIRST = Stage("number", "a", {}, {"value": 1}, {})
SECOND = Stage("sum", "b", {}, {"factor": 2}, {"left": FIRST})


def make(directory: Path, stage: Stage, text: str, rows: list[dict[str, Any]]) -> None:
    folder = folder_of(directory, stage.digest)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "value.txt").write_text(text * 20, encoding="utf-8")
    keep(directory, stage, rows, 1.0, {"relrob": "x"})


@pytest.fixture
def study(tmp_path: Path) -> Path:
    make(tmp_path / "study", FIRST, "one", [{"value": 1}])
    make(tmp_path / "study", SECOND, "two", [{"value": 2}])
    return tmp_path / "study"


def test_no_flipped_bit_of_an_archive_is_believed_or_ends_in_a_traceback(tmp_path: Path) -> None:
    make(tmp_path / "study", FIRST, "one", [{"value": 1}])
    whole = tmp_path / "whole.zip"
    pack(tmp_path / "study", whole)
    data = whole.read_bytes()
    target, place = tmp_path / "flipped.zip", tmp_path / "elsewhere"
    refused = 0
    for number in range(len(data)):
        flipped = bytearray(data)
        flipped[number] ^= 1 << number % 8
        target.write_bytes(flipped)
        try:
            unpack(target, place)
        except StoreError:
            refused += 1
        for done in every(place).values():
            assert (done.rows, done.files) == (
                ({"value": 1},),
                every(tmp_path / "study")[done.digest].files,
            )
        shutil.rmtree(place, ignore_errors=True)
    assert refused > len(data) // 2


def forged(tmp_path: Path, **changes: Any) -> Path:
    """An archive of one stage whose document says other things, well sealed."""
    body: dict[str, Any] = {
        **{"format": 2, "kind": "number", "options": {"value": 1}, "inputs": {}},
        **{"rows": [{"value": 1}], "files": {}, "read": {}, "made": {}, "seconds": 1.0},
        **changes,
    }
    digest = stage_digest(body["kind"], body["options"], body["inputs"])
    seal = sha256_bytes(canonical(body).encode())
    with zipfile.ZipFile(tmp_path / "forged.zip", "w") as archive:
        archive.writestr(f"{digest}/{DOCUMENT}", json.dumps({**body, "seal": seal}))
    return tmp_path / "forged.zip"


def test_the_document_of_these_tests_is_taken_unchanged(tmp_path: Path) -> None:
    assert unpack(forged(tmp_path), tmp_path / "elsewhere") == (1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": [5]},
        {"rows": [{"value": {"a": 1}}]},
        {"files": ["stage.json"]},
        {"files": {"stage.json": "0" * 64}},
        {"seconds": "x"},
        {"seconds": -1},
        {"made": 5},
        {"made": {"relrob": 1}},
        {"inputs": 5},
        {"options": [1]},
        {"options": {"value": [1]}},
        {"read": {"left": "0" * 64}},
        {"format": 1},
        {"kind": 7},
        {"more": 1},
    ],
    ids=str,
)
def test_a_document_of_other_types_is_damaged(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack(forged(tmp_path, **changes), tmp_path / "elsewhere")
    assert every(tmp_path / "elsewhere") == {}


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(study, tmp_path / "one.zip")
    asked: list[int] = []

    def full(path: Path, size: int) -> None:
        asked.append(size)
        raise StoreError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("relrob.store.stage_archive.check_writable", full)
    with pytest.raises(StoreError, match="No space left"):
        unpack(tmp_path / "one.zip", tmp_path / "elsewhere")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        total = sum(info.file_size for info in archive.infolist())
    assert asked == [max(total, 1 << 16)]
    assert not (tmp_path / "elsewhere").exists()


def test_a_member_that_is_there_twice_is_refused(study: Path, tmp_path: Path) -> None:
    pack(study, tmp_path / "one.zip")
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "one.zip", "a") as archive,
    ):
        archive.writestr(f"{FIRST.digest}/value.txt", "other")
    with pytest.raises(StoreError, match="holds"):
        unpack(tmp_path / "one.zip", tmp_path / "elsewhere")


def test_what_a_killed_process_left_half_written_is_no_file_of_a_stage(study: Path) -> None:
    left = folder_of(study, FIRST.digest) / ".relrob-partial-value.txt.x.txt"
    left.write_text("half", encoding="utf-8")
    done = keep(study, FIRST, [{"value": 1}], 1.0, {})
    assert list(done.files) == ["value.txt"]
    left.unlink()
    assert finished(study, FIRST.digest) is not None
    assert not is_plain(left.name)


def test_a_stage_counts_only_with_the_input_that_it_read(study: Path) -> None:
    assert finished(study, SECOND.digest) is not None
    make(study, FIRST, "other", [{"value": 1}])
    assert finished(study, FIRST.digest) is not None
    assert finished(study, SECOND.digest) is None
    make(study, FIRST, "one", [{"value": 1}])
    assert finished(study, SECOND.digest) is not None


@pytest.mark.parametrize("text", ["one", "other"])
def test_results_of_two_machines_are_not_mixed(study: Path, tmp_path: Path, text: str) -> None:
    pack(study, tmp_path / "theirs.zip")
    pack(study, tmp_path / "last.zip", {SECOND.digest})
    mine = tmp_path / "mine"
    make(mine, FIRST, text, [{"value": 1}])
    for name in ("theirs.zip", "last.zip"):
        if text == "one":
            assert unpack(tmp_path / name, mine) == ((1, 1) if name == "theirs.zip" else (0, 1))
        else:
            with pytest.raises(StoreError, match="two results of stage"):
                unpack(tmp_path / name, mine)
            assert list(every(mine)) == [FIRST.digest]


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(StoreError, match=r"pipe\.zip: it is no regular file"):
        unpack(tmp_path / "pipe.zip", tmp_path / "elsewhere")


def bomb(path: Path, text: str, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(f"{0:064x}/{DOCUMENT}", text)
    return path


@pytest.mark.parametrize(
    ("text", "method", "words"),
    [
        ("[" + "{}," * 2_000_000 + "{}]", zipfile.ZIP_DEFLATED, "packed in"),
        ("[" + "{}," * 2_000_000 + "{}]", zipfile.ZIP_STORED, "4,194,304 at most"),
        ("[" + "{}," * 100_000 + "{}]", zipfile.ZIP_DEFLATED, "packed in"),
    ],
)
def test_no_more_of_a_document_is_unpacked_than_a_stage_writes(
    tmp_path: Path, text: str, method: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("it was read")

    path = bomb(tmp_path / "bomb.zip", text, method)
    monkeypatch.setattr(zipfile.ZipFile, "open", read)
    with pytest.raises(StoreError, match=words):
        unpack(path, tmp_path / "elsewhere")


def test_all_documents_together_are_bounded(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(study, tmp_path / "one.zip")
    monkeypatch.setattr(stage_archive, "_ALL_TEXT", 500)
    with pytest.raises(StoreError, match="more than 500 bytes of JSON"):
        unpack(tmp_path / "one.zip", tmp_path / "elsewhere")


def test_a_member_that_is_longer_than_it_says_is_not_unpacked_whole(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.zip", "[" + "{}," * 5_000_000 + "{}]")
    size = struct.pack("<I", 15_000_004)
    data = path.read_bytes()
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<I", 1000)))
    tracemalloc.start()
    with pytest.raises(StoreError, match="damaged"):
        unpack(path, tmp_path / "elsewhere")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000
