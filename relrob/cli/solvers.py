"""`relrob solvers`: the decision procedures, runtimes and schemes."""

from __future__ import annotations

import click

from relrob.cli.common import common_options, print_json
from relrob.compress.table import QUANTISERS
from relrob.registry import EVALUATORS, solvers


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
                        {
                            "name": s.method,
                            "summary": s.summary,
                            "complete": s.complete,
                            "regions": list(s.regions),
                            "arithmetic": list(s.arithmetic),
                        }
                        for s in solvers(kind)
                    ]
                    for key, kind in (("solvers", "ladder"), ("ball_solvers", "linf"))
                },
                "runtimes": [{"name": e.name, "summary": e.summary} for e in EVALUATORS],
                "schemes": [{"name": q.name, "summary": q.summary} for q in QUANTISERS],
            }
        )
        return
    for title, table in (
        ("Solvers", solvers("ladder")),
        ("Solvers of balls and lattices", solvers("linf")),
        ("Runtimes", EVALUATORS),
        ("Quantisation schemes", QUANTISERS),
    ):
        click.echo(title)
        for entry in table:
            click.echo(
                f"  {entry.typed:<21}{entry.summary}{' (complete)' if entry.complete else ''}"
            )
