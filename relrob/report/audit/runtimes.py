"""The runtimes of a file side by side, as text for a terminal."""

from __future__ import annotations

import math
from typing import Final

from relrob.audit.runtime_report import RuntimePair, RuntimeReport
from relrob.errors import how_many, printable
from relrob.system.files import readable

# Images that a line names.
_SHOWN: Final = 8


def text(report: RuntimeReport) -> str:
    """The runtimes, the labels that differ between each two, and what did not run."""
    pairs = [_pair(row, row.images < report.images) for row in report.rows]
    blocks = [_table(report), *pairs, _notes(report)]
    if len(report.runs) < 2:
        blocks.insert(1, ["There is nothing to compare: fewer than two runtimes run the file."])
    return "\n".join(printable(line) for block in blocks for line in block)


def _table(report: RuntimeReport) -> list[str]:
    """A row for each runtime that ran."""
    width = max([len(name) for name in report.names], default=0)
    lines = [f"{readable(report.path)} on {report.data}"]
    for run in report.runs:
        right = "" if run.accuracy is None else f"{_percent(run.accuracy)} right of "
        how = ", a sample" if run.sampled else ""
        lines.append(
            f"  {run.name:<{width}}  {right}{how_many(run.images, 'image')}{how}  ({run.details})"
        )
    return lines


def _pair(row: RuntimePair, sampled: bool) -> list[str]:
    """Two runtimes: the images whose labels differ, and how far their outputs are apart."""
    both = " and ".join(row.names)
    if row.largest_image is None:
        return [f"{both}: equal outputs on {how_many(row.images, 'image')}"]
    far = f"differ by up to {row.largest:.3g}" if math.isfinite(row.largest) else "are not numbers"
    outputs = f"outputs {far} (image {row.largest_image})"
    if sampled and row.accuracy:
        outputs += f", {_percent(row.accuracy[0])} and {_percent(row.accuracy[1])} right"
    if not row.differing:
        return [f"{both}: the same labels on {how_many(row.images, 'image')}, {outputs}"]
    more = row.differing - len(row.named[:_SHOWN])
    named = ", ".join(map(str, row.named[:_SHOWN])) + (f" and {more:,} more" if more else "")
    return [
        f"{row.sentence}, {outputs}",
        f"  images {named}",
    ]


def _notes(report: RuntimeReport) -> list[str]:
    """What a reader must know of the numbers above."""
    lines = []
    if any(run.sampled for run in report.runs):
        lines.append(
            f"A sample: {report.sample:,} of {how_many(report.images, 'image')} "
            f"(seed {report.seed}), for {report.rule}."
        )
    if any(row.ties for row in report.rows):
        lines.append(
            "A tie: on one of the two, the largest output stands at several classes, of which "
            "the first is the label."
        )
    return [*lines, *(f"{each.name} does not run it: {each.reason}" for each in report.refused)]


def _percent(share: float) -> str:
    """Two places, which tell 86.97 from 87.02 %."""
    return f"{100 * share:.2f} %"
