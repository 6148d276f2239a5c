"""`relrob train`: train a reference network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import common_options, print_json
from relrob.cli.progress import progress
from relrob.registry import load
from relrob.training.architectures import ARCHITECTURES

NAMES = "; ".join(f"{architecture.name} ({architecture.summary})" for architecture in ARCHITECTURES)


@click.command("train")
@click.option(
    "--arch",
    help=f"{NAMES}. Default: the paper's for the data set.",
    shell_complete=completion.architectures,
)
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="Data set by name, .npz file or directory of pictures.",
    shell_complete=completion.datasets,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The .keras file to write.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of weights, order and dropout."
)
@click.option(
    "--epochs", type=int, help="Passes over the training images. Default: the architecture's."
)
@common_options
def command(
    arch: str | None,
    dataset: str,
    output: Path,
    seed: int,
    epochs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a reference network on the training split and measure it on the test split.

    It reads pixels in [0, 1] and ends in logits. The same seed on the same machine gives the same
    file.

    \b
    Example:
      relrob train --arch mlp-512x2 --dataset mnist -o ref.keras
    """
    train: Callable[..., dict[str, Any]] = load("relrob.api.train:train")
    with progress(as_json, quiet) as listener:
        summary = train(
            output, arch=arch, dataset=dataset, seed=seed, epochs=epochs, listener=listener
        )
    if as_json:
        print_json(summary)
    elif not quiet:
        click.echo(
            f"{output}: {summary['arch']}, {summary['accuracy']:.2%} of {summary['images']:,} "
            f"test images right, {summary['seconds']:.0f} s"
        )
