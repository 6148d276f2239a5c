"""The page of `relrob radius`, and its curves for the pages of runs and audits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup

from relrob.domain.radius import Compared, Interval, RadiusRecord
from relrob.domain.record import NETWORKS, WitnessView
from relrob.report.class_names import class_name
from relrob.report.html import charts, curves
from relrob.report.html.images import amplified, levels_of
from relrob.report.html.parts import (
    Block,
    Card,
    Cards,
    Cell,
    Column,
    Line,
    Notes,
    Page,
    Picture,
    Section,
    Table,
    Terms,
    Tile,
    Tone,
)
from relrob.report.html.provenance import network_lines
from relrob.report.html.rows import ranges
from relrob.report.html.run_data import FIRST
from relrob.report.html.thumbnails import Room, levels
from relrob.report.radius import words
from relrob.report.run.picture import difference_levels
from relrob.store.radius_reading import RadiusData
from relrob.store.radius_summary import RadiusSummary

MOST: Final = 12  # cards
ROWS: Final = 2000
_TONES: Final = {
    Compared.LESS: Tone.BAD,
    Compared.SAME: Tone.GOOD,
    Compared.MORE: Tone.GOOD,
    Compared.OPEN: Tone.OPEN,
}
_BADGES: Final = {
    Compared.LESS: "less robust",
    Compared.SAME: "as robust",
    Compared.MORE: "more robust",
    Compared.OPEN: "open",
}
_TERMS: Final = (
    (
        "critical radius",
        "The radius from which on the region around an image holds an image that the network gets "
        "wrong. The larger, the more robust.",
    ),
    (
        "proved",
        "A radius in whose whole region the network gives the true class to every image, shown by "
        "a sound solver. The critical radius is above it.",
    ),
    (
        "broken",
        "The distance of an image that the network gets wrong, a witness, which was replayed on "
        "the network's runtime. The critical radius is at most that.",
    ),
    (
        "undecided",
        "What lies between proved and broken: the time limit did not suffice. It is counted as "
        "neither.",
    ),
    (
        "less, as, more robust",
        "Said where it is certain: one network has a witness inside a region in which the other "
        "was proved; or both lie between the same two radii.",
    ),
    (
        "cost",
        "The reference's critical radius less the quantised network's: what quantisation took.",
    ),
    (
        "median",
        "Half of the images have a smaller critical radius. It is an interval where the radii are.",
    ),
)


def radius_page(data: RadiusData) -> Page:
    """The whole page."""
    summary = data.summary
    room = Room()
    shown = _worst(data, room)
    return Page(
        **head_of(summary),
        sections=(
            Section(
                "radii",
                "Radius by radius",
                "How much of the robustness is left at each radius, before and after quantisation.",
                tuple(curves.blocks(summary)),
            ),
            shown,
            _images(data, room),
            _provenance(data),
            Section("glossary", "Words", "", (Terms(_TERMS),)),
        ),
        footer=f"relrob {summary.header['relrob']}. radius.json, radius.csv and radius.md beside "
        "this page hold the numbers, radius.svg and radius.pdf the printed figure.",
    )


def curves_section(data: RadiusData, place: str, run: frozenset[int]) -> Section:
    """The curves on the page of a run or an audit. `place`: the directory of the search; `run`: the
    images of the run."""
    summary = data.summary
    images = [record.index for record in summary.records]
    both = len(run.intersection(images))
    facts = dict(words.facts(summary))
    told = (
        f"From the search in {place}/ (relrob radius) for the same two networks and the same data "
        f"set, with a region of its own: {facts['region']}; {facts['time limit']}. Its images are "
        f"{ranges(images)}; {both:,} of these {len(images):,} are images of this run."
    )
    return Section(
        "radii",
        "Radius by radius",
        words.headline(summary),
        (*curves.blocks(summary), Notes((told,))),
    )


def missing_section(place: str, reason: str) -> Section:
    """In the place of curves that cannot be shown, the reason."""
    told = f"The search in {place}/ is not shown: {reason}"
    return Section("radii", "Radius by radius", "", (Notes((told,), Tone.OPEN),))


def head_of(summary: RadiusSummary) -> dict[str, Any]:
    """Verdict, sentences and tiles."""
    head = summary.header
    verdict, tone = judged(summary)
    told = [words.headline(summary), *_meaning(summary)]
    return {
        "subject": "radius",
        "title": f"{head['quantised']['path']} against {head['reference']['path']}",
        "verdict": verdict,
        "tone": tone,
        "sentences": tuple(told),
        "tiles": tuple(_tiles(summary)),
    }


def judged(summary: RadiusSummary) -> tuple[str, Tone]:
    """A few words, and their tone."""
    n, found = len(summary.asked), summary.compared
    if not n:
        return "Nothing to compare: the reference gets no image right", Tone.OPEN
    of = f"{n:,} image{'' if n == 1 else 's'}"
    if found[Compared.LESS]:
        return f"Less robust after quantisation on {found[Compared.LESS]:,} of {of}", Tone.BAD
    whole = "the one image" if n == 1 else f"all {of}"
    if found[Compared.OPEN] == n:
        return f"Undecided on {whole}: more robust or less, nothing is certain", Tone.OPEN
    if found[Compared.OPEN]:
        return f"No certain loss; {found[Compared.OPEN]:,} of {of} are open", Tone.OPEN
    return f"At least as robust after quantisation on {whole}", Tone.GOOD


def _meaning(summary: RadiusSummary) -> list[str]:
    """What the numbers are about, for a reader who knows no radii."""
    if not summary.asked:
        return []
    return [
        "The critical radius of an image is how far it can be changed before the network first "
        f"gets it wrong, measured in {words.norm(summary)}. It is proved from below, and shown by "
        "an image that fools the network from above.",
    ]


def _tiles(summary: RadiusSummary) -> list[Tile]:
    """The medians, the cost, and how much was decided."""
    n, found = len(summary.asked), summary.compared
    if not n:
        return []
    tiles = [
        Tile(
            f"median radius, {name}",
            words.span(summary.median(name)),
            f"{summary.decided(name):,} of {n:,} images decided",
        )
        for name in NETWORKS
    ]
    tiles.append(Tile("median cost", words.span(summary.cost), "reference less quantised"))
    less, open_ = found[Compared.LESS], found[Compared.OPEN]
    tone = Tone.BAD if less else Tone.PLAIN
    tiles.append(Tile("certainly less robust", f"{less:,}", f"of {n:,} images", tone))
    tone = Tone.OPEN if open_ else Tone.PLAIN
    tiles.append(Tile("open", f"{open_:,}", f"of {n:,} images: the intervals overlap", tone))
    return tiles


def _worst(data: RadiusData, room: Room) -> Section:
    """Cards of the images that certainly lost most."""
    lost = [record for record in data.summary.asked if record.compared is Compared.LESS]
    lost.sort(key=lambda record: (-(record.cost[0] or 0), record.index))
    cards = [card for record in lost[:MOST] if (card := _card(data, record, room))]
    blocks: list[Block] = [Cards(tuple(cards))] if cards else []
    more = len(lost) - len(cards)
    if more:
        blocks.append(Notes((f"{more:,} more such images stand in the table below.",)))
    if not lost:
        blocks.append(Notes(("On no image is the quantised network certainly less robust.",)))
    return Section(
        "worst",
        "The largest losses",
        "The image shown fools the quantised network, inside a region in which the reference was "
        "proved right; it was replayed on the network itself. The largest certain loss comes "
        "first.",
        tuple(blocks),
    )


def _card(data: RadiusData, record: RadiusRecord, room: Room) -> Card | None:
    """An image and its witness."""
    view = data.witnesses(record.index).get("quantised")
    if view is None or record.compared is None:
        return None
    name = _named(data)
    alt = f"image {record.index}"
    pictures = (
        (Picture(room.take(levels_of(view)), alt), "original"),
        (Picture(room.take(levels(view.perturbed, view.shape)), f"{alt}, perturbed"), _said(view)),
        (
            Picture(
                room.take(difference_levels(view)), f"{alt}: darker pixels blue, brighter orange"
            ),
            amplified(view),
        ),
    )
    cost = words.row(record)[4]
    return Card(
        f"Image {record.index}, class {name(record.label)}",
        _BADGES[record.compared],
        _TONES[record.compared],
        pictures,
        (),
        (
            f"Critical radius: {words.interval(record.reference)} before, "
            f"{words.interval(record.quantised)} after quantisation. Lost: {cost}.",
        ),
    )


def _said(view: WitnessView) -> str:
    return f"perturbed: the quantised network says {view.quantised_label}"


def _named(data: RadiusData) -> Callable[[int], str]:
    """Label to the name of the class."""
    classes = data.summary.header["dataset"].get("classes") or ()
    return lambda label: class_name(label, tuple(map(str, classes)))


def _images(data: RadiusData, room: Room) -> Section:
    """A row for each image, which can be filtered and sorted."""
    summary = data.summary
    most = curves.end(summary)
    ordered = sorted(summary.records, key=lambda record: record.index)
    lines = tuple(
        _line(data, record, most, room if place < FIRST else None)
        for place, record in enumerate(ordered[:ROWS])
    )
    columns = (
        Column("image", True),
        Column("class"),
        Column("quantised is"),
        Column("critical radius", True, "reference"),
        Column("critical radius", True, "quantised"),
        Column("cost", True),
        Column("proved, then up to broken", hint=f"0 to {most:.3g}; above: reference"),
        Column("found by", hint="proof, witness"),
        Column("why undecided"),
    )
    keys = tuple(dict.fromkeys(line.key for line in lines))
    blocks: list[Block] = [Table("All images", columns, lines, keys, "quantised is", tall=True)]
    if len(ordered) > ROWS:
        left = ranges(record.index for record in ordered[ROWS:])
        blocks.append(Notes((f"No row here, a line each in radius.csv: images {left}.",)))
    if room.left_out:
        told = f"{room.left_out:,} pictures were left out to keep the page small."
        blocks.append(Notes((told,)))
    return Section(
        "images",
        "Every image",
        "The critical radius is above the first number, which was proved, and at most the second, "
        "at which an image that fools the network was replayed.",
        tuple(blocks),
    )


def _line(data: RadiusData, record: RadiusRecord, most: float, room: Room | None) -> Line:
    name = _named(data)
    views = data.witnesses(record.index) if room else {}
    shown = None
    if room and views:
        first = next(iter(views.values()))
        shown = Picture(room.take(levels_of(first)), f"image {record.index}")
    cells = words.row(record)
    word = "wrong itself" if record.compared is None else _BADGES[record.compared]
    tone = Tone.DIM if record.compared is None else _TONES[record.compared]
    pair = [each for each in (record.reference, record.quantised) if each is not None]
    by = [f"{each.proved_by or '-'}, {each.broken_by or '-'}" for each in pair]
    reasons = dict.fromkeys(each.reason for each in pair if each.reason)
    return Line(
        (
            Cell(cells[0], picture=shown),
            name(record.label),
            Cell(word, tone),
            *cells[2:5],
            Cell("", chart=_bars(record, most)) if pair else "",
            "; ".join(dict.fromkeys(by)),
            "; ".join(reasons),
        ),
        word,
        f"i{record.index}",
    )


def _bars(record: RadiusRecord, most: float) -> Markup:
    """Both intervals on one scale: proved is full, up to broken is faint."""
    width, drawn = 120.0, ""
    for place, name in enumerate(NETWORKS):
        found: Interval = getattr(record, name)
        low = float(found.proved or 0) / most * width
        high = width if found.broken is None else float(found.broken) / most * width
        y, tone = 1.0 + 7 * place, curves.TONES[name] or "plain"
        drawn += charts.rect(0, y, max(low, 0.5), 5, tone)
        if high > low:
            drawn += charts.rect(low, y, high - low, 5, f"{tone}-soft")
    told = ", ".join(f"{name} {words.interval(getattr(record, name))}" for name in NETWORKS)
    return charts.svg(width, 14, told, drawn, "cell")


def _provenance(data: RadiusData) -> Section:
    """Facts, notes and digests."""
    summary, head = data.summary, data.summary.header
    pairs = [("relrob", str(head["relrob"])), ("search", str(head["run"]))]
    pairs.append(("data set sha256", str(head["dataset"]["sha256"])))
    pairs.append(("images", str(head["dataset"].get("indices", "")) or "not recorded"))
    for name in NETWORKS:
        pairs += network_lines(name, head[name])
    pairs.append(("solver", str(data.config.get("solver", "not recorded"))))
    attacks = data.config.get("radius", {}).get("attacks")
    pairs.append(("attacks", f"{attacks}" if attacks else "none"))
    checks = sum(record.spot_checks for record in summary.records)
    alarm = f"Alarm: silent. {checks:,} spot checks of proved regions, none against."
    return Section(
        "provenance",
        "Provenance",
        "",
        (
            Terms(tuple(words.facts(summary))),
            Notes((alarm,), Tone.GOOD),
            Notes(tuple(words.notes(summary))),
            Terms(tuple(pairs), code=True),
        ),
    )
