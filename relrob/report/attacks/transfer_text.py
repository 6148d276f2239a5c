"""The document of `relrob transfer --json` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from relrob.errors import capped, printable
from relrob.report.attacks.attack_text import Document, flips_text, number, percent

_SCENARIOS: Final = ("comp_comp", "full_comp", "comp_full")
# Columns of a terminal that names of sources may take.
_WIDE: Final = 80


def transfer_text(found: Document) -> str:
    """The networks, the matrix of evasion rates, a line for each cell, and the scenarios."""
    blocks = [_sources(found), _matrix(found), _cells(found), _scenarios(found)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _sources(found: Document) -> list[str]:
    lines = []
    for at, each in enumerate(found["sources"], 1):
        data = each["dataset"]
        lines.append(
            f"{at}  {_shown(each['name'])}: {_shown(each['attack'])}, {each['success']:,} of "
            f"{each['samples']:,} succeed ({_shown(data['name'])} {_shown(data['split'])}, "
            f"filter {each['filter']})"
        )
        if each["flips"]:
            lines.append(f"   most often {_shown(flips_text(each))}")
    return lines


def _matrix(found: Document) -> list[str]:
    """Evasion rates: a row a target, a column a source, by number where names are too wide."""
    table = found["matrix"]
    wide = sum(len(name) + 7 for name in table["columns"]) > _WIDE
    shown = range(1, len(table["columns"]) + 1) if wide else table["columns"]
    several = len(table["columns"]) > 1
    head = ["evasion rate of", *(f"from {name}" for name in shown), *(["mean"] if several else [])]
    rows = []
    for name, rates, mean in zip(
        table["rows"], table["evasion_rate"], table["row_means"], strict=True
    ):
        more = [mean] if several else []
        rows.append([name, *(percent(rate) for rate in (*rates, *more))])
    if len(rows) > 1:
        last = [""] if several else []
        rows.append(["mean", *(percent(mean) for mean in table["column_means"]), *last])
    return _table(head, rows)


def _cells(found: Document) -> list[str]:
    """Accuracy before and after, and what becomes of the source's successes."""
    targeted = found["matrix"]["targeted_rate"] is not None
    head = ["examples of, on", "clean", "adversarial", "transferred", "top 2", "mean l2"]
    head += ["target's label"] if targeted else []
    rows = []
    for each in found["cells"]:
        target = found["targets"][each["target"]]
        rows.append(
            [
                f"{each['source'] + 1} on {target['name']}",
                percent(target["accuracy"]),
                percent(each["adversarial_accuracy"]),
                f"{each['transferred']:,} of {each['source_success']:,}",
                f"{each['in_top_2']:,} of {each['samples']:,}",
                number(each["norms"]["l2"]["mean"]),
                *([percent(each["targeted_rate"])] if targeted else []),
            ]
        )
    return _table(head, rows)


def _scenarios(found: Document) -> list[str]:
    """Adversarial accuracies of each compressed network."""
    if not found["scenarios"]:
        return []
    head = ["adversarial accuracy", "COMP->COMP", "FULL->COMP", "COMP->FULL", "FULL->FULL"]
    rows = [
        [each["name"], *(percent(each[name]) for name in (*_SCENARIOS, "full"))]
        for each in found["scenarios"]
    ]
    return _table(head, rows)


def _shown(cell: Any) -> str:
    """A cell, of which no text that a file gave makes another line, or a very long one."""
    return printable(capped(str(cell)))


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns as wide as their widest entry, the first one to the left."""
    lines = [[_shown(cell) for cell in line] for line in (head, *rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return [
        "  ".join(
            f"{cell:<{width}}" if at == 0 else f"{cell:>{width}}"
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
