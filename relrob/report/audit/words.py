"""An audit in words: lines for the terminal and a page of Markdown from the same sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relrob.errors import how_many, printable
from relrob.report.run.table import escape

COLUMNS: Final = 80
# Columns that a rule's sentence needs beside its name.
_BESIDE: Final = 30
MARK = {"passed": "passed", "failed": "FAILED", "cannot say": "cannot say", "not measured": "-"}


def capital(text: str) -> str:
    """With a capital letter, and a full stop."""
    told = printable(text)
    return f"{told[:1].upper()}{told[1:]}{'' if told.endswith('.') else '.'}" if told else ""


def terminal(document: Mapping[str, Any], columns: int = COLUMNS) -> str:
    """The verdict, the sentences, and a line for each rule, in lines of at most `columns`
    columns."""
    lines = [document["verdict"].upper(), ""]
    lines += [_filled(capital(sentence), columns) for sentence in document["sentences"]]
    lines += [_filled(f"  {diagnosis_line(each)}", columns, "    ") for each in diagnoses(document)]
    lines.append("")
    width = max((len(rule["id"]) for rule in document["rules"]), default=0)
    mark = max((len(MARK[rule["verdict"]]) for rule in document["rules"]), default=0)
    for rule in document["rules"]:
        told, said = MARK[rule["verdict"]], printable(rule["sentence"])
        head = f"{told:<{mark}}  {rule['id']:<{width}}  "
        if len(head) + _BESIDE > columns:
            lines += [_filled(f"{told}: {rule['id']}", columns, "  ")]
            lines += [_filled(f"  {said}", columns, "  ")]
        else:
            lines.append(_filled(head + said, columns, " " * len(head)))
    return "\n".join(lines)


def _filled(text: str, columns: int, after: str = "") -> str:
    """Lines of at most `columns` columns where words allow; the second and later ones begin with
    `after`."""
    return textwrap.fill(
        text, columns, subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    )


def diagnoses(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Those of the pair."""
    listed: Sequence[Mapping[str, Any]] = document["pair"].get("diagnosis", [])
    return listed


def diagnosis_line(diagnosis: Mapping[str, Any]) -> str:
    """A diagnosis with its hint."""
    hint = f" (try: {diagnosis['hint']})" if diagnosis.get("hint") else ""
    return printable(f"{diagnosis['id']}: {diagnosis['sentence']}{hint}")


def markdown(document: Mapping[str, Any]) -> str:
    """table.md."""
    reference, quantised = document["reference"], document["quantised"]
    parts = [
        f"# relrob audit: {document['verdict']}",
        *(escape(capital(sentence)) for sentence in document["sentences"]),
        _table(
            ("rule", "measured", "verdict"),
            [(each["id"], each["sentence"], MARK[each["verdict"]]) for each in document["rules"]],
        ),
    ]
    found = diagnoses(document)
    if found:
        rows = [(each["id"], each["sentence"], each.get("hint", "")) for each in found]
        parts.append(_table(("diagnosis", "evidence", "try"), rows))
    data = document["dataset"]
    facts = [
        ("reference", f"{reference['path']} ({reference['sha256'][:16]})"),
        (
            "quantised",
            f"{quantised['path']} ({quantised['sha256'][:16]}), scheme {quantised['scheme']}, "
            f"run by {quantised['runtime']}",
        ),
        ("images", f"{data['images']:,} of {data['name']} {data['split']}"),
    ]
    parts.append(_table(("", ""), [*facts, *_robustness(document)]))
    return "\n\n".join(parts) + "\n"


def _robustness(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts of the run, where there was one."""
    found = document["robustness"]
    if found.get("skipped"):
        return [("robustness", f"not run: {found['skipped']}")]
    region = document["region"]
    step = f", step {region['exact']['step']}" if "step" in region["exact"] else ""
    low_high = found.get("relative_robustness_bounds")
    bounds = f"{100 * low_high[0]:.1f} to {100 * low_high[1]:.1f}%" if low_high else "not counted"
    sets = found["sets"]
    return [
        ("region", f"{region['kind']}, radius {region['exact']['radius']}{step}"),
        (
            "sampled",
            f"{how_many(found['images'], 'image')}, {found['time_limit']:g} s for each and each "
            "network",
        ),
        ("sets", ", ".join(f"{name} {count}" for name, count in sets.items())),
        ("relative robustness", bounds),
        *_attacks(document["attacks"]),
    ]


def _attacks(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line for each attack that was tried."""
    lines = []
    for each in found.get("each", ()):
        told = []
        for name in ("reference", "quantised"):
            on = each[name]
            nearest = (
                "" if on["nearest"] is None else f", nearest {on['nearest']:.3g} {each['norm']}"
            )
            told.append(
                f"{name}: fooled inside the region on {on['witnessed']} of {on['attacked']}, "
                f"anywhere on {on['found']}{nearest}"
            )
        lines.append((f"attack {each['label']}", "; ".join(told)))
    return lines


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(escape(printable(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
