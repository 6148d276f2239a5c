"""`relrob transfer`: examples of some networks on others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

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
    from relrob.api.attack_results import TransferResult

_SEVERAL: Final = ("--source", "--target", "--samples")


def spread(words: list[str]) -> list[str]:
    """The words of a command line in which an option of `_SEVERAL` has several values, as the same
    option several times.

    >>> spread(["--target", "b", "c", "--json"])
    ['--target', 'b', '--target', 'c', '--json']
    """
    found, option = list[str](), ""
    for at, word in enumerate(words):
        if word == "--":
            return [*found, *words[at:]]
        if _named(word):
            option = word if word in _SEVERAL else ""
            if not option or at + 1 == len(words) or _named(words[at + 1]):
                found.append(word)
        else:
            found += [option, word] if option else [word]
    return found


def _named(word: str) -> bool:
    """Is it an option?"""
    return word.startswith("-") and word != "-"


@final
class Spread(click.Command):
    """A command whose options of `_SEVERAL` take several values."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after `spread`."""
        return super().parse_args(ctx, spread(args))


@click.command("transfer", cls=Spread)
@click.option(
    "--source",
    multiple=True,
    metavar="NET ...",
    shell_complete=completion.path,
    help="Networks that are attacked.",
)
@click.option(
    "--target",
    multiple=True,
    metavar="NET ...",
    shell_complete=completion.path,
    help="Networks that the examples are applied to, besides the sources.",
)
@click.option(
    "--samples",
    multiple=True,
    metavar="FILE.npz ...",
    shell_complete=completion.path,
    help="Examples that relrob attack -o kept, in place of --source and --attack.",
)
@click.option(
    "--reference",
    metavar="NET",
    shell_complete=completion.path,
    help="The full-precision network: with it the three scenarios, for which every target attacks "
    "too.",
)
@attack_option(False)
@parameter_options
@choice_options
@click.option(
    "--filter",
    shell_complete=completion.words("none", "source_correct", "both_correct"),
    help="Images that count: none (all), those that the source labels rightly, or both networks.  "
    "[default: source_correct, or that of the samples]",
)
@click.option(
    "--keep", type=int, metavar="N", help="Of these the first N, for each source and target."
)
@click.option(
    "--runtime",
    shell_complete=completion.runtimes,
    help="Who executes all the networks.  [default: the format's own]",
)
@input_options
@output_option
@memory_option
@common_options
def command(as_json: bool, quiet: bool, **options: Any) -> None:
    """Apply the examples of some networks to others: a row a target, a column a source.

    With --reference three scenarios: COMP->COMP crafts and tests on a compressed network,
    FULL->COMP crafts on the reference and tests on it, COMP->FULL crafts on it and tests on the
    reference. An option that the samples have settled is refused.

    \b
    Examples:
      relrob transfer --samples adv.npz --target q.tflite other.onnx
      relrob transfer --source a.keras b.keras --target q.tflite --attack fgsm --eps 0.1
      relrob transfer --reference ref.keras --target q8.tflite q4.tflite --attack fgsm --json
    """
    transfer: Callable[..., TransferResult] = load("relrob.api.transfer:transfer")
    with progress(as_json, quiet) as listener:
        found = transfer(listener=listener, **typed(**options))
    if as_json:
        print_json(found.json())
    elif not quiet:
        click.echo(load("relrob.report.attacks.transfer_text:transfer_text")(found.json()))
