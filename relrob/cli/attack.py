"""`relrob attack`: adversarial examples of one network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relrob.cli import completion
from relrob.cli.common import (
    attack_option,
    choice_options,
    common_options,
    input_options,
    memory_option,
    output_option,
    parameter_options,
    print_json,
    typed,
)
from relrob.cli.progress import progress
from relrob.registry import load

if TYPE_CHECKING:
    from relrob.api.attack_results import AttackResult


@click.command("attack")
@click.argument("network", type=click.Path(path_type=Path))
@attack_option(True)
@parameter_options
@choice_options
@click.option(
    "--filter",
    default="source_correct",
    show_default=True,
    shell_complete=completion.words("none", "source_correct"),
    help="Images that are attacked: source_correct, those that NETWORK labels rightly; none: all.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Keep the examples for relrob transfer --samples.",
)
@click.option(
    "--runtime",
    shell_complete=completion.runtimes,
    help="Who executes NETWORK.  [default: the format's own]",
)
@input_options
@output_option
@memory_option
@common_options
def command(network: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Attack NETWORK and replay every example, each alone on its runtime.

    Prints adversarial accuracy, and the distances of the examples that succeed. Attacks and their
    parameters: relrob attacks. An attack proves nothing about the images that it does not break.

    \b
    Examples:
      relrob attack model.keras --attack fgsm --eps 0.1 -o adv.npz
      relrob attack q.tflite --attack fgsm:eps=8/255 --images all --sample 1000 --seed 1 --json
    """
    attack: Callable[..., AttackResult] = load("relrob.api.attack:attack")
    with progress(as_json, quiet) as listener:
        found = attack(network, listener=listener, **typed(**options))
    if as_json:
        print_json(found.json())
    elif not quiet:
        click.echo(load("relrob.report.attacks.attack_text:attack_text")(found.json()))
