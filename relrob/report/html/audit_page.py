"""The page of `relrob audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from relrob.errors import how_many
from relrob.report.audit.places import help_of, measures
from relrob.report.audit.words import capital, diagnoses
from relrob.report.html import (
    classes,
    glossary,
    layers,
    pair,
    proofs,
    rows,
    runtimes,
    sets,
    worst,
)
from relrob.report.html.audit_data import AuditData
from relrob.report.html.images import Pictures
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
from relrob.report.html.provenance import network_lines
from relrob.report.html.provenance import section as of_run
from relrob.report.html.run_data import RunData
from relrob.report.html.run_page import tiles

_VERDICTS: Final = {
    "ship": ("Ship", Tone.GOOD),
    "do not ship": ("Do not ship", Tone.BAD),
    "cannot say": ("Cannot say", Tone.OPEN),
}
_RULES: Final = {
    "passed": Tone.GOOD,
    "failed": Tone.BAD,
    "cannot say": Tone.OPEN,
    "not measured": Tone.DIM,
}
_NAMED: Final = 10
_SINCE: Final = {
    "new": "newly lost images",
    "mended": "mended images",
    "still": "images lost before and now",
}


def audit_page(audit: AuditData, run: RunData | None, *more: Section) -> Page:
    """The whole page. `run`: of robustness, None where it was not run. `more`: sections behind the
    attacks, such as curves of radii."""
    document = audit.document
    evidence = None if run is None else run.evidence
    flips = ({}, "") if evidence is None else (evidence.flips, evidence.flips_told)
    layered = layers.section(document["weights"], *flips)
    looked = _Looked() if run is None else _robustness(run)
    return Page(
        **head_of(document, run),
        sections=(
            _rules(document),
            *_baseline(document),
            *looked.sets,
            *more,
            pair.section(document, audit.rows),
            *((layered,) if layered else ()),
            runtimes.section(document["runtimes"]),
            *looked.images,
            pair.others(audit.rows),
            _provenance(document, run),
            glossary.section(),
        ),
        footer=f"relrob {document['relrob']}. audit.json, images.csv and table.md beside this page "
        "hold the numbers, junit.xml and audit.sarif the rules.",
    )


def head_of(document: Mapping[str, Any], run: RunData | None) -> dict[str, Any]:
    """Verdict, sentences and tiles."""
    verdict, tone = _VERDICTS[document["verdict"]]
    networks = document["reference"], document["quantised"]
    agreement = document["pair"]["agreement"]
    failed = [rule for rule in document["rules"] if rule["verdict"] == "failed"]
    passed = sum(rule["verdict"] == "passed" for rule in document["rules"])
    told = [
        Tile(
            "rules passed",
            f"{passed} of {len(document['rules'])}",
            ", ".join(rule["id"] for rule in failed),
            Tone.BAD if failed else Tone.PLAIN,
        ),
        Tile(
            "labels agree",
            f"{100 * agreement['share']:.2f}%",
            f"{agreement['count']:,} of {how_many(agreement['of'], 'image')}",
        ),
        *_accuracy(document["pair"]),
    ]
    if run is not None:
        told += tiles(run.summary)[:3]
    return {
        "subject": "audit",
        "title": f"{networks[1]['path']} in place of {networks[0]['path']}",
        "verdict": verdict,
        "tone": tone,
        "sentences": (*_why(document), *map(capital, document["sentences"])),
        "tiles": tuple(told),
    }


def _why(document: Mapping[str, Any]) -> list[str]:
    """The verdict in a sentence for a reader who knows no rules."""
    rules = document["rules"]
    by = {
        verdict: [str(rule["id"]) for rule in rules if rule["verdict"] == verdict]
        for verdict in _RULES
    }
    new, old = _short(document)
    if document["verdict"] == "ship":
        return [f"By the policy, {new} may replace {old}: none of {len(rules)} rules failed."]
    if document["verdict"] == "cannot say":
        named = ", ".join(by["cannot say"])
        return [f"Whether {new} may replace {old} cannot be said: {named} cannot be decided."]
    named = ", ".join(by["failed"])
    return [
        f"By the policy, {new} may not replace {old}: "
        f"{len(by['failed'])} of {len(rules)} rules failed ({named})."
    ]


def _short(document: Mapping[str, Any]) -> tuple[str, str]:
    """The files of the quantised network and the reference, without folders where that tells them
    apart."""
    paths = [str(document[name]["path"]) for name in ("quantised", "reference")]
    names = [PurePath(path).name or path for path in paths]
    new, old = names if names[0] != names[1] else paths
    return new, old


def _accuracy(found: Mapping[str, Any]) -> list[Tile]:
    """Of both networks, where there are labels."""
    before, after = (found[name].get("accuracy") for name in ("reference", "quantised"))
    if before is None or after is None:
        return []
    change = 100 * (after["share"] - before["share"])
    note = f"{100 * before['share']:.2f}% before, {change:+.2f} points"
    return [Tile("accuracy after", f"{100 * after['share']:.2f}%", note)]


def _rules(document: Mapping[str, Any]) -> Section:
    """Every rule, and the diagnoses of the pair."""
    columns = ("rule", "verdict", "measured", "limit", "images", "what it measures", "what to do")
    lines = tuple(_rule(rule) for rule in document["rules"])
    path = document["policy"]["path"]
    blocks: list[Block] = [Table("Rules", tuple(map(Column, columns)), lines, stacked=True)]
    found = diagnoses(document)
    if found:
        blocks.append(
            Table(
                "Diagnoses of the pair",
                (Column("diagnosis"), Column("evidence"), Column("try")),
                tuple(
                    Line((str(each["id"]), str(each["sentence"]), str(each.get("hint", ""))))
                    for each in found
                ),
                stacked=True,
            )
        )
    else:
        blocks.append(Notes(("No fault of the pair was found.",)))
    skipped = document["robustness"].get("skipped")
    if skipped:
        blocks.append(Notes((f"Robustness was not run: {skipped}.",), Tone.OPEN))
    if document.get("baseline") is not None:
        blocks.append(
            Notes(
                (
                    "Measured since the baseline: what the last release had already, such as "
                    "images lost then and accuracy lost then, is no failure now. The numbers of "
                    "the pair itself stand in the sections below.",
                ),
                Tone.OPEN,
            )
        )
    whose = f"of {path}" if path else "of the default policy and the command"
    return Section("rules", "The rules", f"Every rule {whose}, passed ones too.", tuple(blocks))


def _rule(rule: Mapping[str, Any]) -> Line:
    name, images = str(rule["id"]), rule.get("images") or []
    named = ", ".join(map(str, images[:_NAMED]))
    more = f" and {len(images) - _NAMED:,} more" if len(images) > _NAMED else ""
    mend = help_of(name) if rule["verdict"] in ("failed", "cannot say") else ""
    return Line(
        (
            name,
            Cell(str(rule["verdict"]), _RULES[rule["verdict"]]),
            str(rule["sentence"]),
            str(rule["threshold"]),
            f"{named}{more}",
            measures(name),
            mend,
        )
    )


def _baseline(document: Mapping[str, Any]) -> tuple[Section, ...]:
    """What changed since the audit before; nothing without one."""
    old = document.get("baseline")
    if old is None:
        return ()
    pairs = [(told, _images(old[name])) for name, told in _SINCE.items() if name in old]
    intro = f"Compared with the audit in {old['path']}."
    return (Section("baseline", "Since the last release", intro, (Terms(tuple(pairs)),)),)


def _images(found: Sequence[Any]) -> str:
    """Numbers of images, or names."""
    whole = [each for each in found if isinstance(each, int)]
    return rows.ranges(whole) if whole else ", ".join(map(str, found)) or "none"


@dataclass(frozen=True)
class _Looked:
    """What stands on the page of the run: sections about its sets, and about its images."""

    sets: tuple[Section, ...] = ()
    images: tuple[Section, ...] = ()


def _robustness(run: RunData) -> _Looked:
    """Cards come before the strips and the rows: they get the room for pictures first."""
    pictures = Pictures(run)
    first = worst.section(run, pictures)
    return _Looked(
        (
            sets.section(run, pictures),
            first,
            classes.section(run),
            proofs.section(run.summary),
        ),
        (rows.section(run, pictures),),
    )


def _provenance(document: Mapping[str, Any], run: RunData | None) -> Section:
    """That of the run with the audit's own facts before it."""
    data, found = document["dataset"], document["robustness"]
    pairs = [("command", document["command"])] if document.get("command") else []
    pairs += [
        ("relrob", document["relrob"]),
        ("data set", f"{how_many(data['images'], 'image')} of {data['name']} {data['split']}"),
        ("data set sha256", data["sha256"]),
        ("labels", data["labels"]),
        ("sample", f"{how_many(found['images'], 'image')}, {found['rule']}"),
    ]
    for name in ("reference", "quantised"):
        pairs += network_lines(name, document[name])
    blocks: list[Block] = [Terms(tuple((name, str(text)) for name, text in pairs), code=True)]
    if run is not None:
        blocks += of_run(run).blocks
    return Section(
        "provenance",
        "Provenance",
        "With these files, versions and seeds the command gives the same verdicts again, as far "
        "as the time for each image suffices again.",
        tuple(blocks),
    )
