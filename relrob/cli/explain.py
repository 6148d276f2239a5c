"""`relrob explain`: why an image has its verdicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import columns, common_options, print_json
from relrob.registry import load


@click.command("explain")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=completion.path)
@click.argument("image")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Also write a picture of the witness: original, perturbed, difference.",
)
@common_options
def command(run: Path, image: str, picture: Path | None, as_json: bool, quiet: bool) -> None:
    """Say why an image has its verdicts: the region, the solver, the arithmetic, what is proved and
    what was run, the witness with the pixels that changed, what an UNKNOWN lacks, and what the set
    means.

    RUN: a directory that `relrob verify` or `relrob audit` wrote, finished or not. IMAGE: the index
    of one of its images. Nothing is decided again: the store is read. Of a witness a sketch is
    printed: + pixels are brighter than they were, - darker.

    \b
    Examples:
      relrob explain run 4
      relrob explain run 4 --picture why.png
    """
    explain: Callable[..., Any] = load("relrob.api.explain:explain")
    found = explain(run, image, picture=picture)
    if as_json:
        print_json(found.json())
    elif not quiet:
        click.echo(found.text(columns()))
        sketch: Callable[..., str] = load("relrob.report.run.sketch:sketch")
        for view in found.witnesses:
            drawn = sketch(view, columns())
            if drawn:
                click.echo(f"\nWitness against the {view.network} network\n{drawn}")
