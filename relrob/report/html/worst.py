"""The images that a reader must see first: lost ones, then those on which both networks fail."""

from __future__ import annotations

from typing import Final

import numpy as np
from markupsafe import Markup

from relrob.domain.arrays import Floats
from relrob.domain.record import Record, Set, WitnessView
from relrob.report.html import charts
from relrob.report.html.images import Pictures, amplified, levels_of
from relrob.report.html.parts import Block, Card, Cards, Notes, Picture, Section, Tone
from relrob.report.html.run_data import RunData
from relrob.report.run.picture import cost_text

MOST: Final = 24
# Classes in a chart of scores.
_CLASSES: Final = 10
_ORDER: Final = (Set.RFP, Set.UNKNOWN, Set.MIXED, Set.RQ, Set.R0)
_BADGE: Final = {
    Set.RFP: ("robustness lost", Tone.BAD),
    Set.UNKNOWN: ("fooled; the other network is undecided", Tone.OPEN),
    Set.MIXED: ("some of it transfers", Tone.DIM),
    Set.RQ: ("fools the reference only", Tone.PLAIN),
    Set.R0: ("fools both", Tone.DIM),
}


def ordered(records: tuple[Record, ...]) -> list[Record]:
    """Images with a witness, the worst first: lost ones before others, then those that the
    quantised network gets wrong by most."""
    found = [r for r in records if "NOT_ROBUST" in (r.reference_verdict, r.quantised_verdict)]
    return sorted(found, key=lambda r: (_ORDER.index(r.set), _margin(r), r.index))


def _margin(record: Record) -> float:
    margin = record.quantised_margin
    return 0.0 if margin is None else margin


def section(run: RunData, pictures: Pictures) -> Section:
    """The cards, and how many images have none."""
    worst = ordered(run.records)
    cards = tuple(found for record in worst[:MOST] if (found := card(run, pictures, record)))
    more = len(worst) - len(cards)
    blocks: list[Block] = [Cards(cards)] if cards else []
    if more:
        blocks.append(
            Notes(
                (
                    f"{more:,} more image{'s have' if more > 1 else ' has'} a witness and no card "
                    "here: the folder witnesses/ has a picture of each.",
                )
            )
        )
    if not worst:
        blocks.append(Notes(("No image that fools either network was found.",), Tone.GOOD))
    return Section(
        "worst",
        "The worst images",
        "A witness is an image inside the region that fools a network; each was replayed on the "
        "network itself before it came here. Lost images come first, the clearest failure first. "
        "Below the pictures stand the scores of both networks by class: green is the true class, "
        "red the one that is said, and a line across a column is the score without the change.",
        tuple(blocks),
    )


def card(run: RunData, pictures: Pictures, record: Record) -> Card | None:
    """The card of an image; None where its witness is gone."""
    views = run.witnesses(record.index)
    # In R_Q the reference's witness is the one that does not fool the quantised network, which may
    # have another of its own.
    wanted = ("reference", "quantised") if record.set is Set.RQ else ("quantised", "reference")
    view = next((views[name] for name in wanted if name in views), None)
    if view is None:
        return None
    badge, tone = _BADGE[record.set]
    if record.clean_regression:
        badge = "wrong with no change at all"
    shown = (
        (Picture(pictures.room.take(levels_of(view)), f"image {record.index}"), "original"),
        (pictures.perturbed(view), f"perturbed; fools the {view.network} network"),
        (pictures.changed(view), amplified(view)),
    )
    drawn = tuple(
        (_scores(run, view, scores, label, name), _says(run, view, label, margin, scores, name))
        for name, scores, label, margin in _sides(view)
    )
    return Card(
        f"Image {record.index}, class {run.name(record.label)}",
        badge,
        tone,
        shown,
        drawn,
        _sentences(run, record, view),
        f"w{record.index}",
    )


def _sides(view: WitnessView) -> tuple[tuple[str, Floats | None, int, float], ...]:
    """Name, scores, label and margin of both networks."""
    return (
        ("reference", view.reference_scores, view.reference_label, view.reference_margin),
        ("quantised", view.quantised_scores, view.quantised_label, view.quantised_margin),
    )


def _scores(
    run: RunData, view: WitnessView, scores: Floats | None, label: int, network: str
) -> Markup:
    """A network's scores before and after, of all classes or of those that matter."""
    if scores is None or not np.isfinite(scores).all():
        return Markup("")
    count = scores.shape[1]
    kept = set(range(count))
    if count > _CLASSES:
        kept = {*np.argsort(-scores[1], kind="stable")[: _CLASSES - 1].tolist(), view.label}
    tones = {label: Tone.BAD, view.label: Tone.GOOD}
    columns = [
        charts.Column(
            str(each), float(scores[0, each]), float(scores[1, each]), tones.get(each, Tone.DIM)
        )
        for each in sorted(kept)
        if 0 <= each < count
    ]
    told = "right" if label == view.label else "wrong"
    words = f"Scores of the {network} network by class: it says {run.name(label)}, {told}"
    return charts.columns(columns, words)


def _says(
    run: RunData,
    view: WitnessView,
    label: int,
    margin: float,
    scores: Floats | None,
    network: str,
) -> str:
    """The network's answer in words."""
    told = "right" if label == view.label else "WRONG"
    numbers = ""
    if scores is not None and 0 <= label < scores.shape[1] and label != view.label:
        mine, best = float(scores[1, view.label]), float(scores[1, label])
        numbers = f", score {best:.4g} against {mine:.4g} for {view.label}"
    return f"{network}: {run.name(label)}, {told}, margin {margin:.3g}{numbers}"


def _sentences(run: RunData, record: Record, view: WitnessView) -> tuple[str, ...]:
    """The change, the layer behind it, what attacks found."""
    moved = len(view.moved)
    features = f", {moved} feature{'' if moved == 1 else 's'} moved" if moved else ""
    told = [f"L1 change {cost_text(view)}{features}. Set {record.set.value}."]
    flip = run.evidence.flips.get(record.index)
    if flip:
        told.append(f"First layer whose rounding flips it: {flip}.")
    inside = [each for each in run.attacks.get(record.index, ()) if each.inside]
    if inside:
        names = ", ".join(f"{each.attack.partition(':')[0]} ({each.network})" for each in inside)
        told.append(f"Attacks that found one too: {names}.")
    return tuple(told)
