"""The `relrob` group: commands by name, imported when asked for; errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from relrob import __version__
from relrob.errors import RelrobError
from relrob.registry import load

COMMANDS: dict[str, tuple[str, str]] = {
    "verify": ("relrob.cli.verify:command", "Certify image by image, before and after quantisation (the main job)."),
    "check": ("relrob.cli.check:command", "Check certificates of ROBUST verdicts by other means."),
    "train": ("relrob.cli.train:command", "Train a reference network."),
    "quantise": ("relrob.cli.quantise:command", "Quantise a trained network."),
    "datasets": ("relrob.cli.datasets:command", "List, fetch and check data sets."),
    "solvers": ("relrob.cli.solvers:command", "List the decision procedures."),
}


class LazyGroup(click.Group):
    """A group whose help needs no command's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = load(COMMANDS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="relrob")
def group() -> None:
    """Is the quantised network that you ship still robust where the full-precision network was proved robust?

    \b
    Example:
      relrob verify --radius 20 --step 0.25
    """


def tune_blas() -> None:
    """Let OpenBLAS use AVX-512 where the processor has it and OpenBLAS does not know its name (before NumPy is imported)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if all(flag in flags for flag in ("avx512f", "avx512dq", "avx512bw", "avx512vl")):
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")


def main() -> None:
    """Entry point of the `relrob` program."""
    tune_blas()
    logging.basicConfig(level=logging.WARNING, format="relrob: %(message)s")
    try:
        group.main(standalone_mode=False)
    except RelrobError as error:
        click.echo(f"relrob: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"relrob: {' '.join(error.format_message().split())}; try: relrob --help", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "relrob: interrupted; the same command takes up a run where it stopped",
            err=True,
        )
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = None
        sys.exit(0)
