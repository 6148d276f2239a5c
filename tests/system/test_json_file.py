"""Text and JSON files of directories that relrob wrote: whatever is in their place, one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relrob.errors import StoreError
from relrob.system import json_file
from relrob.system.json_file import read_json, read_text

ACCEPTED = "one that relrob wrote"
DAMAGED = [
    (b"[" * 200_000 + b"]" * 200_000, "nested too deep"),
    (b"\xff{}", "no UTF-8 text"),
    (b"{", "is damaged"),
    (b"", "is damaged"),
    (b"9" * 5000, "is damaged"),
    (b'{"accuracy": NaN}', "NaN is no number"),
    (b"[-Infinity]", "-Infinity is no number"),
]


@pytest.mark.parametrize(("data", "words"), DAMAGED, ids=range(len(DAMAGED)))
def test_damage_is_one_line_that_names_the_file(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(data)
    with pytest.raises(StoreError, match=words) as caught:
        read_json(path, ACCEPTED, "delete it")
    told = str(caught.value)
    assert str(path) in told and told.endswith(f"accepted: {ACCEPTED}; try: delete it")
    assert "\n" not in told


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{"a": ["\u00e9", 1e-9, null]}', encoding="utf-8")
    assert read_json(path, ACCEPTED) == {"a": ["\u00e9", 1e-9, None]}
    assert read_text(path, ACCEPTED) == path.read_text(encoding="utf-8")


def test_a_pipe_a_directory_and_a_long_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_text("[1, 2, 3]")
    monkeypatch.setattr(json_file, "LARGEST", 8)
    for name, words in (("pipe", "no regular file"), (".", "irectory"), ("long", "9 bytes")):
        with pytest.raises(StoreError, match=words):
            read_json(tmp_path / name, ACCEPTED)
