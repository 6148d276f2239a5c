"""The pages of studies: of runs, and of stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from relrob.report.html import glossary, lost
from relrob.report.html.charts import interval
from relrob.report.html.classes import FEWEST
from relrob.report.html.parts import (
    Block,
    Cell,
    Column,
    Line,
    Notes,
    Page,
    Section,
    Table,
    Terms,
    Tile,
    Tone,
)
from relrob.report.html.provenance import network_lines, region_text
from relrob.report.study.stage_text import GroupRows, shown
from relrob.report.study.table_rows import Rate, TableRow
from relrob.store.study_directory import CellResult, StudyHead

_JUDGED: Final = {
    "reproduced": Tone.GOOD,
    "not reproduced": Tone.BAD,
    "inconclusive": Tone.OPEN,
    "not run": Tone.OPEN,
}
# What would decide a claim.
_WANTED: Final = {
    "inconclusive": "Inconclusive ones need more images.",
    "not run": "Those not run wait for their stages: relrob study run goes on.",
}
# Rows of a group that have a place.
_MOST: Final = 500


def study_page(
    head: StudyHead,
    cells: Sequence[CellResult],
    rows: Sequence[TableRow],
    document: Mapping[str, Any],
) -> Page:
    """The page of a study of runs. `document`: that of `relrob study show --format json`."""
    return Page(
        **head_of(document),
        sections=(
            *_claims(document),
            _cells(rows),
            *_labels(rows),
            lost.section(cells),
            _provenance(head, cells),
            glossary.section(),
        ),
        footer=f"The directory of the study {head.study} holds the records of every image.",
    )


def stages_page(document: Mapping[str, Any], groups: Sequence[GroupRows], digest: str) -> Page:
    """The page of a study of stages. `document`: as above; `digest`: of the study's text."""
    pairs = (
        ("study", str(document["study"])),
        ("profile", str(document["profile"]) or "none"),
        ("sha256 of its text", digest),
        (
            "command",
            f"relrob study run {document['study']}"
            + (f" --profile {document['profile']}" if document["profile"] else ""),
        ),
    )
    return Page(
        **head_of(document),
        sections=(
            *_claims(document),
            _groups(groups),
            *(_group(place, group) for place, group in enumerate(groups) if group.rows),
            Section("provenance", "Provenance", "", (Terms(pairs, code=True),)),
            glossary.section(),
        ),
        footer=f"relrob study show prints the same numbers of {document['study']}.",
    )


def head_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict, sentences and tiles of a study's document."""
    claims = document["claims"]
    judged = Counter(claim["judgement"] for claim in claims)
    told = ", ".join(f"{count} {name}" for name in _JUDGED if (count := judged[name]))
    verdict, tone = _verdict(document, judged, len(claims))
    sentences = [f"{document['title']}."]
    if claims:
        sentences.append(f"Of {len(claims)} claims of the paper: {told}.")
        sentences += [text for name, text in _WANTED.items() if judged[name]]
    return {
        "subject": "study",
        "title": document["study"],
        "verdict": verdict,
        "tone": tone,
        "sentences": (*sentences, *_spread(document)),
        "tiles": tuple(_tiles(document, judged)),
    }


def _verdict(document: Mapping[str, Any], judged: Counter[str], claims: int) -> tuple[str, Tone]:
    """A few words, and their tone."""
    if not claims:
        parts = len(document.get("cells", document.get("groups", ())))
        return f"{document['study']}: {parts} {'cells' if 'cells' in document else 'groups'}", (
            Tone.PLAIN
        )
    groups = document.get("groups")
    if groups is not None and not any(group["done"] for group in groups):
        return "Nothing was run yet", Tone.OPEN
    if judged["not reproduced"]:
        tone = Tone.BAD
    else:
        tone = Tone.OPEN if judged["inconclusive"] or judged["not run"] else Tone.GOOD
    asked, against = claims - judged["not run"], judged["not reproduced"]
    of = f"{asked} claims that were run" if asked < claims else f"{claims} claims"
    words = f"{judged['reproduced']} of {of} reproduced"
    return f"{words}, {against} not reproduced" if against else words, tone


def _spread(document: Mapping[str, Any]) -> list[str]:
    """The least, the median and the greatest rate of the cells that tell one: those with enough
    robust images, none of them undecided."""
    cells = [cell["relative_robustness"] for cell in document.get("cells", ())]
    found = [
        cell["percent"]
        for cell in cells
        if cell["percent"] is not None and cell["whole"] >= FEWEST and not cell["undecided"]
    ]
    if not found:
        return []
    left = len(cells) - len(found)
    rest = f" (the other {left} have fewer, or undecided ones)" if left else ""
    return [
        f"In {len(found)} of {len(cells)} cells, those with at least {FEWEST} robust images and "
        f"none undecided{rest}, between {min(found):.1f} and {max(found):.1f} % of the robust "
        f"images stay robust after quantisation; the median is {median(found):.1f} %."
    ]


def _tiles(document: Mapping[str, Any], judged: Counter[str]) -> list[Tile]:
    tiles = [
        Tile(name, str(judged[name]), "claims", tone)
        for name, tone in _JUDGED.items()
        if document["claims"]
    ]
    cells, groups = document.get("cells"), document.get("groups")
    if cells is not None:
        unknown = sum(cell["unknown"] for cell in cells)
        tiles.append(Tile("cells", f"{len(cells):,}", "a region and a pair of networks each"))
        tiles.append(Tile("images", f"{sum(cell['images'] for cell in cells):,}", "in all cells"))
        tone = Tone.OPEN if unknown else Tone.PLAIN
        tiles.append(Tile("undecided", f"{unknown:,}", "never counted as lost or robust", tone))
    if groups is not None:
        done, stages = (sum(group[key] for group in groups) for key in ("done", "stages"))
        tone = Tone.OPEN if done < stages else Tone.PLAIN
        tiles.append(Tile("stages done", f"{done:,} of {stages:,}", "counted in each group", tone))
    return tiles


def _claims(document: Mapping[str, Any]) -> tuple[Section, ...]:
    """Every claim with its numbers; nothing for a study that repeats none."""
    claims = document["claims"]
    if not claims:
        return ()
    lines = tuple(
        Line(
            (
                str(claim["claim"]),
                Cell(str(claim["judgement"]), _JUDGED[claim["judgement"]]),
                str(claim["why"]),
            ),
            str(claim["judgement"]),
        )
        for claim in claims
    )
    keys = tuple(dict.fromkeys(line.key for line in lines))
    columns = (Column("claim"), Column("judgement"), Column("numbers"))
    table = Table("Claims", columns, lines, keys, "judgement", tall=len(lines) > 25, stacked=True)
    intro = "A judgement rests on intervals, so few images decide little, in either direction."
    return (Section("claims", "Claims of the paper", intro, (table,)),)


def _cells(rows: Sequence[TableRow]) -> Section:
    """A row for each run."""
    columns = (
        Column("grid"),
        Column("region"),
        Column("runtime"),
        Column("radius", True),
        Column("step", True),
        Column("images", True),
        Column("relative robustness", hint="kept of the robust images; published"),
        Column("adversarial transfer", hint="what fools both; published"),
        Column("fooled", hint="the reference, of all images; published"),
        Column("undecided", True),
    )
    lines = tuple(
        Line(
            (
                row.grid,
                row.described,
                row.runtime,
                str(row.radius),
                "" if row.step is None else str(row.step),
                f"{row.images:,}",
                *(_rate(each) for each in (row.robustness, row.transfer, row.fooled)),
                Cell(f"{row.unknown:,}", Tone.OPEN if row.unknown else Tone.PLAIN),
            ),
            row.grid,
        )
        for row in rows
    )
    keys = tuple(dict.fromkeys(row.grid for row in rows))
    blocks: tuple[Block, ...] = (Table("All cells", columns, lines, keys, "grid", tall=True),)
    return Section(
        "cells",
        "The cells",
        "Points are rates, bars their 95 % intervals. Undecided images widen them from the least "
        f"to the greatest that they allow. Nothing is drawn for fewer than {FEWEST} images.",
        blocks,
    )


def _rate(rate: Rate) -> Cell:
    """A rate with its interval and the published one."""
    ends, bounds, whole = rate.interval, rate.bounds, rate.images.whole
    if ends is None or bounds is None:
        return Cell("no image", Tone.DIM)
    low, high = bounds
    told = f"{low:.1f}%" if low == high else f"{low:.1f} to {high:.1f}%"
    told += f" of {whole:,}"
    if rate.published is not None:
        told += f"; published {rate.published:.1f}%"
    tone = Tone.BAD if rate.agrees is False else Tone.PLAIN
    if whole < FEWEST:
        return Cell(told, tone)
    value = None if rate.percent is None else rate.percent / 100
    drawn = interval((ends[0] / 100, ends[1] / 100), value, tone or Tone.PLAIN, told)
    return Cell(told, tone, chart=drawn)


def _labels(rows: Sequence[TableRow]) -> tuple[Section, ...]:
    """Images on which the reference is fooled, label by label."""
    labels = sorted({label for row in rows for label in row.by_label})
    if not labels or len(labels) > 50:
        return ()
    lines = tuple(
        Line((row.name, row.grid, *(_label(row.by_label.get(label)) for label in labels)))
        for row in rows
    )
    columns = (
        Column("cell"),
        Column("grid"),
        *(Column(str(label), True) for label in labels),
    )
    table = Table("Share of images fooled, %", columns, lines, tall=len(lines) > 15)
    intro = f"Of the reference. Classes with fewer than {FEWEST} images are left open."
    return (Section("labels", "Class by class", intro, (table,)),)


def _label(rate: Rate | None) -> Cell:
    ends = None if rate is None else rate.bounds
    if rate is None or ends is None or rate.images.whole < FEWEST:
        return Cell("few", Tone.DIM)
    low, high = ends
    return Cell(f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}")


def _groups(groups: Sequence[GroupRows]) -> Section:
    """How far each group was run."""
    lines = tuple(
        Line(
            (
                Cell(group.group, link=f"group-{place}" if group.rows else ""),
                group.kind,
                Cell(
                    f"{group.done:,} of {group.stages:,}",
                    Tone.OPEN if group.done < group.stages else Tone.PLAIN,
                ),
                f"{len(group.rows):,}",
            )
        )
        for place, group in enumerate(groups)
    )
    columns = (
        Column("group"),
        Column("kind"),
        Column("stages done", True),
        Column("rows", True),
    )
    table = Table("Groups of stages", columns, lines, tall=len(lines) > 25)
    return Section("groups", "The groups", "Each group of stages, finished or not.", (table,))


def _group(place: int, group: GroupRows) -> Section:
    """The rows of a group of stages."""
    columns = group.columns
    numeric = [
        all(isinstance(row.get(name), int | float | None) for row in group.rows) for name in columns
    ]
    lines = tuple(
        Line(tuple(shown(row.get(name)) for name in columns)) for row in group.rows[:_MOST]
    )
    blocks: list[Block] = []
    if lines:
        named = tuple(Column(*pair) for pair in zip(columns, numeric, strict=True))
        blocks.append(Table(f"Rows of {group.group}", named, lines, tall=len(lines) > 15))
    more = len(group.rows) - len(lines)
    if more:
        told = f"{more:,} more rows: relrob study show --format csv prints all of them."
        blocks.append(Notes((told,)))
    intro = f"{group.done:,} of {group.stages:,} stages of the kind {group.kind} are done."
    return Section(f"group-{place}", group.group, intro, tuple(blocks))


def _provenance(head: StudyHead, cells: Sequence[CellResult]) -> Section:
    """The study's text, and of each kind of cell the files."""
    pairs = [
        ("study", head.study),
        ("sha256 of its text", head.sha256),
        ("command", f"relrob study run {head.study}"),
    ]
    seen = dict[tuple[str, str], None]()
    for cell in cells:
        document = cell.summary.header.json()
        for name in ("reference", "quantised"):
            seen |= dict.fromkeys(network_lines(f"{cell.grid}: {name}", document[name]))
    pairs += list(seen)
    regions = dict.fromkeys(region_text(cell.summary.header.region) for cell in cells)
    pairs.append(("regions", "; ".join(regions)))
    return Section("provenance", "Provenance", "", (Terms(tuple(pairs), code=True),))
