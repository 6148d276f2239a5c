"""The generated parts of README.md and docs/: run by cog (`make docs`), checked by CI (`make
lint`)."""

from __future__ import annotations

import json
from pathlib import Path

import click

from relrob.cli.main import COMMANDS, group
from relrob.registry import EVALUATORS, QUANTISERS, Entry, load, solvers
from relrob.report.run.table import table_markdown

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "reports" / "quickstart"


def results() -> str:
    """The two tables of the committed quickstart run."""
    summary = json.loads((QUICKSTART / "summary.json").read_text(encoding="utf-8"))
    blocks = table_markdown(summary).split("\n\n")
    return "\n\n".join(block for block in blocks if block.startswith("|"))


def measured() -> str:
    """One sentence about the committed quickstart run."""
    summary = json.loads((QUICKSTART / "summary.json").read_text(encoding="utf-8"))
    made = json.loads((QUICKSTART / "provenance.json").read_text(encoding="utf-8"))
    points = summary["points"]
    return (
        f"`{made['command']}` on {summary['dataset']['images']} images: {points['covered']:,} perturbed images decided for both "
        f"networks, {points['evaluated']:,} of them run and {points['proved']:,} proved, {made['seconds_of_work']:.0f} s of work."
    )


def table(entries: tuple[Entry, ...]) -> str:
    """A registry as a Markdown table."""
    rows = [f"| `{entry.typed}` | {entry.summary} |" for entry in entries]
    return "\n".join(["| name | what it is |", "| --- | --- |", *rows])


def registries() -> str:
    """Solvers, runtimes and schemes."""
    parts = (
        ("Solvers of ladders", solvers("ladder")),
        ("Solvers of balls and lattices", solvers("linf")),
        ("Runtimes", EVALUATORS),
        ("Quantisation schemes", QUANTISERS),
    )
    return "\n\n".join(f"### {title}\n\n{table(entries)}" for title, entries in parts)


def reference() -> str:
    """The help of every command."""
    parts = [_help(group, "relrob")]
    for name in COMMANDS:
        command: click.Command = load(COMMANDS[name][0])
        parts.append(_help(command, f"relrob {name}"))
        if isinstance(command, click.Group):
            parts += [_help(each, f"relrob {name} {sub}") for sub, each in command.commands.items()]
    return "\n\n".join(parts)


def _help(command: click.Command, path: str) -> str:
    settings = {**group.context_settings, "max_content_width": 100}
    context = click.Context(command, info_name=path, terminal_width=100, **settings)
    return f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```"
