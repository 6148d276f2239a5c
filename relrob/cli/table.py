"""`relrob table`: runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from relrob.cli.common import common_options, echo_page, format_option
from relrob.registry import load


@click.command("table")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@format_option
@common_options
def command(runs: tuple[Path, ...], form: str, as_json: bool, quiet: bool) -> None:
    """Print tables of relative robustness and transfer of run directories, beside the published
    numbers where there are any.

    RUN: a directory that `relrob verify` or `relrob study run` wrote, finished or not; or each of
    them one of a finished `relrob radius`, of which the critical radii are printed.

    \b
    Examples:
      relrob table run --format csv
      relrob table radii
    """
    table_text: Callable[[Sequence[Path], str], str] = load("relrob.api.study:table_text")
    echo_page(table_text(runs, form), form)
