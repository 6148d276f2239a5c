"""The four sets of a run as a bar, a table, and pictures of their images."""

from __future__ import annotations

from typing import Final

from relrob.domain.record import Record, Set
from relrob.errors import how_many
from relrob.report.html.charts import Part, icicle
from relrob.report.html.images import Pictures
from relrob.report.html.parts import (
    Block,
    Column,
    Figure,
    Line,
    Picture,
    Section,
    Strip,
    Strips,
    Table,
    Tone,
)
from relrob.report.html.run_data import SHOWN, RunData
from relrob.report.run.wording import set_rows
from relrob.store.summary import Summary

TONES: Final = {
    Set.RQFP: Tone.GOOD,
    Set.RFP: Tone.BAD,
    Set.RQ: Tone.PLAIN,
    Set.R0: Tone.DIM,
    Set.MIXED: Tone.DIM,
    Set.UNKNOWN: Tone.OPEN,
    Set.L_IC: Tone.DIM,
}
_PLAIN: Final = {
    Set.RFP: "Lost: robust before, fooled after. These images decide.",
    Set.RQFP: "Kept: robust before and after.",
    Set.RQ: "The reference is fooled; what fools it does not fool the quantised network.",
    Set.R0: "The reference is fooled, and what fools it fools the quantised network too.",
    Set.MIXED: "Some of what fools the reference fools the quantised network too, some does not.",
    Set.UNKNOWN: "Undecided: for one network or both nothing is known. Neither kept nor lost.",
    Set.L_IC: "The reference is wrong without any change, so there is nothing to keep.",
}
# The network whose witness shows an image of the set; none where both are robust.
_SHOWS: Final = {Set.RFP: "quantised", Set.RQ: "reference", Set.R0: "quantised"}


def tree(summary: Summary) -> tuple[Part, ...]:
    """The images of a run as the parts of a bar."""
    sets, open_ = summary.sets, summary.undecided
    robust = (
        Part("R_Q^FP kept", sets.both_robust, Tone.GOOD),
        Part("R^FP lost", sets.lost, Tone.BAD),
        Part("undecided", open_.robust_unknown, Tone.OPEN),
    )
    fooled = (
        Part("R_Q", sets.none_transfers, Tone.PLAIN),
        Part("R^mixed", sets.some_transfer, Tone.DIM),
        Part("R^0", sets.all_transfer, Tone.DIM),
        Part("undecided", open_.not_robust_unknown, Tone.OPEN),
    )
    return (
        Part("R: reference robust", sets.robust, Tone.PLAIN, robust),
        Part("reference undecided", open_.reference, Tone.OPEN),
        Part("R_NOT: reference fooled", sets.not_robust, Tone.DIM, fooled),
        Part("L_ic: wrong unperturbed", sets.wrong, Tone.DIM),
    )


def section(run: RunData, pictures: Pictures) -> Section:
    """All of it. Sets without images have a line in the table and no pictures."""
    told = ", ".join(f"{name} {count}" for name, count in run.summary.sets.json().items())
    blocks: list[Block] = [
        Figure(
            icicle(tree(run.summary), f"Images by set: {told}"),
            "Above: the images by what is known of the reference. Below: what became of them in "
            "the quantised network. The width is the number of images; parts too narrow for "
            "their names stand in the table.",
            "Bar of the sets",
        ),
        _table(run.summary),
        Strips(tuple(_strip(run, pictures, which) for which in _PLAIN if _of(run, which))),
    ]
    return Section(
        "sets",
        "The sets of images",
        "Each image is in one set, by the verdict on it before and after quantisation.",
        tuple(blocks),
    )


def _table(summary: Summary) -> Table:
    columns = ("set", "images", "share", "95 % interval", "of", "meaning")
    rows = tuple(
        Line(
            (
                f"{'· ' * row.depth}{row.name}",
                f"{row.count:,}",
                row.share,
                row.interval,
                row.whole,
                row.meaning,
            )
        )
        for row in set_rows(summary)
    )
    return Table(
        "Sets, with Wilson intervals; undecided images widen them",
        tuple(Column(name, name in columns[1:4]) for name in columns),
        rows,
    )


def _of(run: RunData, which: Set) -> list[Record]:
    return [record for record in run.records if record.set is which]


def _strip(run: RunData, pictures: Pictures, which: Set) -> Strip:
    """The first images of a set."""
    images = _of(run, which)
    shown = [each for record in images[:SHOWN] if (each := _shown(run, pictures, record, which))]
    more = len(images) - len(shown)
    count = how_many(len(images), "image")
    note = ""
    if more and shown:
        note = f"{more:,} more in the table of images."
    elif more:
        note = "No pictures: nothing that is kept of the run holds them."
    return Strip(f"{which.value}: {count}", _PLAIN[which], tuple(shown), note, TONES[which])


def _shown(
    run: RunData, pictures: Pictures, record: Record, which: Set
) -> tuple[Picture, str] | None:
    """The picture of an image, perturbed where a witness shows the set, and its number."""
    network = _SHOWS.get(which)
    view = run.witnesses(record.index).get(network) if network else None
    if view is not None:
        says = view.quantised_label if network == "quantised" else view.reference_label
        return pictures.perturbed(view), f"{record.index}: {record.label}→{says}"
    found = pictures.original(record.index)
    return None if found is None else (found, f"{record.index}: {record.label}")
