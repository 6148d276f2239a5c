"""Files and streams: whole or not at all, errors that name the remedy, digests, the cache's place,
native chatter, the registry."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob import registry
from relrob.cli.main import COMMANDS
from relrob.compress.table import QUANTISERS
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.system import files
from relrob.system.quiet import quiet_native


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff", "caf\u00e9\n", b"x" * 100_000], ids=["none", "bytes", "text", "long"]
)
def test_a_file_is_written_whole_and_alone(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "new" / "deep" / "file.bin"
    files.write_atomic(path, "before")
    files.write_atomic(path, data)
    assert path.read_bytes() == (data.encode("utf-8") if isinstance(data, str) else data)
    assert tree(tmp_path) == ["new", "new/deep", "new/deep/file.bin"]


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), KeyboardInterrupt(), StoreError("mine"), MemoryError()]
)
def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)) as told, files.atomic_path(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".txt" and temporary != path
        temporary.write_text("half")
        raise error
    assert told.value is error  # not hidden behind another
    assert path.read_text() == "old"
    assert tree(tmp_path) == ["file.txt"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_rights_that_the_user_chose(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        files.write_atomic(tmp_path / "file", b"x")
        kept = os.umask(umask)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert kept == umask  # the process's own mask is as it was


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    files.write_atomic(tmp_path / "file", "mine")
    assert (tmp_path / "other").read_text() == "other"
    assert not (tmp_path / "file").is_symlink()


def test_sweeping_takes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    stuck = files.atomic_path(tmp_path / "sub" / "file.npz")
    leftover = stuck.__enter__()  # as a killed process leaves it
    keep = [tmp_path / "relrob-partial-1", tmp_path / "sub" / "x.relrob-partial-"]
    for path in keep:
        path.write_text("keep")
    assert leftover.is_file()
    files.sweep(tmp_path)
    files.sweep(tmp_path)
    assert tree(tmp_path) == ["relrob-partial-1", "sub", "sub/x.relrob-partial-"]
    with pytest.raises(
        StoreError
    ):  # the file that was being written is gone: an error, not an empty file
        stuck.__exit__(None, None, None)
    assert not (tmp_path / "sub" / "file.npz").exists()


REFUSALS = [
    ("full", errno.ENOSPC, "out/file", "free space, or another --out or output, in a directory"),
    (
        "quota",
        errno.EDQUOT,
        "cache/networks/a.keras",
        "free space, or the environment variable RELROB_CACHE",
    ),
    ("too large", errno.EFBIG, "cache", "free space, or the environment variable RELROB_CACHE"),
    ("no right", errno.EACCES, "cache/x", "the environment variable RELROB_CACHE"),
    ("read-only", errno.EROFS, "out", "another --out or output, in a directory"),
    ("beside", errno.EACCES, "cache-two/x", "another --out or output, in a directory"),
]


@pytest.mark.parametrize(
    ("name", "number", "place", "hint"), REFUSALS, ids=[row[0] for row in REFUSALS]
)
def test_refusals_of_the_system_name_the_file_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, place: str, hint: str
) -> None:
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    path = tmp_path / place
    with pytest.raises(StoreError) as told, files.disk_errors(path):
        raise OSError(number, os.strerror(number))
    line = str(told.value)
    assert line.startswith(f"cannot write {path}: {os.strerror(number)}; try: {hint}")
    assert "\n" not in line


def test_what_is_no_refusal_passes_as_it_is(tmp_path: Path) -> None:
    for error in (UsageError("mine"), ValueError("a bug")):
        with pytest.raises(type(error)) as told, files.disk_errors(tmp_path):
            raise error
        assert told.value is error
    with (
        pytest.raises(StoreError, match=r"cannot write .*: no strerror"),
        files.disk_errors(tmp_path),
    ):
        raise OSError("no strerror")


@pytest.mark.parametrize("below", ["file/x", "file/deep/x"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    for attempt in (files.check_writable, lambda path: files.write_atomic(path, b"")):
        with pytest.raises(StoreError, match=r"cannot write .*(directory|exists)"):
            attempt(tmp_path / below)
    assert tree(tmp_path) == ["file"]


@pytest.mark.parametrize("setting", ["", "own"])
def test_the_cache_is_made_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv(
        "RELROB_CACHE", str(tmp_path / setting) if setting else ""
    )  # empty means not set
    wanted = tmp_path / (setting or "xdg/relrob")
    assert files.cache_dir() == files.cache_dir() == wanted
    assert wanted.is_dir()


@settings(max_examples=25)
@given(st.binary(max_size=300))
def test_digests_are_those_of_hashlib(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(data)
    wanted = hashlib.sha256(data).hexdigest()
    assert files.sha256_bytes(data) == files.sha256_file(path) == files.sha256_path(path) == wanted


def test_the_digest_of_a_folder_sees_names_places_and_bytes(tmp_path: Path) -> None:
    """Each folder differs from the first in one thing; two of the same content in another order of
    making agree."""
    layouts: list[dict[str, bytes]] = [
        {"a": b"1", "b/c": b"2"},
        {"b/c": b"2", "a": b"1"},
        {"a": b"2", "b/c": b"1"},
        {"a": b"1", "c": b"2"},
        {"a": b"1", "b/c": b"2", "d": b""},
        {"a": b"1"},
        {"ab/c": b"2", "a": b"1"},
    ]
    digests = []
    for number, layout in enumerate(layouts):
        folder = tmp_path / str(number)
        for name, data in layout.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        digests.append(files.sha256_path(folder))
    assert digests[0] == digests[1]
    assert len(set(digests)) == len(layouts) - 1
    (tmp_path / "0" / "empty").mkdir()
    assert files.sha256_path(tmp_path / "0") == digests[0]  # files count, empty folders do not
    by_hand = hashlib.sha256()
    for name, data in sorted(layouts[0].items()):
        by_hand.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    assert digests[0] == by_hand.hexdigest()


def test_chatter_goes_to_the_log_and_the_streams_come_back(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "relrob.system.quiet")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match="inside"), quiet_native():
        os.write(2, b"native \xff one\nnative two\n")
        sys.stdout.write("printed\n")
        raise ValueError("inside")
    assert caplog.messages == []  # the exception says what happened
    with quiet_native():
        sys.stdout.write("printed\n")
        os.write(2, b"native \xff one\n")
    assert caplog.messages == ["printed", "native \ufffd one"]
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 2
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    os.write(2, b"heard again\n")
    sys.stdout.write("and this\n")
    assert capfd.readouterr() == ("and this\n", "heard again\n")


TABLES = {"solver": registry.SOLVERS, "runtime": registry.EVALUATORS, "scheme": QUANTISERS}


@pytest.mark.parametrize("what", sorted(TABLES))
def test_names_lead_to_their_entries_and_other_names_to_a_list(what: str) -> None:
    table = TABLES[what]
    assert len({entry.name for entry in table}) == len(table)
    for entry in table:
        assert registry.find(table, entry.name, what) is entry
        assert not entry.summary.endswith(".") and "\n" not in entry.summary
    for name in ("", table[0].name.upper(), f"{table[0].name} ", table[0].name[:-1]):
        with pytest.raises(UsageError) as told:
            registry.find(table, name, what)
        names = ", ".join(dict.fromkeys(entry.method or entry.name for entry in table))
        assert str(told.value) == f"{what} {' '.join(repr(name).split())}; accepted: {names}"
        assert registry.names(table) == names


@pytest.mark.parametrize(
    "target", sorted({entry.target for table in TABLES.values() for entry in table})
)
def test_targets_are_where_the_registry_says(target: str) -> None:
    """Read, not imported: some take seconds."""
    module, _, attribute = target.partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert f"\nclass {attribute}" in source or f"\ndef {attribute}(" in source


@pytest.mark.parametrize("entry", registry.SOLVERS, ids=lambda entry: entry.name)
def test_solvers_are_what_the_registry_calls_them(entry: registry.Entry) -> None:
    solver = registry.load(entry.target)()
    assert (solver.name, solver.complete) == (entry.method, entry.complete)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_commands_are_what_the_help_calls_them(name: str) -> None:
    target, summary = COMMANDS[name]
    command = registry.load(target)
    assert isinstance(command, click.Command) and command.name == name
    assert summary.endswith(".") and not summary.endswith("..")


MESSAGES = [
    (("given",), "given"),
    (("given.", "this."), "given; accepted: this"),
    (("given", "", "that."), "given; try: that"),
    ((" given\nover  lines ", " this\n", "\tthat "), "given over lines; accepted: this; try: that"),
]


@pytest.mark.parametrize(("arguments", "line"), MESSAGES)
@pytest.mark.parametrize("kind", [RelrobError, UsageError, StoreError])
def test_errors_say_given_accepted_and_try(
    kind: type[RelrobError], arguments: tuple[str, ...], line: str
) -> None:
    error = kind(*arguments)
    assert (str(error), error.exit_code) == (line, 2)
