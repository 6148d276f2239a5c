"""`relrob study`: many runs as one, resumable, beside published numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    common_options,
    crew,
    echo_page,
    format_option,
    memory_option,
    print_json,
    say,
    typed,
    worker_options,
)
from relrob.errors import UsageError
from relrob.registry import load


@click.group("study")
def command() -> None:
    """Run studies: grids of runs, resumable, shown beside published numbers.

    \b
    Example:
      relrob study list
    """


@command.command("list")
@common_options
def list_command(as_json: bool, quiet: bool) -> None:
    """List the studies that come with relrob.

    \b
    Example:
      relrob study list --json
    """
    studies: list[dict[str, Any]] = load("relrob.api.study:list_studies")()
    if as_json:
        print_json({"studies": studies})
        return
    for study in studies:
        parts = study.get("grids") or study["groups"]
        count = f"{study['cells']} runs" if "cells" in study else f"{study['stages']} stages"
        click.echo(f"{study['name']:<14}{count} in {', '.join(parts)}")
        if not quiet:
            click.echo(f"{'':<14}{study['title']}")


@command.command("run")
@click.argument("name", shell_complete=completion.studies)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory of the study, resumed if it exists."
)
@click.option(
    "--images",
    help="Images of every run, in place of the study's: 0:100, 3,17,4, all, or per-class:10.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="DATASET=PATH",
    help="Network for a data set; may be repeated.",
)
@click.option(
    "--only", multiple=True, metavar="GRID", help="Run this grid or group alone; may be repeated."
)
@click.option(
    "--profile",
    help="Values of a study of stages: quick or full, or what its file has.  [default: the first]",
)
@click.option(
    "--rerun",
    default="never",
    show_default=True,
    help="Images to decide again: never, unknown or always.",
    shell_complete=completion.words(*completion.RERUNS),
)
@click.option(
    "--time-limit",
    type=float,
    help="Seconds per image and network, in place of the study's; a search has none.",
)
@worker_options
@memory_option
@common_options
def run_command(
    name: str,
    out: Path | None,
    images: str | None,
    references: tuple[str, ...],
    only: tuple[str, ...],
    profile: str | None,
    rerun: str,
    time_limit: float | None,
    workers: str,
    scheduler: str | None,
    memory: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the study NAME (see `relrob study list`), or your own FILE.toml. An interrupted study
    resumes. A study of stages trains, compresses and attacks networks; its stages are made once.

    \b
    Example:
      relrob study run duncan2020 --only mnist-ladder --images 0:2 --out study
    """
    run_named: Callable[..., dict[str, Any]] = load("relrob.api.study:run_named")
    changes = {"images": images, "time_limit": time_limit, "memory": memory}
    with load("relrob.cli.progress:progress")(as_json, quiet) as listener:
        found = run_named(
            name,
            out,
            workers=crew(workers, scheduler),
            scheduler=scheduler,
            rerun=typed(rerun=rerun).get("rerun"),
            references=dict(_pair(text) for text in references),
            only=only,
            changes={key: value for key, value in changes.items() if value is not None},
            profile=profile,
            listener=listener,
        )
    directory = found.pop("directory")
    if as_json:
        print_json(found)
    elif not quiet:
        done = sum(group["done"] for group in found.get("groups", ()))
        count = f"{len(found['cells'])} runs" if "cells" in found else f"{done} stages"
        say(f"{count}. Tables: relrob study show {directory}")


def _pair(text: str) -> tuple[str, str]:
    """DATASET=PATH. Raises UsageError."""
    dataset, mark, path = text.partition("=")
    if not (dataset and mark and path):
        raise UsageError(f"--reference {text}", "DATASET=PATH", "--reference mnist=ref.keras")
    return dataset, path


@command.command("show")
@click.argument("directory", type=click.Path(path_type=Path))
@format_option
@common_options
def show_command(directory: Path, form: str, as_json: bool, quiet: bool) -> None:
    """Print the tables of the study in DIRECTORY, as far as it was run.

    \b
    Example:
      relrob study show study --format latex
    """
    show_text: Callable[[Path, str], str] = load("relrob.api.study:show_text")
    echo_page(show_text(directory, form), form)


@command.command("figures")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write to."
)
@common_options
def figures_command(directory: Path, output: Path, as_json: bool, quiet: bool) -> None:
    """Draw the study in DIRECTORY, as far as it was run: SVG and PDF of its rates, and pictures of
    perturbed images.

    \b
    Example:
      relrob study figures study -o figures
    """
    drawn: list[str] = load("relrob.api.study:write_figures")(directory, output)
    if as_json:
        print_json({"folder": str(output), "files": drawn})
    elif not quiet:
        say(f"{len(drawn)} files in {output}: {', '.join(drawn)}")


@command.command("export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .csv or .parquet file to write; .zip for a study of stages.",
)
@click.option(
    "--only", multiple=True, metavar="GROUP", help="Stages of this group alone; may be repeated."
)
@click.option(
    "--without",
    multiple=True,
    metavar="FILE",
    help="Files of stages that are left out: adv.npz, net.keras; may be repeated.",
)
@common_options
def export_command(
    directory: Path,
    output: Path,
    only: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the records of the study in DIRECTORY: one line an image and run, the same bytes for
    the same seeds. Of a study of stages, a .zip carries all that is finished to another machine,
    networks and adversarial images included (`relrob study import`). A stage without its file
    keeps its results; it is made again where another stage reads the file.

    Parquet needs pyarrow: pip install 'relrob[parquet]'.

    \b
    Example:
      relrob study export study -o records.csv
    """
    lines: int = load("relrob.api.study:export_records")(directory, output, only, without)
    what = "stages" if output.suffix == ".zip" else "lines"
    if as_json:
        print_json({"path": str(output), what: lines})
    elif not quiet:
        say(f"{lines} {what} in {output}")


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), shell_complete=completion.path)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Directory of the study that gets the stages; made where it does not exist.",
)
@common_options
def import_command(source: Path, out: Path, as_json: bool, quiet: bool) -> None:
    """Add the finished stages of SOURCE, a .zip that `relrob study export` wrote, to a study. Every
    file is checked against its digest. `relrob study run NAME --out DIR` then goes on from there.

    \b
    Example:
      relrob study import stages.zip --out study
    """
    added, there = load("relrob.api.pipeline:import_stages")(source, out)
    if as_json:
        print_json({"directory": str(out), "added": added, "there": there})
    elif not quiet:
        say(f"{added} stages added to {out}, {there} were there already")
