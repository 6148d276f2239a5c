"""`relrob datasets`: data sets that are embedded, on disk or to fetch."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from relrob.cli import completion
from relrob.cli.common import common_options, memory_option, print_json, say
from relrob.domain.events import Event, Listener, silent
from relrob.errors import printable
from relrob_datasets import Dataset, Listing, catalogue, check, fetch


@click.group("datasets")
def command() -> None:
    """List, fetch and check data sets.

    \b
    Example:
      relrob datasets list
    """


@command.command("list")
@common_options
def list_command(as_json: bool, quiet: bool) -> None:
    """List the data sets with a name: embedded, on disk, or to fetch.

    \b
    Example:
      relrob datasets list --json
    """
    rows = catalogue()
    if as_json:
        print_json({"datasets": [_row_json(row) for row in rows]})
        return
    click.echo(f"{'name':<15}{'state':<10}{'images':<27}{'shape':<10}{'size':>9}  path")
    for row in rows:
        images = ", ".join(f"{split} {count}" for split, count in row.splits)
        where = str(row.path) if row.here else f"relrob datasets get {row.name}"
        numbers = f"{images:<27}{_shape(row.image_shape):<10}{_size(row):>9}"
        say(f"{row.name:<15}{row.state:<10}{numbers}  {where}")
    if not quiet:
        for row in rows:
            click.echo(f"{row.name}: {row.credit}; {row.licence}")


@command.command("get")
@click.argument("name", shell_complete=completion.dataset_names)
@click.option(
    "--from",
    "from_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A folder or file that you downloaded by hand; checked, then copied.",
)
@common_options
def get_command(name: str, from_path: Path | None, as_json: bool, quiet: bool) -> None:
    """Fetch the official files of the data set NAME, check them against the published checksums,
    and keep them in the cache.

    \b
    Example:
      relrob datasets get mnist
    """
    listener = silent if as_json or quiet else _teller(sys.stderr.isatty())
    folder = fetch(name, listener, from_path=from_path)
    row = next(row for row in catalogue() if row.name == name)
    if as_json:
        print_json(_row_json(row))
    elif not quiet:
        splits = ", ".join(row.here) or "no whole split"
        say(f"{name}: {splits} in {folder} ({_size(row)}; {row.licence})")


@command.command("verify")
@click.argument("name", shell_complete=completion.datasets)
@click.option(
    "--split",
    metavar="NAME",
    help="train or test; every split on disk when not given.",
    shell_complete=completion.words(*completion.SPLITS),
)
@memory_option
@common_options
def verify_command(
    name: str, split: str | None, memory: float | None, as_json: bool, quiet: bool
) -> None:
    """Check what is on disk: NAME against the published checksums, or your own PATH.npz or
    DIRECTORY; then load it.

    Exit code 0 when all is well, else 2 and one line that says what is wrong.

    \b
    Example:
      relrob datasets verify mnist --split test
    """
    checked = check(name, split, memory)
    if as_json:
        print_json({"datasets": [_dataset_json(dataset) for dataset in checked]})
    elif not quiet:
        known = name in (row.name for row in catalogue())
        click.echo(
            "published checksums match"
            if known
            else "readable; your own data has no published checksum"
        )
        for data in checked:
            shape = _shape(data.image_shape)
            images = f"{len(data)} images of {shape}, {data.classes} classes"
            say(f"{data.name} {data.split}: {images}, sha256 {data.sha256}")
            for sentence in data.reading.sentences:
                say(sentence)


def _row_json(row: Listing) -> dict[str, object]:
    return {
        "name": row.name,
        "title": row.title,
        "state": row.state,
        "on_disk": list(row.here),
        "path": str(row.path),
        "bytes": row.size,
        "splits": dict(row.splits),
        "image_shape": list(row.image_shape),
        "classes": list(row.classes),
        "licence": row.licence,
        "credit": row.credit,
        "urls": list(row.urls),
    }


def _dataset_json(dataset: Dataset) -> dict[str, object]:
    return {
        "name": dataset.name,
        "split": dataset.split,
        "images": len(dataset),
        "image_shape": list(dataset.image_shape),
        "classes": dataset.classes,
        "sha256": dataset.sha256,
        **({"class_names": dataset.reading.class_names} if dataset.reading.class_names else {}),
    }


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _size(row: Listing) -> str:
    return f"{row.size / 1e6:.1f} MB" if row.size else "-"


def _teller(terminal: bool) -> Listener:
    """A listener that writes to standard error: a line that moves on a terminal, else one line a
    file."""

    def tell(event: Event) -> None:
        if event.stage != "download":
            click.echo(printable(event.text), err=True)
        elif event.total and event.done >= event.total:
            click.echo(f"{chr(13) * terminal}{event.text}: {event.total / 1e6:.1f} MB", err=True)
        elif terminal:
            part = (
                f"{event.done / event.total:4.0%}" if event.total else f"{event.done / 1e6:.1f} MB"
            )
            click.echo(f"\r{event.text}: {part}", err=True, nl=False)

    return tell
