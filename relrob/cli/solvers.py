"""`relrob solvers`: which decision procedures are here."""

from __future__ import annotations

import click

from relrob.cli.common import common_options, print_json
from relrob.registry import BALL_SOLVERS, EVALUATORS, QUANTISERS, SOLVERS


@click.command("solvers")
@common_options
def command(as_json: bool, quiet: bool) -> None:
    """List the decision procedures, the runtimes and the quantisation schemes.

    \b
    Example:
      relrob solvers --json
    """
    if as_json:
        print_json(
            {
                **{
                    key: [
                        {"name": s.name, "summary": s.summary, "complete": s.complete}
                        for s in table
                    ]
                    for key, table in (("solvers", SOLVERS), ("ball_solvers", BALL_SOLVERS))
                },
                "runtimes": [{"name": e.name, "summary": e.summary} for e in EVALUATORS],
                "schemes": [{"name": q.name, "summary": q.summary} for q in QUANTISERS],
            }
        )
        return
    for title, table in (
        ("Solvers", SOLVERS),
        ("Solvers of balls and lattices", BALL_SOLVERS),
        ("Runtimes", EVALUATORS),
        ("Quantisation schemes", QUANTISERS),
    ):
        click.echo(title)
        for entry in table:
            click.echo(
                f"  {entry.name:<21}{entry.summary}{' (complete)' if entry.complete else ''}"
            )
