"""`relrob attacks`: the attacks and their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from relrob.cli import completion
from relrob.cli.common import common_options, print_json
from relrob.registry import load

if TYPE_CHECKING:
    from relrob.api.attacks import AttackInfo


# Columns of the longest name, and two between.
_WIDTH: Final = 17


@click.command("attacks")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.attack_names)
@common_options
def command(names: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """List the attacks: what each needs of a network, the distance that it keeps small, its
    parameters with their defaults.

    Parameters of the attacks of another package (art:...) are shown where NAME names one.

    \b
    Examples:
      relrob attacks --json
      relrob attacks pgd
    """
    attacks: Callable[..., tuple[AttackInfo, ...]] = load("relrob.api.attacks:attacks")
    found = attacks(*names)
    if as_json:
        print_json({"attacks": [each.json() for each in found]})
        return
    for each in found:
        click.echo(f"{each.name:<{_WIDTH}}{each.summary}")
        if quiet:
            continue
        needs = f"needs {each.needs}" + (f", keeps {each.norm} small" if each.norm else "")
        given = ":".join(f"{key}={value}" for key, value in each.parameters.items())
        click.echo(f"{'':<{_WIDTH}}{needs}{f'; {given}' if given else ''}")
