"""TOML that would hang, fill or break its reader, as a policy and as a study: one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relrob.audit.policy import read_policy
from relrob.cli.main import run
from relrob.errors import RelrobError
from relrob.study.spec import find_spec
from relrob.system.toml import LARGEST, MOST_DOTS

READERS: dict[str, Callable[[Path], object]] = {
    "policy": read_policy,
    "study": lambda path: find_spec(str(path), {}, {}),
}
KEY = ".".join(["a"] * (MOST_DOTS + 2))
REFUSED = [
    ("dots of a key", f"{KEY} = 1\n".encode(), "a line with 501 dots; accepted: 500 at most"),
    ("dots of a table", f"[{KEY}]\n".encode(), "a line with 501 dots; accepted: 500 at most"),
    # str.splitlines takes U+2028 for the end of a line, TOML does not.
    ("a quoted end of line", ('"\u2028".' * 501 + "a = 1\n").encode(), "a line with 501 dots"),
    ("deep lists", b"a = " + b"[" * 20_000 + b"]" * 20_000, "nests too deeply"),
    ("deep tables", b"a = " + b"{a = " * 20_000 + b"1" + b"}" * 20_000, "nests too deeply"),
    ("5,000 digits", b"a = " + b"9" * 5_000, "is no TOML: a number has too many digits"),
    ("no UTF-8", b"\xff\xfe", "is no TOML: it is not UTF-8"),
    ("no TOML", b"[rules\n", "is no TOML: Expected ']'"),
    ("too large", b"#" * (LARGEST + 1), "it has 262,145 bytes, more than 262,144; try: check"),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("name", "data", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_each_reader_refuses_it_in_one_line(
    tmp_path: Path, reader: str, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / "given.toml"
    path.write_bytes(data)
    with pytest.raises(RelrobError) as told:
        READERS[reader](path)
    line = str(told.value)
    assert words in line and "given" in line and line.isprintable()


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_not_waited_for(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "given.toml"
    os.mkfifo(path)
    with pytest.raises(RelrobError, match=r"cannot read .*given\.toml: it is no regular file"):
        READERS[reader](path)


def test_as_many_dots_as_are_accepted(tmp_path: Path) -> None:
    """They are read, and are no rules."""
    path = tmp_path / "given.toml"
    path.write_text(f"[{KEY[2:]}]\n")
    with pytest.raises(RelrobError, match=r"has 'a'; accepted: rules, judge"):
        read_policy(path)


def test_the_command_line_ends_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given.toml"
    path.write_text(f"[{KEY}]\n")
    words = ["relrob", "audit", "a.keras", "b.tflite", "--policy", str(path)]
    monkeypatch.setattr(sys, "argv", words)
    assert run() == 2
    told = capfd.readouterr().err
    assert "501 dots" in told and told.count("\n") == 1
