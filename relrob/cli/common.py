"""Options and printing that commands share."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from relrob.attacks.table import ATTACKS
from relrob.cli import completion
from relrob.compress.table import QUANTISERS
from relrob.errors import UsageError, printable
from relrob.registry import load, names
from relrob.system.files import readable

F = TypeVar("F", bound=Callable[..., Any])


def _set_level(ctx: click.Context, param: click.Parameter, value: int | bool) -> None:
    """-v shows information, -vv everything, -q errors alone."""
    if value:
        quiet = param.name == "quiet"
        logging.getLogger("relrob").setLevel(
            logging.ERROR if quiet else (logging.INFO if value == 1 else logging.DEBUG)
        )


def common_options(function: F) -> F:
    """Add --json, -q and -v. The command receives `as_json` (bool) and `quiet` (bool)."""
    function = click.option(
        "--json",
        "as_json",
        is_flag=True,
        # Before --format, which asks for it.
        is_eager=True,
        help="JSON on standard output, nothing else.",
    )(function)
    function = click.option("-q", "--quiet", is_flag=True, callback=_keep, help="Errors only.")(
        function
    )
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_set_level,
        help="Say more (-vv: everything).",
    )(function)


def columns() -> int:
    """Columns of a line on standard output: 80 at most, fewer on a narrow terminal, 20 at least."""
    return max(20, min(80, shutil.get_terminal_size((80, 24)).columns))


def echo_page(text: str, form: str) -> None:
    """Print a page in one of the formats of tables. On a terminal, tables of Markdown that are too
    wide for it become lines; anywhere else the text is as it is."""
    if form == "markdown" and sys.stdout.isatty():
        width = shutil.get_terminal_size((80, 24)).columns
        text = load("relrob.report.narrow:narrowed")(text, width)
    click.echo(printable(text, keep="\r\n"), nl=False)


def say(text: str) -> None:
    """Print words, and the paths and names in them, on standard output: nothing in them that a
    terminal could obey stays. Bytes of a path that are no UTF-8 appear as \\xNN."""
    click.echo(readable(text, keep="\n"))


def typed(**options: Any) -> dict[str, Any]:
    """Those of the options that the user typed."""
    source = click.get_current_context().get_parameter_source
    unasked = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return {name: value for name, value in options.items() if source(name) not in unasked}


def data_options(function: F) -> F:
    """Add --classes, --labels, --range and --images-layout: how the data set is read. The command
    receives `classes`, `labels`, `range` and `images_layout`."""
    function = click.option(
        "--labels",
        default="given",
        show_default=True,
        shell_complete=completion.words(*completion.LABELS),
        help="given with the images, or reference: the reference network's own labels.",
    )(function)
    function = click.option(
        "--classes",
        metavar="FILE",
        shell_complete=completion.path,
        help="Class names, one a line in the order of the network's outputs, or a .csv or .json "
        "of name,label.",
    )(function)
    return image_options(function)


def image_options(function: F) -> F:
    """Add --range and --images-layout. The command receives `range` and `images_layout`."""
    function = click.option(
        "--images-layout",
        default="auto",
        show_default=True,
        shell_complete=completion.words(*completion.LAYOUTS),
        help="Order of images (n, ., ., .) in a .npz: auto, hwc, chw.",
    )(function)
    return click.option(
        "--range",
        metavar="LO:HI",
        help="Values of the data that pixels 0 to 1 stand for, or auto: for tables of features.",
    )(function)


def parameter_options(function: F) -> F:
    """Add the parameters that most attacks have, and --seed. The command receives `eps`, `steps`,
    `restarts` (texts) and `seed` (int)."""
    function = click.option(
        "--seed", type=int, default=0, show_default=True, help="Seed of whatever is drawn."
    )(function)
    told = {
        "--restarts": "Its parameter restarts: random starts.",
        "--steps": "Its parameter steps: iterations.",
        "--eps": "Its parameter eps, in pixel units: 0.1, 8/255.",
    }
    for name, words in told.items():
        function = click.option(name, metavar="X", help=words)(function)
    return function


def attack_option(required: bool) -> Callable[[F], F]:
    """Add --attack. The command receives `attack` (text, or None where it is not required)."""
    return click.option(
        "--attack",
        required=required,
        metavar="NAME[:PARAMETER=VALUE...]",
        shell_complete=completion.attack_names,
        help="An attack, perhaps with parameters: fgsm:eps=0.1; relrob attacks lists them.",
    )


def choice_options(function: F) -> F:
    """Add the options that choose images: the data set with --split, --images, --sample, the label
    to reach, the images to fit on, and how data and pixels are read. The command receives those of
    `relrob.api.crafting.Choice`, and `layout`."""
    told = {
        "--fit-split": ("SPLIT", completion.words(*completion.SPLITS), _FIT_SPLIT),
        "--fit-images": ("IMAGES", None, _FIT_IMAGES),
        "--target-label": ("LABEL", completion.words("next", "random", "least"), _TARGET),
    }
    function = layout_option(data_options(function))
    for name, (kind, offered, words) in told.items():
        option = click.option(name, metavar=kind, help=words, shell_complete=offered)
        function = option(function)
    function = click.option(
        "--sample", type=int, metavar="N", help="So many of these, drawn by --seed."
    )(function)
    function = click.option(
        "--images", default="0:100", show_default=True, help="0:100, 3,17,4, all or per-class:10."
    )(function)
    return dataset_options(function)


_TARGET = (
    "The label that examples shall get: a number, a class name, next, random, least (likely).  "
    "[default: any wrong one]"
)
_FIT_IMAGES = (
    "Images that a universal perturbation is fitted on.  [default: those that are attacked]"
)
_FIT_SPLIT = "Split that these are from.  [default: --split]"


def dataset_options(function: F) -> F:
    """Add --dataset and --split. The command receives `dataset` and `split`."""
    function = click.option(
        "--split",
        default="test",
        show_default=True,
        help="Its split.",
        shell_complete=completion.words(*completion.SPLITS),
    )(function)
    return click.option(
        "--dataset",
        default="mnist",
        show_default=True,
        help="Name, PATH.npz or DIRECTORY of pictures.",
        shell_complete=completion.datasets,
    )(function)


def layout_option(function: F) -> F:
    """Add --layout. The command receives `layout`."""
    return click.option(
        "--layout",
        default="auto",
        show_default=True,
        help="Pixel order that the networks read: auto, hwc, chw.",
        shell_complete=completion.words(*completion.LAYOUTS),
    )(function)


def quantise_option(function: F) -> F:
    """Add --quantise. The command receives `quantise` (text)."""
    return click.option(
        "--quantise",
        default="dynamic",
        show_default=True,
        help=f"Scheme without QUANTISED: {names(QUANTISERS)}.",
        shell_complete=completion.schemes,
    )(function)


def runtime_option(function: F) -> F:
    """Add --runtime, of the quantised file of a pair. The command receives `runtime` (text or
    None)."""
    return click.option(
        "--runtime",
        help="Who executes the quantised file: xnnpack, builtin, reference, tflm for .tflite; "
        "onnxruntime for .onnx; keras.  [default: xnnpack or onnxruntime]",
        shell_complete=completion.runtimes,
    )(function)


def grid_option(function: F) -> F:
    """Add --grid. The command receives `grid` (text)."""
    return click.option(
        "--grid",
        default="exact",
        show_default=True,
        help="exact, or 8bit: the step rounded to m/255.",
        shell_complete=completion.words(*completion.GRIDS),
    )(function)


def crew(workers: str, scheduler: str | None) -> str | None:
    """The text of --workers; None where the user left it to a cluster."""
    return workers if scheduler is None or typed(workers=workers) else None


def memory_option(function: F) -> F:
    """Add --memory. The command receives `memory` (float or None)."""
    words = (
        "GiB that the first reading of a file may take, besides three times its size.  [default: 2]"
    )
    return click.option("--memory", type=float, metavar="GIB", help=words)(function)


def attacks_option(function: F) -> F:
    """Add --attacks. The command receives `attacks` (text or None)."""
    return click.option(
        "--attacks",
        metavar="NAME,...",
        help="Attacks to try on both networks beside the proofs, with commas between: "
        f"{names(ATTACKS)}; pgd:steps=10 sets a parameter. In a ball they take its radius.",
        shell_complete=completion.attacks,
    )(function)


def worker_options(function: F) -> F:
    """Add --workers and --scheduler. The command receives `workers` (text) and `scheduler` (text or
    None)."""
    function = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="A running Dask cluster decides the images: tcp://HOST:8786.",
    )(function)
    return workers_option(function)


def workers_option(function: F) -> F:
    """Add --workers. The command receives `workers` (text)."""
    return click.option(
        "--workers",
        default="auto",
        show_default=True,
        help="Processes: auto (one a core) or a number.",
    )(function)


def input_options(function: F) -> F:
    """Add the options of the input contract, but for --output. The command receives `input_scale`,
    `mean`, `std` and `channels`, texts or None."""
    words = {
        "--channels": ("rgb|bgr", "Order in which the networks read colour.  [default: rgb]"),
        "--std": ("S", "... and divide by this, after --mean."),
        "--mean": ("M", "They subtract this: a number, or one a channel (0.485,0.456,0.406)."),
        "--input-scale": (
            "X",
            "The networks read X times a pixel in [0, 1]; 255: levels.  [default: what the file "
            "says, else 1]",
        ),
    }
    offered = {"--channels": completion.words(*completion.CHANNELS)}
    for name, (kind, told) in words.items():
        option = click.option(name, metavar=kind, help=told, shell_complete=offered.get(name))
        function = option(function)
    return function


def output_option(function: F) -> F:
    """Add --output. The command receives `output` (text or None)."""
    told = "Output with a score a class, of a file that has several."
    return click.option("--output", metavar="NAME", help=told)(function)


def ladder_options(function: F) -> F:
    """Add --features and --axes. The command receives `features` (text) and `axes` (int)."""
    function = click.option(
        "--axes", default=10, show_default=True, help="Axes (pixels or channels) in a feature."
    )(function)
    return click.option(
        "--features", default="20", show_default=True, help="Most salient groups of axes, or all."
    )(function)


def format_option(function: F) -> F:
    """Add --format, which --json sets to json. The command receives `form` (text)."""
    return click.option(
        "--format",
        "form",
        default="markdown",
        show_default=True,
        callback=_form,
        help=f"{', '.join(completion.FORMATS[:-1])} or {completion.FORMATS[-1]}.",
        shell_complete=completion.words(*completion.FORMATS),
    )(function)


def _form(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """json under --json. Raises UsageError where another form is asked for too."""
    if not ctx.params.get("as_json"):
        return value
    if typed(form=value) and value != "json":
        raise UsageError(f"--format {value} with --json", "one of the two", "leave out --json")
    return "json"


def _keep(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Set the level and pass the flag on."""
    _set_level(ctx, param, value)
    return value


def print_json(value: Any) -> None:
    """One JSON document on standard output, keys in the order given; escapes where the terminal
    takes no UTF-8."""
    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    click.echo(printable(json.dumps(value, indent=2, ensure_ascii=plain), keep="\n"))
