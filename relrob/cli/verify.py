"""`relrob verify`: the main job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    attacks_option,
    common_options,
    crew,
    data_options,
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
    worker_options,
)
from relrob.domain.presets import PRESETS
from relrob.registry import SOLVERS, load, names


@click.command("verify")
@click.argument("reference", required=False, shell_complete=completion.path)
@click.argument("quantised", required=False, shell_complete=completion.path)
@click.option(
    "--radius",
    help="Radius in pixel units (l0: pixels), exact: 20, 4/255; 8lv is 8 levels, 8/255.",
)
@click.option(
    "--step", help="Manipulation step in (0, 1], exact: 0.25, 1/64; for ladder, search, lattice."
)
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="Name, PATH.npz or DIRECTORY of pictures.",
    shell_complete=completion.datasets,
)
@click.option(
    "--split",
    default="test",
    show_default=True,
    help="Split of the data set.",
    shell_complete=completion.words(*completion.SPLITS),
)
@data_options
@click.option(
    "--images",
    default="0:100",
    show_default=True,
    help="Slice 0:100, list 3,17,4, all, or per-class:10.",
)
@quantise_option
@runtime_option
@click.option(
    "--reference-runtime",
    help="Who executes the reference; real: nobody, the function over the reals.  "
    "[default: onnxruntime for float MLPs]",
    shell_complete=completion.runtimes,
)
@layout_option
@input_options
@output_option
@click.option(
    "--region",
    default="ladder",
    show_default=True,
    help="ladder, search (the paper's, no proof), lattice (all of the L1 ball), "
    "l1, l2, linf or l0 ball; or one with its radius: "
    f"{', '.join(preset.name for preset in PRESETS)}.",
    shell_complete=completion.regions,
)
@ladder_options
@grid_option
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of whatever is drawn (calibration images, a search, attacks).",
)
@click.option(
    "--evaluations",
    default=6000,
    show_default=True,
    help="Images after which a search's last round ends it.",
)
@click.option(
    "--rollouts",
    type=int,
    help="Random walks a new set in a search.  [default: 5; 3 with 3 channels]",
)
@click.option(
    "--strict-radius",
    is_flag=True,
    help="A search leaves out images beyond the radius; the paper's did not.",
)
@click.option(
    "--include-misclassified",
    is_flag=True,
    help="A search takes images that the reference gets wrong too.",
)
@click.option(
    "--repick",
    is_flag=True,
    help="A search picks pixels of colour images for several features, as the paper's code did.",
)
@click.option(
    "--effective",
    help="Perturbations that decide: closest, all, farthest.  "
    "[default: closest; farthest in a search]",
    shell_complete=completion.words(*completion.EFFECTIVE),
)
@click.option(
    "--solver",
    default="auto",
    show_default=True,
    help=f"auto or {names(SOLVERS)}.",
    shell_complete=completion.solvers,
)
@click.option(
    "--time-limit", default=60.0, show_default=True, help="Seconds per image and network."
)
@click.option(
    "--counts/--no-counts",
    default=True,
    show_default=True,
    help="Count exactly, or stop at each verdict.",
)
@click.option(
    "--certificates",
    is_flag=True,
    help="Write a certificate for each ROBUST verdict that rests on bounds.",
)
@attacks_option
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    metavar="FILE.smt2",
    help="Also write SMT-LIB 2: FILE-INDEX-reference.smt2 and FILE-INDEX-quantised.smt2 "
    "for each image. unsat: ROBUST.",
)
@worker_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run directory, resumed if it exists.  [default: relrob-runs/...]",
)
@memory_option
@common_options
def command(
    as_json: bool,
    quiet: bool,
    workers: str,
    scheduler: str | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Certify a full-precision network image by image, quantise it, and sort the images into
    R_Q^FP, R^FP, R_Q, R^0.

    REFERENCE: .keras, .h5, .onnx, SavedModel; left out: the paper's MLP for the data set, trained
    once. QUANTISED: .tflite or .onnx; left out: REFERENCE quantised with --quantise. The verdict
    speaks of every perturbed image of the region, on the runtime named. An interrupted run resumes.
    An option that the run would not use is refused. An image that an attack finds inside a region
    that was proved ROBUST is an alarm (exit code 4).

    \b
    Examples:
      relrob verify --radius 20 --step 0.25
      relrob verify --radius 10 --step 1/4 --images 0:5 --quantise int8 --json
      relrob verify --region linf-1 --images 0:5
      relrob verify --region linf --radius 1/255 --images 0:5
      relrob verify --region linf-8 --images 0:5 --attacks fgsm,pgd
      relrob verify ref.h5 q.tflite --dataset cifar10 --input-scale 255 --radius 1 --step 1/4
      relrob verify --region search --radius 20 --step 1/4 --images 0:5
      relrob verify --radius 10 --step 1/2 --images 3 --features 10 --export question.smt2
    """
    verify: Callable[..., Any] = load("relrob.api.verify:verify")
    with load("relrob.cli.progress:progress")(as_json, quiet) as listener:
        result = verify(
            out=out,
            workers=crew(workers, scheduler),
            scheduler=scheduler,
            listener=listener,
            **typed(**options),
        )
    if as_json:
        print_json(result.json())
    elif not quiet:
        click.echo(load("relrob.report.run.terminal:rendered")(result.summary))
        say(f"\nRun directory: {result.directory}")
