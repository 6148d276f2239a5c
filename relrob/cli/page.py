"""`relrob page`: report.html from a finished directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from relrob.cli.common import common_options, print_json, say
from relrob.errors import UsageError
from relrob.registry import load


@click.command("page")
@click.argument(
    "directories",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIRECTORY...",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="[default: report.html in DIRECTORY]"
)
@common_options
def command(directories: tuple[Path, ...], output: Path | None, as_json: bool, quiet: bool) -> None:
    """Write the page of a finished run, audit, search for radii or study again.

    DIRECTORY: one that `relrob verify`, `relrob audit`, `relrob radius` or `relrob study run`
    wrote. The page is one file that needs nothing beside it: a mail or a build server can carry
    it. Where the directory of a run or an audit holds a search for radii in a folder named radii,
    the page shows its curves.

    \b
    Examples:
      relrob radius ref.h5 q.tflite --out run/radii
      relrob page run
    """
    if output is not None and len(directories) > 1:
        raise UsageError(
            f"--output {output} for {len(directories)} directories", "one", "leave out --output"
        )
    write: Callable[..., Path] = load("relrob.api.page:page")
    paths = [str(write(directory, output)) for directory in directories]
    if as_json:
        print_json({"pages": paths})
    elif not quiet:
        for path in paths:
            say(path)
