"""The comparison of two networks on clean images as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.pair_report import PairReport, Share
from relrob.errors import printable

# Rows of the confusion, and images named.
_CELLS: Final = 8
_IMAGES: Final = 10
Row = Sequence[str]


def pair_markdown(report: PairReport) -> str:
    """Tables of what was measured, of classes and of changes of label, and what they mean."""
    parts = [_piped(_summary(report)), *(f"- {line}" for line in _sentences(report))]
    if report.rows:
        parts.append(_piped(_classes(report)))
    if report.changes:
        parts.append(_piped(_changes(report)))
    return "\n\n".join(parts) + "\n"


def _summary(report: PairReport) -> list[Row]:
    """What was measured, its share, its count and its interval."""
    rows: list[Row] = [("clean images", "share", "count", "95 % interval")]
    first, second = report.reference_accuracy, report.quantised_accuracy
    rows.append(_share("labels agree", report.agreeing))
    if first is not None and second is not None:
        rows += [_share("reference right", first), _share("quantised right", second)]
        rows.append(_count(report, "right before, wrong now", len(report.regressions)))
        rows.append(_count(report, "wrong before, right now", len(report.gains)))
    tied = len(report.tied_disagreements)
    if tied:
        rows.append(_count(report, "differ by a tie at the top", tied))
    for name, side in (("reference", report.reference), ("quantised", report.quantised)):
        if side.ties:
            rows.append(_count(report, f"{name}: ties at the top", len(side.ties)))
    return rows


def _share(name: str, share: Share) -> Row:
    low, high = share.interval
    return (
        name,
        _percent(share.k, share.n),
        f"{share.k:,} of {share.n:,}",
        f"{100 * low:.2f} to {100 * high:.2f} %",
    )


def _count(report: PairReport, name: str, k: int) -> Row:
    return name, _percent(k, report.images), f"{k:,} of {report.images:,}", ""


def _percent(k: int, n: int) -> str:
    """With two digits; 100.00 for all alone, 0.00 for none alone."""
    shown = f"{100 * k / n:.2f}"
    if k < n and shown == "100.00":
        shown = "99.99"
    return f"{'0.01' if k and shown == '0.00' else shown} %"


def _sentences(report: PairReport) -> list[str]:
    """What the numbers mean, then the diagnoses."""
    found = []
    if report.labels is None:
        found.append("The labels are the reference's own: there is no accuracy.")
    if report.p_value is not None and (report.regressions or report.gains):
        found.append(
            f"Regressions and gains differ with p = {report.p_value:.2g} (McNemar's exact test, "
            "two-sided)."
        )
    what = "Regressions" if report.labels is not None else "Other labels"
    if report.regressions:
        named = ", ".join(str(image) for image in report.regressions[:_IMAGES])
        more = len(report.regressions) - _IMAGES
        found.append(f"{what}: images {named}{f' and {more:,} more' if more > 0 else ''}.")
    return [*found, *map(_diagnosis, report.diagnoses)]


def _diagnosis(each: Diagnosis) -> str:
    hint = f" Try: {printable(each.hint)}." if each.hint else ""
    return f"{each.id}: {printable(each.sentence)}.{hint}"


def _classes(report: PairReport) -> list[Row]:
    """Accuracy of both networks by class."""
    head: Row = ("class", "images", "reference", "quantised", "change")
    return [
        head,
        *(
            (
                str(row.label),
                f"{row.images:,}",
                _percent(row.reference, row.images),
                _percent(row.quantised, row.images),
                f"{row.quantised - row.reference:+,}",
            )
            for row in report.rows
        ),
    ]


def _changes(report: PairReport) -> list[Row]:
    """The largest cells of the confusion off its diagonal."""
    head: Row = ("reference says", "quantised says", "images")
    rows: list[Row] = [(str(one), str(other), f"{k:,}") for one, other, k in report.changes]
    more = len(rows) - _CELLS
    return [head, *rows[:_CELLS], *([(f"{more} more pairs", "", "")] if more > 0 else [])]


def _piped(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    rule = ["---", *(["---:"] * (len(rows[0]) - 1))]
    lines = [rows[0], rule, *rows[1:]]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )
