"""Options and printing that commands share."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from relrob.cli import completion
from relrob.errors import UsageError, printable

F = TypeVar("F", bound=Callable[..., Any])


def _set_level(ctx: click.Context, param: click.Parameter, value: int | bool) -> None:
    """-v shows information, -vv everything, -q errors alone."""
    if value:
        quiet = param.name == "quiet"
        logging.getLogger("relrob").setLevel(
            logging.ERROR if quiet else (logging.INFO if value == 1 else logging.DEBUG)
        )


def common_options(function: F) -> F:
    """Add --json, -q and -v. The command receives `as_json` (bool) and `quiet` (bool)."""
    function = click.option(
        "--json",
        "as_json",
        is_flag=True,
        # Before --format, which asks for it.
        is_eager=True,
        help="JSON on standard output, nothing else.",
    )(function)
    function = click.option("-q", "--quiet", is_flag=True, callback=_keep, help="Errors only.")(
        function
    )
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_set_level,
        help="Say more (-vv: everything).",
    )(function)


def typed(**options: Any) -> dict[str, Any]:
    """Those of the options that the user typed."""
    source = click.get_current_context().get_parameter_source
    unasked = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return {name: value for name, value in options.items() if source(name) not in unasked}


def crew(workers: str, scheduler: str | None) -> str | None:
    """The text of --workers; None where the user left it to a cluster."""
    return workers if scheduler is None or typed(workers=workers) else None


def memory_option(function: F) -> F:
    """Add --memory. The command receives `memory` (float or None)."""
    words = (
        "GiB that the first reading of a file may take, besides three times its size.  [default: 2]"
    )
    return click.option("--memory", type=float, metavar="GIB", help=words)(function)


def worker_options(function: F) -> F:
    """Add --workers and --scheduler. The command receives `workers` (text) and `scheduler` (text or
    None)."""
    function = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="A running Dask cluster decides the images: tcp://HOST:8786.",
    )(function)
    return click.option(
        "--workers",
        default="auto",
        show_default=True,
        help="Processes: auto (one a core) or a number.",
    )(function)


def ladder_options(function: F) -> F:
    """Add --features and --axes. The command receives `features` (text) and `axes` (int)."""
    function = click.option(
        "--axes", default=10, show_default=True, help="Axes (pixels or channels) in a feature."
    )(function)
    return click.option(
        "--features", default="20", show_default=True, help="Most salient groups of axes, or all."
    )(function)


def format_option(function: F) -> F:
    """Add --format, which --json sets to json. The command receives `form` (text)."""
    return click.option(
        "--format",
        "form",
        default="markdown",
        show_default=True,
        callback=_form,
        help=f"{', '.join(completion.FORMATS[:-1])} or {completion.FORMATS[-1]}.",
        shell_complete=completion.words(*completion.FORMATS),
    )(function)


def _form(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """json under --json. Raises UsageError where another form is asked for too."""
    if not ctx.params.get("as_json"):
        return value
    if typed(form=value) and value != "json":
        raise UsageError(f"--format {value} with --json", "one of the two", "leave out --json")
    return "json"


def _keep(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Set the level and pass the flag on."""
    _set_level(ctx, param, value)
    return value


def print_json(value: Any) -> None:
    """One JSON document on standard output, keys in the order given; escapes where the terminal
    takes no UTF-8."""
    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    click.echo(printable(json.dumps(value, indent=2, ensure_ascii=plain), keep="\n"))
