"""Does a runtime of a file give other answers than its other runtimes, beyond what ties explain?"""

from __future__ import annotations

from typing import Final

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.runtime_report import RuntimePair, RuntimeReport

# Shares of images whose labels differ and are no ties: kernels that round otherwise were seen to
# change 1.1 %, and a runtime that reads a file wrongly 70 %.
NOTED: Final = 0.005
WRONG: Final = 0.05


def runtime_faults(report: RuntimeReport) -> tuple[Diagnosis, ...]:
    """The diagnosis of the two runtimes whose labels differ most, where these are more than ties.
    It blocks where one of the two cannot be executing the file as it is meant."""
    row = max(report.rows, key=_plain, default=None)
    if row is None or _plain(row) < NOTED:
        return ()
    wrong = _plain(row) >= WRONG
    (better, most), (worse, least) = sorted(
        zip(row.names, row.accuracy, strict=True), key=lambda each: -each[1]
    )
    told = f"{100 * most:.1f} % are right on {better}, {100 * least:.1f} % on {worse}"
    return (
        Diagnosis(
            "wrong-runtime",
            f"{row.sentence}: {told}"
            + (f"; {worse} does not execute the file as it is meant" if wrong else ""),
            {
                "runtimes": list(row.names),
                "images": row.images,
                "differing": row.differing,
                "ties": row.ties,
                "accuracy": [round(each, 6) for each in row.accuracy],
            },
            f"deploy on {better}, or convert for {worse}"
            if wrong
            else "audit the runtime that is deployed",
            blocking=wrong,
        ),
    )


def _plain(row: RuntimePair) -> float:
    """The share of images whose labels differ and are no ties."""
    return (row.differing - row.ties) / row.images if row.images else 0.0
