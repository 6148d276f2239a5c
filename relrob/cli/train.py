"""`relrob train`: train a reference network."""

from __future__ import annotations

import time
from pathlib import Path

import click

import relrob_datasets
from relrob.architectures import ARCHITECTURES, default_architecture
from relrob.cli.common import common_options, print_json
from relrob.cli.progress import progress
from relrob.domain.events import Event
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.reference import trainer

NAMES = "; ".join(f"{architecture.name} ({architecture.summary})" for architecture in ARCHITECTURES)


@click.command("train")
@click.option("--arch", help=f"{NAMES}. Default: the paper's for the data set.")
@click.option(
    "--dataset", default="mnist", show_default=True, help="Data set by name, .npz file or directory of pictures."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .keras file to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights, order and dropout.")
@click.option("--epochs", type=int, help="Passes over the training images. Default: the architecture's.")
@common_options
def command(
    arch: str | None, dataset: str, output: Path, seed: int, epochs: int | None, as_json: bool, quiet: bool
) -> None:
    """Train a reference network on the training split and measure it on the test split.

    It reads pixels in [0, 1] and ends in logits. The same seed on the same machine gives the same file.

    \b
    Example:
      relrob train --arch mlp-512x2 --dataset mnist -o ref.keras
    """
    started = time.monotonic()
    name = arch or default_architecture(dataset)
    with progress(as_json, quiet) as listener:
        test = relrob_datasets.load(dataset, "test")
        listener(Event("note", f"training {name} on {dataset}, seed {seed}; TensorFlow takes a few seconds to load"))
        trainer()(name, dataset, output, seed=seed, epochs=epochs, listener=listener)
        network = load_network(output, image_shape=test.image_shape, classes=test.classes)
        score = accuracy(open_network(network, 2), test.images, test.labels)
    summary = {
        "path": str(output),
        "sha256": network.sha256,
        "arch": name,
        "dataset": dataset,
        "seed": seed,
        "accuracy": round(score, 6),
        "runtime": network.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }
    if as_json:
        print_json(summary)
    elif not quiet:
        click.echo(f"{output}: {name}, {score:.2%} of {len(test):,} test images right, {summary['seconds']:.0f} s")
