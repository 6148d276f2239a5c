"""`relrob train`: train a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import common_options, print_json, say
from relrob.cli.progress import progress
from relrob.compress.in_training.parse import METHODS
from relrob.registry import load
from relrob.training.architectures import ARCHITECTURES, PROFILES
from relrob.training.recipes import AUGMENTS

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
    "--profile",
    default="quick",
    show_default=True,
    help="quick (minutes to an hour on two cores) or full (the paper's recipe).",
    shell_complete=completion.words(*PROFILES),
)
@click.option("--epochs", type=int, help="Passes over the training images. Default: the recipe's.")
@click.option("--limit", type=int, help="The first so many training images alone.")
@click.option(
    "--patience",
    type=int,
    help="End after so many epochs without a better loss on the validation images, and keep the "
    "best.",
)
@click.option(
    "--augment",
    multiple=True,
    help=f"{', '.join(AUGMENTS)}: beside the recipe's own; several times.",
    shell_complete=completion.words(*AUGMENTS),
)
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="A .keras file of the same architecture: train on from its weights.",
    shell_complete=completion.path,
)
@click.option(
    "--compress",
    default="",
    help=f"Compress in training: {', '.join(METHODS.values())}.",
    shell_complete=completion.words(*METHODS.values()),
)
@common_options
def command(
    arch: str | None,
    dataset: str,
    output: Path,
    seed: int,
    profile: str,
    epochs: int | None,
    limit: int | None,
    patience: int | None,
    augment: tuple[str, ...],
    start: Path | None,
    compress: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a network on the training split and measure it on the test split.

    It reads pixels in [0, 1] and ends in logits. The same seed on the same machine gives the same
    file. A killed training leaves its state beside the output: the same command goes on from it.

    \b
    Example:
      relrob train --arch mlp-512x2 --dataset mnist -o ref.keras
      relrob train --arch lenet5 --profile quick -o lenet5.keras
    """
    train: Callable[..., dict[str, Any]] = load("relrob.api.train:train")
    with progress(as_json, quiet) as listener:
        summary = train(
            output,
            arch=arch,
            dataset=dataset,
            seed=seed,
            profile=profile,
            epochs=epochs,
            limit=limit,
            patience=patience,
            augment=augment,
            start=start,
            compress=compress,
            listener=listener,
        )
    if as_json:
        print_json(summary)
    elif not quiet:
        say(
            f"{output}: {summary['arch']}, {summary['accuracy']:.2%} of {summary['images']:,} "
            f"test images right, {summary['seconds']:.0f} s"
        )
