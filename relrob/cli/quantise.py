"""`relrob quantise`: a float network in, the file of its quantised form out."""

from __future__ import annotations

import time
from pathlib import Path

import click

import relrob_datasets
from relrob.cli.common import common_options, print_json
from relrob.cli.progress import progress
from relrob.compress.build import default_runtime, needs_calibration, quantised_bytes, suffix
from relrob.compress.calibration import DEFAULT_COUNT, Calibration, draw
from relrob.domain.events import Event
from relrob.errors import UsageError
from relrob.files import sha256_bytes, write_atomic
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import QUANTISERS, names


@click.command("quantise")
@click.argument("reference", type=click.Path(path_type=Path))
@click.option("--scheme", default="int8", show_default=True, help=f"{names(QUANTISERS)}.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write: .tflite, .onnx for qdq."
)
@click.option("--dataset", default="mnist", show_default=True, help="Data set that calibrates and tests it.")
@click.option(
    "--calibration",
    type=int,
    default=DEFAULT_COUNT,
    show_default=True,
    help="Images drawn to calibrate int8, int16x8, qdq.",
)
@click.option("--calibration-split", default="train", show_default=True, help="Split that they are drawn from.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of that draw.")
@click.option("--layout", default="auto", show_default=True, help="Pixel order of REFERENCE: auto, hwc or chw.")
@common_options
def command(
    reference: Path,
    scheme: str,
    output: Path,
    dataset: str,
    calibration: int,
    calibration_split: str,
    seed: int,
    layout: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Quantise REFERENCE (.keras, .h5, .onnx or SavedModel, float32) after training and measure the file on the test split.

    `dynamic` has one scale a weight tensor and symmetric inputs, as in Duncan et al. 2020; `dynamic-per-channel` is what
    today's converter does unasked. The same command gives the same bytes.

    \b
    Example:
      relrob quantise ref.keras --scheme int8 -o q.tflite
    """
    started = time.monotonic()
    if output.suffix != suffix(scheme):
        raise UsageError(f"output {output} for scheme {scheme}", f"a file name that ends in {suffix(scheme)}")
    with progress(as_json, quiet) as listener:
        test = relrob_datasets.load(dataset, "test")
        shape = test.image_shape
        network = load_network(reference, image_shape=shape, classes=test.classes, layout=layout)
        drawn: Calibration | None = None
        if needs_calibration(scheme):
            drawn = draw(relrob_datasets.load(dataset, calibration_split), calibration, seed)
        listener(
            Event("note", f"quantising {reference} as {scheme}" + (f", calibrated on {drawn.name}" if drawn else ""))
        )
        data = quantised_bytes(network, scheme, drawn, shape)
        write_atomic(output, data)
        quantised = load_network(
            output, image_shape=shape, classes=test.classes, runtime=default_runtime(scheme), inherit=network.layout
        )
        score = accuracy(open_network(quantised, 2), test.images, test.labels)
    summary = {
        "path": str(output),
        "sha256": sha256_bytes(data),
        "scheme": scheme,
        "calibration": drawn.name if drawn else None,
        "reference": {"path": str(reference), "sha256": network.sha256},
        "accuracy": round(score, 6),
        "runtime": quantised.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }
    if as_json:
        print_json(summary)
    elif not quiet:
        click.echo(
            f"{output}: {scheme}, {len(data):,} bytes, {score:.2%} of {len(test):,} test images right on {quantised.runtime}"
        )
