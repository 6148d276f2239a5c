"""`relrob quantise`: a float network in, the file of its quantised form out."""

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
from relrob.compress.table import QUANTISERS
from relrob.registry import load, names


@click.command("quantise")
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--scheme",
    default="int8",
    show_default=True,
    help=f"{names(QUANTISERS)}.",
    shell_complete=completion.schemes,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: .tflite; .onnx for qdq; .keras for q, dorefa, apot; .npz for integers.",
)
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="Data set that calibrates and tests it.",
    shell_complete=completion.datasets,
)
@data_options
@click.option(
    "--calibration",
    type=int,
    default=DEFAULT_COUNT,
    show_default=True,
    help="Images drawn to calibrate int8, int16x8, qdq and others.",
)
@click.option(
    "--calibration-split",
    default="train",
    show_default=True,
    help="Split that they are drawn from.",
    shell_complete=completion.words(*completion.SPLITS),
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of that draw.")
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
    """Quantise REFERENCE (.keras, .h5, .onnx or SavedModel, float32) after training and measure the
    file on the test split.

    `dynamic` has one scale a weight tensor and symmetric inputs, as in Duncan et al. 2020;
    `dynamic-per-channel` is what today's converter does unasked. `q:W:P`, `dorefa:K` and `apot:B`
    are the formats of Zhao et al. 2018, Shrestha & Grossmann 2024 and Matachana et al. 2020, and
    `q:W:P` of an MLP with a .npz is exact integers, which can be proved. The same command gives
    the same bytes.

    \b
    Example:
      relrob quantise ref.keras --scheme int8 -o q.tflite
    """
    quantise: Callable[..., dict[str, Any]] = load("relrob.api.quantise:quantise")
    with progress(as_json, quiet) as listener:
        summary = quantise(reference, output, listener=listener, **typed(**options))
    if as_json:
        print_json(summary)
    elif not quiet:
        own = summary.get("data", {}).get("labels") == "reference"
        say(
            f"{output}: {summary['scheme']}, {summary['bytes']:,} bytes, "
            f"{summary['accuracy']:.2%} of {summary['images']:,} test images "
            f"{'labelled as by the reference' if own else 'right'} on {summary['runtime']}"
        )
        if summary["calibration"]:
            say(f"calibrated on {summary['calibration']}")
