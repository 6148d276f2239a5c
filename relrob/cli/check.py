"""`relrob check`: derive certificates again with code that shares nothing with the solvers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from relrob.cli.common import common_options, memory_option, print_json, say
from relrob.errors import capped
from relrob.registry import load


@click.command("check")
@click.argument(
    "certificates",
    nargs=-1,
    required=True,
    metavar="CERTIFICATE...",
    type=click.Path(path_type=Path),
)
@click.option(
    "--network",
    type=click.Path(path_type=Path),
    help="The network's file.  [default: found beside the run]",
)
@click.option(
    "--run",
    is_flag=True,
    help="Run every point of parts that rest on runs, not 64 of the large ones.",
)
@memory_option
@common_options
def command(
    certificates: tuple[Path, ...],
    network: Path | None,
    run: bool,
    memory: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check certificates of ROBUST verdicts, which `relrob verify --certificates` writes, with
    other code and arithmetic.

    The region is built again with exact fractions, bounds are derived again in ball arithmetic from
    the network's file, points that were run are run again. Exit code 0: all valid; 1: some invalid;
    2: unreadable; 3: none invalid, but large parts that were run are only sampled.
    docs/certificates.md tells the rules.

    \b
    Examples:
      relrob verify --radius 20 --step 1/16 --images 0:5 --certificates --out run
      relrob check run/certificates/00000-reference.json
    """
    check: Callable[..., Any] = load("relrob.certificates.checking.check:check")
    # A stranger's file may crash the process that reads it.
    first = partial(load("relrob.networks.first:try_network"), memory=memory)
    reports = [check(path, network, run, first) for path in certificates]
    if as_json:
        print_json([{**asdict(report), "valid": report.valid} for report in reports])
    for report in reports if not as_json else ():
        if not (quiet and report.valid):
            say(f"{report.path}: {_words(report)}")
        for words in report.verified if not quiet else ():
            say(f"  {words}")
    worst = {report.status for report in reports}
    sys.exit(1 if "invalid" in worst else 3 if "sampled" in worst else 0)


def _words(report: Any) -> str:
    """The verdict on one certificate."""
    if report.status == "invalid":
        return f"INVALID: {capped(report.failure)}"
    if report.status == "sampled":
        return f"sampled ({report.sampled_parts} run parts, not all run)"
    return "valid (every part re-derived or run again)"
