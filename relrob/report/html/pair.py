"""Both networks on all clean images of an audit's data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relrob.audit.rows import Row
from relrob.report.html.parts import Block, Cell, Column, Line, Notes, Section, Table, Terms, Tone
from relrob.report.html.rows import ranges

# Images with changed labels that have a row.
_MOST: Final = 500


def section(document: Mapping[str, Any], rows: Sequence[Row]) -> Section:
    """Agreement, classes, changes, and the images whose label changed."""
    found = document["pair"]
    blocks: list[Block] = [_shares(found)]
    if found["classes"]:
        blocks.append(_classes(found["classes"]))
    changed = [row for row in rows if row.reference_label != row.quantised_label]
    if changed:
        blocks.append(_changed(changed))
    more = len(changed) - _MOST
    if more > 0:
        blocks.append(Notes((f"{more:,} more images whose label changed stand in images.csv.",)))
    return Section(
        "pair",
        "The pair on clean images",
        "Both networks on every image of the data set, with no perturbation.",
        tuple(blocks),
    )


def _shares(found: Mapping[str, Any]) -> Table:
    rows = [_share("labels agree", found["agreement"])]
    for name in ("reference", "quantised"):
        accuracy = found[name].get("accuracy")
        if accuracy is not None:
            rows.append(_share(f"{name} right", accuracy))
    changes = (("right before, wrong now", "regressions"), ("wrong before, right now", "gains"))
    for name, kind in changes:
        rows.append(Line((name, "", f"{len(found[kind]):,}", "")))
    p = found.get("p_value")
    if p is not None:
        told = f"p = {p:.3g}" if p else "p below 1e-300"
        rows.append(Line(("McNemar's exact test", told, "", "")))
    columns = (
        Column("clean images"),
        Column("share", True),
        Column("count", True),
        Column("95 % interval", True),
    )
    return Table("Labels of both networks", columns, tuple(rows))


def _share(name: str, share: Mapping[str, Any]) -> Line:
    low, high = share["interval"]
    return Line(
        (
            name,
            f"{100 * share['share']:.2f}%",
            f"{share['count']:,} of {share['of']:,}",
            f"{100 * low:.2f} to {100 * high:.2f}%",
        )
    )


def _classes(classes: Sequence[Mapping[str, Any]]) -> Table:
    """Accuracy by class."""
    columns = (
        Column("class"),
        Column("images", True),
        Column("reference right", True),
        Column("quantised right", True),
        Column("change", True),
    )
    rows = []
    for row in classes:
        change = row["quantised"] - row["reference"]
        tone = Tone.BAD if change < 0 else Tone.PLAIN
        counts = (row["images"], row["reference"], row["quantised"])
        rows.append(
            Line(
                (str(row["label"]), *(f"{count:,}" for count in counts), Cell(f"{change:+,}", tone))
            )
        )
    return Table("Accuracy by class", columns, tuple(rows), tall=len(rows) > 25)


def _changed(changed: Sequence[Row]) -> Table:
    """A row for each image with two labels."""
    lines = tuple(
        Line(
            (
                str(row.index),
                str(row.label),
                str(row.reference_label),
                str(row.quantised_label),
                _became(row),
            ),
            _became(row).text,
        )
        for row in changed[:_MOST]
    )
    columns = (
        Column("image", True),
        Column("class"),
        Column("reference says"),
        Column("quantised says"),
        Column("so the quantised network is"),
    )
    keys = tuple(dict.fromkeys(line.key for line in lines))
    return Table("Images whose label changed", columns, lines, keys, "became", tall=len(lines) > 25)


def _became(row: Row) -> Cell:
    if row.reference_label == row.label:
        return Cell("wrong now", Tone.BAD)
    if row.quantised_label == row.label:
        return Cell("right now", Tone.GOOD)
    return Cell("wrong as before", Tone.DIM)


def others(rows: Sequence[Row]) -> Section:
    """The images that have a row nowhere: both networks give them one label, and they were not
    looked at closely."""
    left = [row for row in rows if not row.sampled and row.reference_label == row.quantised_label]
    right = [row.index for row in left if row.reference_label == row.label]
    wrong = [row.index for row in left if row.reference_label != row.label]
    pairs = [
        (f"{words}: {len(found):,}", ranges(found))
        for words, found in (("both right", right), ("both wrong", wrong))
        if found
    ]
    blocks: tuple[Block, ...] = (Terms(tuple(pairs)),) if pairs else ()
    return Section(
        "others",
        "The other images",
        "These images were not drawn for the sample, so nothing is said of their robustness; both "
        "networks give them one label."
        if pairs
        else "There are none: every image of the data set stands above.",
        blocks,
    )
