"""Errors as the user sees them: one line on standard error and an exit code; under --json the same
parts on standard output."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Final

import click

from relrob.cli import interrupt
from relrob.cli.common import print_json
from relrob.errors import RelrobError, UsageError, capped, printable
from relrob.system.files import NO_DESCRIPTORS

# The most characters of a line about an error.
MOST: Final = 1000
# The exit code of an error that nobody foresaw, after its traceback.
_CRASH: Final = 1


def tell(error: BaseException) -> int | None:
    """Tell the user of a mistake of theirs; returns the exit code. None for another error, which
    --json is told of all the same."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return 2
    mistake = mistake_of(error)
    if mistake is None:
        if interrupt.as_json() and not isinstance(error, SystemExit):
            name = type(error).__name__
            _write(RelrobError(f"{name}: {error}", "", "reporting this as a bug"), _CRASH)
        return None
    with suppress(OSError):
        click.echo(f"relrob: {capped(printable(str(mistake)), MOST)}", err=True)
    if interrupt.as_json():
        _write(mistake, mistake.exit_code)
    if isinstance(error, OSError) and error.errno not in NO_DESCRIPTORS:
        # Without this Python would write again as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return mistake.exit_code


def _write(mistake: RelrobError, code: int) -> None:
    """Its parts as JSON on standard output, unless nobody reads that any more."""
    given, accepted, hint = mistake.parts
    with suppress(OSError):
        print_json(
            {"error": {"given": given, "accepted": accepted, "hint": hint, "exit_code": code}}
        )
        sys.stdout.flush()


def mistake_of(error: BaseException) -> RelrobError | None:
    """A mistake of the user's in relrob's form (given; accepted; try); None for another error."""
    if isinstance(error, RelrobError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    return _system(error) if isinstance(error, OSError) else None


def _usage(error: click.ClickException) -> RelrobError:
    """From click's message."""
    given = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    accepted = ""
    if (
        isinstance(error, click.MissingParameter)
        and isinstance(error.param, click.Option)
        and error.param.help
    ):
        accepted = error.param.help.rstrip(".")
    path = context.command_path if context else "relrob"
    return UsageError(f"{given[:1].lower()}{given[1:]}", accepted, f"{path} --help")


def _system(error: OSError) -> RelrobError:
    """From a refusal of the operating system."""
    if error.errno in NO_DESCRIPTORS:
        return RelrobError("too many open files", hint="ulimit -n 1024")
    if error.errno == errno.ENAMETOOLONG:
        return RelrobError(f"a name is longer than the file system takes: {error.filename}")
    told = f"cannot write the output: {error.strerror or error}"
    return RelrobError(told, hint="free space, or another place for it")
