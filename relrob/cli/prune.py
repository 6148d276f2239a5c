"""`relrob prune`: a trained network in, the file of its pruned form out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    common_options,
    data_options,
    input_options,
    memory_option,
    print_json,
    say,
    typed,
)
from relrob.cli.progress import progress
from relrob.compress.calibration import DEFAULT_COUNT
from relrob.compress.in_training.parse import GRADIENTS
from relrob.compress.pruning.activations import GRANULARITIES
from relrob.compress.pruning.asked import METHODS, SCOPES
from relrob.registry import load

_TOLD = "; ".join(f"{name} ({words})" for name, (_, _, words) in METHODS.items())
_SHARES = ", ".join(f"{share:g} {name}" for name, (share, _, _) in METHODS.items())


@click.command("prune")
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--method",
    default="magnitude",
    show_default=True,
    help=f"{_TOLD}.",
    shell_complete=completion.words(*METHODS),
)
@click.option(
    "--density",
    type=float,
    help=f"Share of weights, filters or units that stay.  [default: {_SHARES}]",
)
@click.option("--threshold", type=float, help="Least magnitude that stays, instead (magnitude).")
@click.option(
    "--scope",
    help="The share is of each layer, or of all weights: layer, global (magnitude).  "
    "[default: layer]",
    shell_complete=completion.words(*SCOPES),
)
@click.option(
    "--gradients",
    help="Of pruned weights: full, which brings them back, or masked (surgery).  [default: full]",
    shell_complete=completion.words(*GRADIENTS),
)
@click.option("--block", metavar="LAYER", help="Layer whose outputs are masked (activations).")
@click.option(
    "--granularity",
    help="Single units, or channels: unit, channel (activations).  [default: unit]",
    shell_complete=completion.words(*GRANULARITIES),
)
@click.option(
    "--epochs",
    type=int,
    help="Passes over the training images afterwards.  [default: 1 for surgery, else 0]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The .keras file to write.",
)
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="Data set that trains and tests it.",
    shell_complete=completion.datasets,
)
@data_options
@click.option(
    "--calibration",
    type=int,
    default=DEFAULT_COUNT,
    show_default=True,
    help="Images drawn for mean activations.",
)
@click.option(
    "--calibration-split",
    default="train",
    show_default=True,
    help="Split that they are drawn from.",
    shell_complete=completion.words(*completion.SPLITS),
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of that draw, and of training."
)
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    help="Pixel order of REFERENCE: auto, hwc or chw.",
    shell_complete=completion.words(*completion.LAYOUTS),
)
@input_options
@memory_option
@common_options
def command(reference: Path, output: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Prune REFERENCE (.keras, .h5, or an MLP of any format, float32) and measure the file on the
    test split.

    A pruned MLP is a float MLP: `relrob verify` proves it as any other. Masks of activations behind
    convolutions are layers of relrob's own, which Keras loads with relrob.

    \b
    Example:
      relrob prune ref.keras --method magnitude --density 0.3 -o p.keras
    """
    prune: Callable[..., dict[str, Any]] = load("relrob.api.prune:prune")
    with progress(as_json, quiet) as listener:
        summary = prune(reference, output, listener=listener, **typed(**options))
    if as_json:
        print_json(summary)
    elif not quiet:
        share = f", {summary['density']:.1%} of the weights stay" if "density" in summary else ""
        say(
            f"{output}: {summary['method']}{share}, {summary['accuracy']:.2%} of "
            f"{summary['images']:,} test images right"
        )
