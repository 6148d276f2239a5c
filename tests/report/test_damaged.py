"""Files that a page or a table reads, damaged: one line that names what is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relrob.errors import StoreError
from relrob.report.audit.write import write_audit
from relrob.report.html.audit_data import read_audit
from relrob.store.run_directory import Store
from relrob.store.study_directory import read_index, read_runs
from tests.audit.made import made_document, made_rows
from tests.make_records import make_config

DEEP = b'{"cells": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    "data",
    [
        b'index,label\n"0,1\n',
        b"index,label\n" + b"9" * 200_000 + b"\n",
        b"index,label\n0,1\n",
    ],
)
def test_a_table_of_an_audit(tmp_path: Path, data: bytes) -> None:
    write_audit(tmp_path, {**made_document(), "weights": {}}, made_rows())
    assert len(read_audit(tmp_path).rows) == 20
    (tmp_path / "images.csv").write_bytes(data)
    with pytest.raises(StoreError, match=r"images\.csv is damaged"):
        read_audit(tmp_path)


def test_a_pipe_in_place_of_a_table(tmp_path: Path) -> None:
    write_audit(tmp_path, {**made_document(), "weights": {}}, made_rows())
    (tmp_path / "images.csv").unlink()
    os.mkfifo(tmp_path / "images.csv")
    with pytest.raises(StoreError, match=r"images\.csv: it is no regular file"):
        read_audit(tmp_path)


@pytest.mark.parametrize("data", [DEEP, b"\xff\xfe", b"{", b"9" * 5_000])
def test_an_index_of_a_study(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "study.json").write_bytes(data)
    with pytest.raises(StoreError, match=r"study\.json is damaged"):
        read_index(tmp_path)


@pytest.mark.parametrize("data", [DEEP, b"\xff\xfe", b"{", b"9" * 5_000])
def test_a_summary_of_a_run(tmp_path: Path, data: bytes) -> None:
    with Store.open(tmp_path, {**make_config(), "dataset": {}}):
        pass
    (tmp_path / "summary.json").write_bytes(data)
    with pytest.raises(StoreError, match=r"summary\.json is damaged"):
        read_runs([tmp_path])
