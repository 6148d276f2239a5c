"""The `relrob` group: commands by name, each imported when it is asked for. Errors become one line
and an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from relrob.cli import interrupt, mistakes
from relrob.errors import printable
from relrob.registry import load
from relrob.system.version import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    "verify": (
        "relrob.cli.verify:command",
        "Certify image by image, before and after quantisation (the main job).",
    ),
    "audit": (
        "relrob.cli.audit:command",
        "May the quantised network be shipped? One sentence and one exit code.",
    ),
    "radius": (
        "relrob.cli.radius:command",
        "Find each image's certified radius, before and after quantisation.",
    ),
    "study": ("relrob.cli.study:command", "Run grids of runs, beside published numbers."),
    "table": ("relrob.cli.table:command", "Print tables of runs, beside published numbers."),
    "page": ("relrob.cli.page:command", "Write report.html of a finished directory again."),
    "check": ("relrob.cli.check:command", "Check certificates of ROBUST verdicts by other means."),
    "attack": ("relrob.cli.attack:command", "Find adversarial examples, and replay each of them."),
    "transfer": (
        "relrob.cli.transfer:command",
        "Apply adversarial examples to other networks: a matrix, three scenarios.",
    ),
    "runtimes": ("relrob.cli.runtimes:command", "Compare the runtimes of one file."),
    "ladder": ("relrob.cli.ladder:command", "Count and draw the ladder around one image."),
    "train": ("relrob.cli.train:command", "Train a reference network."),
    "quantise": ("relrob.cli.quantise:command", "Quantise a trained network."),
    "prune": ("relrob.cli.prune:command", "Prune a trained network."),
    "datasets": ("relrob.cli.datasets:command", "List, fetch and check data sets."),
    "attacks": ("relrob.cli.attacks:command", "List the attacks and their parameters."),
    "solvers": ("relrob.cli.solvers:command", "List the decision procedures."),
    "explain": ("relrob.cli.explain:command", "Say why an image has its verdicts."),
    "demo": ("relrob.cli.demo:command", "Take a tour of a minute: a ladder, a witness, a proof."),
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would write an empty line at Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="relrob")
def group() -> None:
    """Is the quantised network that you ship still robust where the full-precision network was
    proved robust?

    \b
    Example:
      relrob verify --radius 20 --step 0.25
    """


def tune_blas() -> None:
    """Let OpenBLAS use AVX-512 on a processor that has it and whose name OpenBLAS does not know.

    NumPy must not be imported yet.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if all(flag in flags for flag in ("avx512f", "avx512dq", "avx512bw", "avx512vl")):
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")


def open_streams() -> None:
    """Give closed standard streams the null device, or a data file would get their numbers.
    Standard output escapes letters that it cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given, which is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            # The stream stays open for good.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run() -> int:
    """Run the command that the arguments name; returns the exit code, which is 130 after any
    Ctrl-C."""
    output = sys.stdout
    try:
        code = group.main(prog_name="relrob", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BaseException as error:
        if interrupt.happened() or isinstance(error, click.Abort | KeyboardInterrupt):
            interrupt.say()
            return interrupt.CODE
        if isinstance(error, SystemExit) and sys.stdout is not output:
            # click replaces standard output, and exits, when nobody reads it any more.
            return 0
        code = mistakes.tell(error)
        if code is None:
            raise
        return code


class PlainFormatter(logging.Formatter):
    """Log records as lines that a terminal shows and does not obey, whatever a file put in them."""

    def format(self, record: logging.LogRecord) -> str:
        """`relrob: ` and the message."""
        return printable(super().format(record), keep="\n")


def handler() -> logging.Handler:
    """The handler of log records: it writes to standard error."""
    stream = logging.StreamHandler()
    stream.setFormatter(PlainFormatter("relrob: %(message)s"))
    return stream


def main() -> None:
    """The `relrob` program, after relrob.cli has begun to listen to Ctrl-C."""
    tune_blas()
    open_streams()
    logging.basicConfig(level=logging.WARNING, handlers=[handler()])
    code = run()
    interrupt.ignore()
    if code:
        sys.exit(code)
