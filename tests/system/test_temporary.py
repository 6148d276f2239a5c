"""Temporary files on a disk that is full, or in a place that is none: one line that says so."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from relrob.errors import NetworkError, RelrobError, StoreError
from relrob.system import nursery
from relrob.system.nursery import Call
from relrob.system.temporary import check_temporary, temporary_folder

LINE = "no temporary files in .*: No space left on device; try: free space, or .* TMPDIR"


def full(*_: object, **__: object) -> Any:
    """What a call on a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_lasts_as_long_as_its_block() -> None:
    with temporary_folder("relrob-test-") as folder:
        (folder / "file").write_bytes(b"1")
        assert folder.name.startswith("relrob-test-")
    assert not folder.exists()


def test_a_place_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_temporary()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    told = r"no temporary files in .*gone: No such file.*; try: .*TMPDIR"
    with pytest.raises(StoreError, match=told):
        check_temporary()
    with pytest.raises(StoreError, match=told), temporary_folder():
        raise AssertionError("a folder was made")


def test_where_no_place_can_be_written_all_of_them_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/1", "/proc/self"])
    with pytest.raises(StoreError) as told, temporary_folder():
        raise AssertionError("a folder was made")
    assert str(told.value).startswith("no temporary files: No usable temporary directory found")
    assert "/proc/self" in str(told.value) and str(told.value).count("no temporary") == 1


def test_a_full_disk_stands_behind_any_error_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (NetworkError("FILE is broken"), ValueError("odd"), OSError(errno.EIO, "odd")):
        with pytest.raises(type(error), match=r"broken|odd"), temporary_folder():
            raise error
        with (
            monkeypatch.context() as patch,
            pytest.raises(StoreError, match=LINE),
            temporary_folder() as folder,
        ):
            patch.setattr(tempfile, "TemporaryFile", full)
            raise error
        assert not folder.exists()
    with pytest.raises(StoreError, match=LINE), temporary_folder():
        full()
    with pytest.raises(StoreError, match="another place"), temporary_folder():
        raise StoreError("another place")


def test_a_reader_without_a_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a child is forked, and where the child meets the full disk."""
    met = nursery.answer(full, {})
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    for told in (met, nursery.attend(Call("os:getpid", {}, 1 << 30, 1.0))):
        kind, *parts = told["error"]
        assert kind == "StoreError"
        with pytest.raises(RelrobError, match=LINE):
            raise StoreError(*parts)
