"""`relrob audit`: may the quantised network be shipped?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from relrob.audit.diagnosis import IDS
from relrob.audit.rules import RULES, Rule
from relrob.cli import completion
from relrob.cli.common import (
    attacks_option,
    columns,
    common_options,
    data_options,
    input_options,
    memory_option,
    output_option,
    print_json,
    say,
    typed,
    workers_option,
)
from relrob.errors import UsageError
from relrob.registry import load

F = TypeVar("F", bound=Callable[..., Any])
# Options of `relrob verify` that an audit has as well, with their help.
_RUN: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "--dataset",
        {
            "help": "Name, PATH.npz or DIRECTORY of pictures.  [default: mnist]",
            "shell_complete": completion.datasets,
        },
    ),
    (
        "--split",
        {
            "help": "Split of the data set.  [default: test]",
            "shell_complete": completion.words(*completion.SPLITS),
        },
    ),
    (
        "--runtime",
        {
            "help": "Who executes the quantised file.  [default: xnnpack or onnxruntime]",
            "shell_complete": completion.runtimes,
        },
    ),
    (
        "--reference-runtime",
        {
            "help": "Who executes the reference.  [default: onnxruntime for float MLPs]",
            "shell_complete": completion.runtimes,
        },
    ),
    (
        "--layout",
        {
            "help": "Pixel order that the networks read: auto, hwc, chw.  [default: auto]",
            "shell_complete": completion.words(*completion.LAYOUTS),
        },
    ),
    (
        "--region",
        {
            "help": "As for relrob verify.  [default: linf-2, which is 2/255 a pixel]",
            "shell_complete": completion.regions,
        },
    ),
    ("--radius", {"help": "Of a region without one of its own; alone, of an L-infinity ball."}),
    ("--step", {"help": "Of a ladder or a lattice."}),
    ("--features", {"help": "Of a ladder."}),
    ("--axes", {"type": int, "help": "Of a ladder."}),
    (
        "--solver",
        {
            "help": "auto, or one of relrob solvers.  [default: auto]",
            "shell_complete": completion.solvers,
        },
    ),
)
_DIAGNOSES: Final = completion.words(*IDS)


def rule_options(function: F) -> F:
    """Add an option for each rule of a policy."""
    for rule in reversed(RULES):
        function = click.option(f"--{rule.id}", metavar=_metavar(rule), help=_help(rule))(function)
    return function


def _metavar(rule: Rule) -> str:
    return "N|P%" if rule.counts else "P%"


def _help(rule: Rule) -> str:
    """The first words of what the rule measures."""
    least = "At most" if rule.most else "At least"
    return f"{least} so many: {rule.measures}.  [default: {rule.default}]"


def run_options(function: F) -> F:
    """Add the options of a run."""
    for name, settings in reversed(_RUN):
        function = click.option(name, **settings)(function)
    return function


def _refuse_beside(names: list[str]) -> None:
    """Refuse what --print-policy makes no use of. Raises UsageError."""
    if names:
        raise UsageError(
            f"{', '.join(names)} with --print-policy, which prints TOML and audits nothing",
            "--policy, --allow and the rules",
            f"leave out {', '.join(names)}, or --print-policy",
        )


@click.command("audit")
@click.argument("reference", required=False, shell_complete=completion.path)
@click.argument("quantised", required=False, shell_complete=completion.path)
@run_options
@data_options
@input_options
@output_option
@attacks_option
@click.option("--images", help="Images for robustness, as for relrob verify.  [default: a sample]")
@click.option(
    "--interval",
    type=float,
    help="The sample: enough images for +-X percentage points at 95%.  [default: 10]",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the sample, and of attacks.")
@click.option("--time", default="5m", show_default=True, help="For the whole audit: 90s, 5m, 1h.")
@click.option("--policy", type=click.Path(path_type=Path), help="The policy.toml to hold.")
@rule_options
@click.option(
    "--allow",
    multiple=True,
    metavar="DIAGNOSIS",
    help="Let it pass; may be repeated.",
    shell_complete=_DIAGNOSES,
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="OLD_DIR",
    help="The audit of the last release: only new regressions fail.",
)
@click.option("--print-policy", is_flag=True, help="Print the policy as TOML, and end.")
@workers_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory, resumed if it exists.  [default: relrob-runs/audit-...]",
)
@memory_option
@common_options
def command(
    reference: str | None,
    quantised: str | None,
    print_policy: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Say whether the quantised network may be shipped in place of the reference.

    Labels and weights of the pair are compared on all images, the runtimes of the file with each
    other, and robustness on a sample; a policy judges. Exit code 0: ship; 1: do not; 3: the policy
    asks what cannot be said; 4: a run contradicts a proof. DIR holds audit.json, images.csv,
    table.md, junit.xml, audit.sarif and the page report.html. docs/audit.md tells how to read them.

    \b
    Examples:
      relrob audit model.keras model.tflite --dataset images.npz
      relrob audit model.keras model.tflite --dataset images.npz --policy policy.toml --out audit
      relrob audit --print-policy
    """
    given = typed(**options)
    if print_policy:
        named = [("REFERENCE", reference), ("QUANTISED", quantised), ("--json", as_json or None)]
        _refuse_beside([name for name, value in named if value is not None])
        click.echo(load("relrob.audit.policy:text_of")(given), nl=False)
        return
    if reference is None or quantised is None:
        raise UsageError(
            "an audit of less than two networks", "REFERENCE QUANTISED", "relrob audit --help"
        )
    audit: Callable[..., Any] = load("relrob.api.audit:audit")
    given.setdefault("workers", "auto")
    with load("relrob.cli.progress:progress")(as_json, quiet) as listener:
        result = audit(reference, quantised, listener=listener, **given)
    document = result.json()
    if as_json:
        print_json(document)
    elif not quiet:
        click.echo(load("relrob.report.audit.words:terminal")(document, columns()))
        say(f"\nDirectory: {result.directory}")
    if os.environ.get("GITHUB_ACTIONS"):
        for line in load("relrob.report.audit.github:tell")(document, os.environ):
            click.echo(line, err=as_json)
    sys.exit(result.exit_code)
