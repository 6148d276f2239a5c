"""`relrob runtimes`: the labels of one file on each runtime that executes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    common_options,
    data_options,
    input_options,
    memory_option,
    output_option,
    print_json,
)
from relrob.cli.progress import progress
from relrob.registry import load

if TYPE_CHECKING:
    from relrob.audit.runtime_report import RuntimeReport


@click.command("runtimes")
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="Data set that is run.",
    shell_complete=completion.datasets,
)
@click.option(
    "--split",
    default="test",
    show_default=True,
    help="Its split.",
    shell_complete=completion.words(*completion.SPLITS),
)
@click.option("--images", default="all", show_default=True, help="0:100, 3,17,4 or per-class:10.")
@click.option(
    "--runtimes",
    default="",
    metavar="NAME,...",
    shell_complete=completion.runtime_list,
    help="Some of them.  [default: all that can execute the format]",
)
@click.option(
    "--sample",
    default="auto",
    show_default=True,
    help="auto: 1,000 images for runtimes above 1 ms an image; a number: so many for each; all.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of that sample.")
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    help="Pixel order of NETWORK: auto, hwc or chw.",
    shell_complete=completion.words(*completion.LAYOUTS),
)
@data_options
@input_options
@output_option
@memory_option
@common_options
def command(network: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Run NETWORK on each of its runtimes and name the images whose labels differ.

    A .tflite file on xnnpack, builtin, reference and, where it is installed, tflm; an .onnx file on
    onnxruntime at each level of optimisation; a Keras file on keras and, exported, on onnxruntime.
    A runtime that refuses the file is named with its reason.

    \b
    Example:
      relrob runtimes q.tflite --dataset mnist
      relrob runtimes q.tflite --runtimes xnnpack,tflm --images 0:1000
    """
    compare: Callable[..., RuntimeReport] = load("relrob.api.compare:compare_runtimes")
    with progress(as_json, quiet) as listener:
        report = compare(network, listener=listener, **options)
    if as_json:
        print_json(report.json())
    elif not quiet:
        click.echo(load("relrob.report.audit.runtimes:text")(report))
