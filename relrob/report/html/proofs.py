"""Attacks beside proofs, and the alarm: what would have rung, and that it did not."""

from __future__ import annotations

from typing import Final

from relrob.domain.record import NETWORKS
from relrob.domain.verdict import Status
from relrob.report.html.parts import Block, Column, Line, Notes, Section, Table, Tone
from relrob.report.run.attack_words import HEAD, attack_notes, attack_rows
from relrob.store.attack_summary import Attacks
from relrob.store.summary import Summary

_EXIT: Final = (
    "One that did would have ended the run with exit code 4: no verdict, and no page like this."
)


def section(summary: Summary) -> Section:
    """The alarm first, then the table of attacks."""
    blocks: list[Block] = [alarm(summary)]
    attacks = summary.attacks
    if attacks is None:
        blocks.append(Notes(("No attack was run beside the solvers; --attacks asks for some.",)))
    else:
        blocks += [_table(attacks), Notes(tuple(attack_notes(summary)))]
    return Section(
        "attacks",
        "Attacks beside proofs",
        "A proof says that no image in the region fools the network; an attack looks for one. "
        "Where both are right they cannot contradict each other, so each checks the other.",
        tuple(blocks),
    )


def alarm(summary: Summary) -> Notes:
    """What was held against the proofs."""
    checks, attacks = summary.spot_checks, summary.attacks
    tried = 0
    if attacks is not None:
        tried = sum(
            on.inside[Status.ROBUST].images for each in attacks.each for _, on in each.networks
        )
    if not checks and not tried:
        return Notes(("Alarm: nothing was held against the proofs in this run.",), Tone.OPEN)
    parts = [f"{checks:,} spot checks on the runtime itself"] if checks else []
    if tried:
        parts.append(f"{tried:,} attacks on images that are ROBUST")
    return Notes((f"Alarm: silent. {' and '.join(parts)}, none against. {_EXIT}",), Tone.GOOD)


def _table(attacks: Attacks) -> Table:
    """The rows of table.md without times."""
    columns = tuple(Column(name, place > 0) for place, name in enumerate(HEAD[:-1]))
    rows = tuple(
        Line((f"{'· ' * row.depth}{row.cells[0]}", *row.cells[1:-1]))
        for row in attack_rows(attacks)
    )
    seen = " and ".join(NETWORKS)
    return Table(f"What attacks found on the {seen} network, by verdict", columns, rows)
