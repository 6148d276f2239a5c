"""The page of `relrob verify`."""

from __future__ import annotations

from typing import Any

from relrob.errors import how_many
from relrob.report.html import classes, glossary, layers, proofs, provenance, rows, sets, worst
from relrob.report.html.images import Pictures
from relrob.report.html.parts import Page, Section, Tile, Tone
from relrob.report.html.run_data import RunData
from relrob.report.run.rates import counted, headline, percent, share, span, ties, undecided
from relrob.report.run.wording import facts, meaning
from relrob.store.proportions import Proportion
from relrob.store.summary import Summary


def run_page(run: RunData, *more: Section) -> Page:
    """The whole page. `more`: sections that come behind the attacks, such as curves of radii."""
    pictures = Pictures(run)
    found = run.evidence
    layered = layers.section(found.weights, found.flips, found.flips_told)
    # Cards come before the strips and the rows: they get the room for pictures first.
    first = worst.section(run, pictures)
    sections = (
        sets.section(run, pictures),
        first,
        classes.section(run),
        *((layered,) if layered else ()),
        proofs.section(run.summary),
        *more,
        rows.section(run, pictures),
        provenance.section(run),
        glossary.section(),
    )
    return Page(
        **head_of(run.summary),
        sections=sections,
        footer=f"relrob {run.summary.header.relrob}, run {run.summary.header.run[:16]}. "
        "summary.json, images.csv and table.md beside this page hold the numbers.",
    )


def head_of(summary: Summary) -> dict[str, Any]:
    """Verdict, sentences and tiles."""
    verdict, tone = judged(summary)
    header = summary.header
    return {
        "subject": "verify",
        "title": f"{header.quantised.path} against {header.reference.path}",
        "verdict": verdict,
        "tone": tone,
        "sentences": tuple(_sentences(summary)),
        "tiles": tuple(tiles(summary)),
    }


def judged(summary: Summary) -> tuple[str, Tone]:
    """A few words, and their tone."""
    sets, open_ = summary.sets, summary.undecided
    if not sets.robust:
        if open_.reference:
            return "Undecided: no image is known to be robust before quantisation", Tone.OPEN
        return "No image is robust before quantisation, so none can be lost", Tone.OPEN
    of = how_many(sets.robust, "image")
    if summary.header.region.kind == "search":
        return f"Nothing is proved: a search fools {sets.lost:,} of {of} after quantisation", (
            Tone.BAD if sets.lost else Tone.OPEN
        )
    if sets.lost:
        return f"Robustness is lost on {sets.lost:,} of {of}", Tone.BAD
    if open_.robust_unknown:
        left = f"{open_.robust_unknown:,} undecided"
        return f"Robustness is kept on {sets.both_robust:,} of {of}, {left}", Tone.OPEN
    if open_.reference:
        return f"Robustness is kept on all {of} that are known to be robust", Tone.OPEN
    whole = "the one image" if sets.robust == 1 else f"all {of}"
    return f"Robustness is kept on {whole}", Tone.GOOD


def _sentences(summary: Summary) -> list[str]:
    """The headline, then what it means."""
    region = dict(facts(summary))["region"]
    told = [
        headline(summary),
        f"Robust means that no image of the region fools the network. The region: {region}.",
    ]
    if summary.sets.lost:
        told.append(
            "On a lost image the full-precision network withstands every change in the region, "
            "and the network that would be deployed does not: the change is shown below."
        )
    return [*told, *undecided(summary), *ties(summary)[:1], meaning(summary)]


def tiles(summary: Summary) -> list[Tile]:
    """The numbers that readers look for."""
    sets, shares = summary.sets, summary.shares
    before, after = summary.header.reference.accuracy, summary.header.quantised.accuracy
    found = [
        _rate("relative robustness", shares["R_Q^FP"], "no robust image"),
        Tile(
            "lost images",
            f"{sets.lost:,}",
            "robust before, fooled after",
            Tone.BAD if sets.lost else Tone.PLAIN,
        ),
        Tile(
            "undecided images",
            f"{sets.unknown:,}",
            f"of {sets.right:,}",
            Tone.OPEN if sets.unknown else Tone.PLAIN,
        ),
        _rate("adversarial transfer", shares["R^0"], "reference never fooled"),
    ]
    if before is not None and after is not None:
        change = f"{percent(before)} before, {100 * (after - before):+.2f} points"
        found.append(Tile("accuracy after", percent(after), change))
    return found


def _rate(name: str, proportion: Proportion, empty: str) -> Tile:
    ends = proportion.interval
    if ends is None:
        return Tile(name, "none", empty)
    return Tile(name, share(proportion), f"{counted(proportion)}; 95 %: {span(ends)}")
