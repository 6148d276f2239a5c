"""`relrob demo`: a tour of a minute."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relrob.cli.common import columns, common_options, print_json, say
from relrob.registry import load


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new or empty directory for the files.  [default: a temporary one, removed at the end]",
)
@common_options
def command(out: Path | None, as_json: bool, quiet: bool) -> None:
    """Take a tour of a minute: one image of MNIST, its ladder, a witness, a proof and its
    certificate. Both networks come with relrob; nothing is fetched, and all that is said is
    computed while you wait.

    \b
    Example:
      relrob demo --out tour
    """
    if as_json:
        print_json(load("relrob.api.demo:demo")(out).json())
        return
    steps: Callable[..., Any] = load("relrob.api.demo:steps")
    width = columns()
    for number, step in enumerate(steps(out, width), start=1):
        if quiet:
            continue
        click.echo(("" if number == 1 else "\n") + f"{number}. {step.title}")
        for words in step.sentences:
            say(_filled(words, width))
        if step.picture:
            click.echo(f"\n{step.picture}")
        if step.command:
            say(f"\n  $ {step.command}")


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
