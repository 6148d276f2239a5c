"""Every command has help with an example, and every example is a command line that relrob takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest

from relrob.cli.main import group

ROOT = Path(__file__).resolve().parents[2]


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The command and all below it."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from commands(below, (*path, name))


ALL = list(commands(group))


def parsed(line: str) -> tuple[str, ...]:
    """The command that a line is for, after its options were read. Raises what click raises for a
    line that it does not take."""
    words, found = shlex.split(line)[1:], cast(click.Command, group)
    path: tuple[str, ...] = ()
    while isinstance(found, click.Group):
        name = words.pop(0)
        below = found.get_command(click.Context(found), name)
        assert below is not None, f"relrob has no command {name}"
        found, path = below, (*path, name)
    found.make_context(" ".join(path), words)
    return path


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=[" ".join(path) or "relrob" for path, _ in ALL]
)
def test_help_has_an_example_that_parses(path: tuple[str, ...], command: click.Command) -> None:
    text = command.help or ""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("relrob ")]
    assert "Example" in text and lines
    assert path in {parsed(line)[: len(path)] for line in lines}


def test_the_readme_says_nothing_that_relrob_does_not_take() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = [
        part
        for part in text.split("`")
        if part.startswith("relrob ") and "\n" not in part and "..." not in part
    ]
    blocks = [
        line.split("#")[0].strip() for line in text.splitlines() if line.startswith("relrob ")
    ]
    lines = [line for line in (*quoted, *blocks) if len(line.split()) > 2]
    assert len(lines) > 3
    for line in lines:
        parsed(line)
