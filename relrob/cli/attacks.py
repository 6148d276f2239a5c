"""`relrob attacks`: the attacks and their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from relrob.cli.common import common_options, print_json
from relrob.registry import load

if TYPE_CHECKING:
    from relrob.api.attacks import AttackInfo


@click.command("attacks")
@common_options
def command(as_json: bool, quiet: bool) -> None:
    """List the attacks: what each needs of a network, the distance that it keeps small, its
    parameters with their defaults.

    \b
    Example:
      relrob attacks --json
    """
    attacks: Callable[[], tuple[AttackInfo, ...]] = load("relrob.api.attacks:attacks")
    found = attacks()
    if as_json:
        print_json({"attacks": [each.json() for each in found]})
        return
    for each in found:
        click.echo(f"{each.name:<14}{each.summary}")
        needs = f"needs {each.needs}" + (f", keeps {each.norm} small" if each.norm else "")
        given = ":".join(f"{key}={value}" for key, value in each.parameters.items())
        extra = f"pip install 'relrob[{each.extra}]'" if each.extra else given
        if not quiet:
            click.echo(f"{'':<14}{needs}{f'; {extra}' if extra else ''}")
