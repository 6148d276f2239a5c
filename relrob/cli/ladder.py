"""`relrob ladder`: the ladder around one image, counted, checked, exported and drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    common_options,
    image_options,
    ladder_options,
    memory_option,
    print_json,
    say,
)
from relrob.registry import load


@click.command("ladder")
@click.argument("image", shell_complete=completion.path)
@click.option("--radius", required=True, help="Radius in pixel units, exact: 10, 1/2.")
@click.option("--step", required=True, help="Manipulation step in (0, 1], exact: 0.25, 1/64.")
@ladder_options
@click.option(
    "--dataset",
    help="Data set of which IMAGE is an index.  [default: mnist]",
    shell_complete=completion.datasets,
)
@click.option(
    "--split",
    help="Its split.  [default: test]",
    shell_complete=completion.words(*completion.SPLITS),
)
@image_options
@click.option(
    "--graphml",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the graph: a node a point, an edge a manipulation.",
)
@click.option(
    "--drawing",
    type=click.Path(path_type=Path),
    metavar="FILE.png|svg",
    help="Draw the graph, of 2,000 points at most.",
)
@memory_option
@common_options
def command(as_json: bool, quiet: bool, image: str, **options: Any) -> None:
    """Count the points of the complete ladder around IMAGE, for each number of moved features, and
    check that the ladder is complete and covering. Ladders of up to 20,000 points.

    IMAGE: an index of the data set, or a file with one image: a picture, a .npy, or a .npz such as
    the witnesses of a run. Complete: every affordable manipulation leads to a point. Covering:
    single manipulations lead from the image to every point. Exit code 1: it is not both.

    \b
    Examples:
      relrob ladder 3 --radius 10 --step 1/4 --features 8
      relrob ladder 3 --radius 10 --step 1/4 --features 8 --graphml 3.graphml --drawing 3.png
    """
    ladder: Callable[..., dict[str, Any]] = load("relrob.api.ladder:ladder")
    found = ladder(image, **options)
    if as_json:
        print_json(found)
    elif not quiet:
        _print(found)
    sys.exit(0 if found["complete"] and found["covering"] else 1)


def _print(found: dict[str, Any]) -> None:
    """The counts as a table, then the check."""
    click.echo(f"{'moved':>5}  {'points':>8}  cost")
    for line in found["rungs"]:
        ends = [f"{float(Fraction(line[end])):.6g}" for end in ("least", "largest")]
        cost = ends[0] if line["least"] == line["largest"] else " to ".join(ends)
        click.echo(f"{line['moved']:>5}  {line['points']:>8,}  {cost}")
    click.echo(f"{'all':>5}  {found['points']:>8,}  {found['edges']:,} manipulations between them")
    parts = [f"{'' if found[name] else 'NOT '}{name}" for name in ("complete", "covering")]
    click.echo(f"{', '.join(parts)}; the longest path has {found['longest']} manipulations")
    for note in found["image"].get("notes", ()):
        say(note)
    for name in found["files"]:
        say(f"wrote {name}")
