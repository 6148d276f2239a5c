"""`relrob radius`: how far around each image is each network proved right, and where wrong?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    attacks_option,
    common_options,
    data_options,
    dataset_options,
    grid_option,
    input_options,
    ladder_options,
    layout_option,
    memory_option,
    output_option,
    print_json,
    quantise_option,
    runtime_option,
    say,
    typed,
    workers_option,
)
from relrob.domain.region import NESTED
from relrob.registry import SOLVERS, load, names


@click.command("radius")
@click.argument("reference", required=False, shell_complete=completion.path)
@click.argument("quantised", required=False, shell_complete=completion.path)
@click.option(
    "--region",
    default="linf",
    show_default=True,
    help=f"{', '.join(NESTED)}; a ladder needs a --step.",
    shell_complete=completion.words(*NESTED),
)
@click.option(
    "--max-radius",
    metavar="R",
    help="The largest radius asked about, exact: 0.1, 16/255, 16lv.  [default: all images]",
)
@click.option(
    "--precision",
    metavar="P",
    help="Radii of balls are multiples of it.  [default: 1/2550 for linf, 1/100 for l2, 1/10 for "
    "l1]",
)
@click.option("--step", help="Manipulation step of a ladder in (0, 1], exact: 0.25, 1/64.")
@ladder_options
@grid_option
@dataset_options
@data_options
@click.option(
    "--images", default="0:100", show_default=True, help="0:100, 3,17,4, all or per-class:10."
)
@quantise_option
@runtime_option
@click.option(
    "--reference-runtime",
    help="Who executes the reference.  [default: onnxruntime for float MLPs]",
    shell_complete=completion.runtimes,
)
@layout_option
@input_options
@output_option
@click.option(
    "--solver",
    default="auto",
    show_default=True,
    help=f"auto, which tries bounds at all radii first, or {names(SOLVERS)}.",
    shell_complete=completion.solvers,
)
@click.option(
    "--time-limit",
    default=4.0,
    show_default=True,
    help="Seconds per image and network, for all radii together; what is open then stays open.",
)
@attacks_option
@click.option("--seed", default=0, show_default=True, help="Seed of calibration and attacks.")
@workers_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory, resumed if it exists.  [default: relrob-runs/...]",
)
@memory_option
@common_options
def command(
    as_json: bool,
    quiet: bool,
    region: str,
    time_limit: float,
    max_radius: str | None,
    precision: str | None,
    workers: str,
    out: Path | None,
    **options: Any,
) -> None:
    """Find the largest radius at which each network is proved right around each image, and the
    smallest at which it is known to be wrong: how much robustness did quantisation cost?

    REFERENCE, QUANTISED: as for relrob verify. A radius is proved where a sound solver proved the
    region of that very radius, for the runtime named; it is broken at the distance of a witness
    that was replayed. Between the two nothing is known, and nothing is guessed. An interrupted
    search resumes. Attacks are tried in the proved region too: one that succeeds there is an alarm
    (exit code 4).

    \b
    Examples:
      relrob radius --images 0:5 --time-limit 2
      relrob radius ref.h5 q.tflite --region linf --images 0:100 --out radii
      relrob radius --region l2 --max-radius 4 --images 0:5 --attacks pgd
      relrob radius --region ladder --step 1/4 --images 0:5 --json
    """
    radius: Callable[..., Any] = load("relrob.api.radius:radius")
    with load("relrob.cli.progress:progress")(as_json, quiet) as listener:
        result = radius(
            region=region,
            time_limit=time_limit,
            max_radius=max_radius,
            precision=precision,
            workers=workers,
            out=out,
            listener=listener,
            **typed(**options),
        )
    if as_json:
        print_json(result.json())
    elif not quiet:
        click.echo(load("relrob.report.radius.terminal:rendered")(result.summary))
        say(f"\nDirectory: {result.directory}")
