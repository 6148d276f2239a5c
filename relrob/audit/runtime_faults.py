"""Does a runtime of a file give other answers than its other runtimes, beyond what ties explain?"""

from __future__ import annotations

from typing import Final

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.runtime_report import RuntimePair, RuntimeReport

# Shares of images whose labels differ and are no ties: kernels that round otherwise were seen to
# change 1.1 %, and a runtime that reads a file wrongly 70 %.
NOTED: Final = 0.005
WRONG: Final = 0.05


def runtime_faults(report: RuntimeReport, deployed: str) -> tuple[Diagnosis, ...]:
    """The diagnosis of the two runtimes whose labels differ most, where these are more than ties.

    It blocks where the runtime that is `deployed` cannot be executing the file as it is meant: it
    differs on a share of `WRONG` or more, and is right less often than the other, or nobody can
    tell.
    """
    row = max(report.rows, key=_plain, default=None)
    if row is None or _plain(row) < NOTED:
        return ()
    better, worse, told = _told(row)
    wrong = _plain(row) >= WRONG
    if wrong and row.accuracy is not None:
        told += f"; {worse} does not execute the file as it is meant"
    blocking = wrong and (worse == deployed or (row.accuracy is None and deployed in row.names))
    evidence = {
        "runtimes": list(row.names),
        "images": row.images,
        "differing": row.differing,
        "ties": row.ties,
        "accuracy": row.accuracy and [round(each, 6) for each in row.accuracy],
    }
    hint = f"deploy on {better}, or convert for {worse}"
    if not wrong or row.accuracy is None:
        hint = "audit the runtime that is deployed"
    said = f"{row.sentence}: {told}"
    return (Diagnosis("wrong-runtime", said, evidence, hint, blocking=blocking),)


def _plain(row: RuntimePair) -> float:
    """The share of images whose labels differ and are no ties."""
    return (row.differing - row.ties) / row.images if row.images else 0.0


def _told(row: RuntimePair) -> tuple[str, str, str]:
    """The runtime that is right more often, the other, and how often each is right. Without labels
    none is better."""
    first, second = row.names
    if row.accuracy is None:
        return first, second, "which of the two is right cannot be told without labels"
    (better, most), (worse, least) = sorted(
        zip(row.names, row.accuracy, strict=True), key=lambda each: -each[1]
    )
    return (
        better,
        worse,
        f"{100 * most:.1f} % are right on {better}, {100 * least:.1f} % on {worse}",
    )
