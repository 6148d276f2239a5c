"""The page of a report of a study of stages: README.md, and summary.json with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from relrob.report.run.table import escape
from relrob.report.study.stage_rows import UNIT
from relrob.report.study.stage_text import GroupRows, shown
from relrob.report.study.text import claims_json, claims_markdown
from reports.made import captioned
from reports.stage_records import INDEX_FILE, LEFT_OUT, RECORDS, STAGES, Run

# The columns of the page, of those that a group has; tables.csv has all. A name that ends in "_"
# stands for all that begin with it.
METRICS: Final = (
    *("accuracy", "density", "adversarial_accuracy", "transfer_rate", "targeted_rate"),
    *("evasion_rate", "fooling", "l0", "l2", "linf", "unrecognisable", "weights_", "activations_"),
)
_OTHER: Final = tuple(f"target.{name}" for name in UNIT)
PICTURES: Final = {
    "zhao2018": (
        (
            "accuracy-by-density.svg",
            "Accuracy against the density of pruned networks, without attack and in the three "
            "scenarios: the paper's Figure 2. A point is the mean of seeds and runs, a bar reaches "
            "from the least to the greatest seed.",
        ),
        ("accuracy-by-width.svg", "The same against the width of quantised ones: Figure 5."),
        (
            "*-by-parameters.svg",
            "Accuracy under attack against density, by the attack's parameters: Figure 3.",
        ),
        (
            "attack-by-base-accuracy.svg",
            "Accuracy under attack against that without attack, pruned networks: Figure 4.",
        ),
        (
            "distributions.svg",
            "Cumulative distributions of weights and activations by width: Figure 6.",
        ),
    ),
    "matachana2020": (
        (
            "uer-by-eps.svg",
            "Universal evasion rate (UER), the share of images that the perturbation of a network "
            "makes it get wrong, against eps: the paper's Figure 1.",
        ),
        ("transfer-matrix.svg", "UER of each network's perturbation on each other: Figure 2."),
        (
            "targeted-by-label.svg",
            "Targeted success rate (TSR), the share that gets the target's label: Figure 3.",
        ),
    ),
    "shrestha2024": (
        (
            "attacks-by-bits-*.svg",
            "Accuracy under attack and L2 of successes by width: the paper's Table 6 (hollow: "
            "published). A point is the mean of seeds and runs, a bar reaches from the least to "
            "the greatest seed.",
        ),
        (
            "weights-1-bit.svg",
            "Cumulative distribution of the weights at full precision and 1 bit: Figure 1.",
        ),
        (
            "boundary-way-*.svg",
            "The Boundary attack after more and more iterations: Figure 3. Above a picture stand "
            "the label that the network gives it and its L2 distance. Images of CIFAR-10 may not "
            "be published, so all pictures are of MNIST.",
        ),
        ("boundary-by-width-*.svg", "Full precision and 1 bit after 100 iterations: Figure 4."),
        ("boundary-longer-*.svg", "1 bit after 1,000 iterations, 200 at full precision: Figure 5."),
        ("fgsm-small-*.svg", "FGSM with eps 0.1 at full precision: Figure 7."),
    ),
}


def page(run: Run, facts: Mapping[str, Any], drawn: Iterable[str], note: str) -> str:
    """README.md. `facts`: provenance.json; `note`: what was written by hand, "" for nothing."""
    study, profile = facts["study"], facts["profile"]
    left = [each.group for each in run.groups if each.done < each.stages]
    words = [f"relrob study run {study}"] + ([f"--profile {profile}"] if profile else [])
    lines = [
        f"# {escape(run.index['title'])}",
        "",
        f"Made by `{' '.join(words)}` and `python -m reports.stages`; provenance.json says with "
        "what.",
        f"{facts['finished']:,} of {facts['stages']:,} stages are finished, "
        f"{facts['minutes_of_work']:,} minutes of work of one worker.",
        *_unfinished(left),
        "",
        *_claims(run),
        *_scaled(facts),
        "## What was run",
        "",
        "A stage counts in each group that has it, and its minutes in the first. tables.csv has "
        "the rows.",
        "",
        "| group | kind | stages | images | minutes |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, entry in facts["groups"].items():
        images = ", ".join(f"{count:,}" for count in entry["images"])
        count = f"{entry['done']} of {entry['stages']}"
        minutes = f"{entry['minutes']:,}"
        lines.append(f"| {escape(name)} | {entry['kind']} | {count} | {images} | {minutes} |")
    lines += ["", *(["## Notes", "", note.rstrip("\n"), ""] if note.strip() else [])]
    pictures = captioned(PICTURES.get(run.index["report"], ()), sorted(drawn))
    some = ["They show what there is of groups that are not finished.", ""] if left else []
    lines += ["## Figures", "", *some, *pictures] if pictures else []
    lines += [*_results(run), *_kept(facts)]
    return "\n".join(lines).rstrip("\n") + "\n"


def summary(run: Run, facts: Mapping[str, Any]) -> dict[str, Any]:
    """summary.json: the claims, and of each group what the page shows."""
    axes = axes_of(run.index)
    return {
        "study": facts["study"],
        "profile": facts["profile"],
        "title": run.index["title"],
        "claims": claims_json(run.claims),
        "groups": [
            {
                "group": each.group,
                "kind": each.kind,
                "stages": each.stages,
                "done": each.done,
                "means": means(each, axes[each.group]),
            }
            for each in run.groups
        ],
    }


def summary_json(run: Run, facts: Mapping[str, Any]) -> str:
    """The text of summary.json, a line for each mean."""
    return json.dumps(summary(run, facts), indent=1, allow_nan=False) + "\n"


def means(group: GroupRows, every: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of a group, those that differ in seed and run as one: the axes, the number of
    `rows`, and the mean of each metric that one of them has. `every`: the names of the axes.

    A row on a network of another seed or run says so: "other" in place of that seed.
    """
    axes = [name for name in every if name not in UNIT]
    # An attack's examples transfer to its own network by definition.
    own = ("transfer_rate",) if group.kind == "attack" else ()
    metrics = [name for name in group.columns if _is_metric(name) and name not in (*axes, *own)]
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in group.rows:
        found.setdefault(tuple(_value(row, name) for name in axes), []).append(row)
    lines = []
    for key, rows in found.items():
        line: dict[str, Any] = {**dict(zip(axes, key, strict=True)), "rows": len(rows)}
        for name in metrics:
            values = [row[name] for row in rows if row.get(name) is not None]
            line[name] = round(sum(values) / len(values), 6) if values else None
        lines.append(line)
    return lines


def axes_of(index: Mapping[str, Any]) -> dict[str, list[str]]:
    """Group to the names of the axes of its stages. `index`: pipeline.json."""
    found: dict[str, dict[str, None]] = {}
    for entry in index["stages"]:
        found.setdefault(entry["group"], {}).update(dict.fromkeys(entry["axes"]))
    return {group: [*names] for group, names in found.items()}


def _is_metric(name: str) -> bool:
    return name in METRICS or any(name.startswith(m) for m in METRICS if m.endswith("_"))


def _value(row: Mapping[str, Any], name: str) -> Any:
    """The value of an axis; of a seed beside another, whether it is the same."""
    if name in _OTHER:
        return "same" if row.get(name) == row.get(name.partition(".")[2]) else "other"
    return row.get(name)


def _unfinished(left: Sequence[str]) -> list[str]:
    if not left:
        return []
    return [
        "",
        f"**Not finished:** {', '.join(map(escape, left))}. A claim is judged by the rows that "
        "there are, and one that has none is not run.",
    ]


def _claims(run: Run) -> list[str]:
    claims = run.claims
    if not claims:
        return []
    judged = [claim.judgement.value for claim in claims]
    told = ", ".join(f"{judged.count(name)} {name}" for name in dict.fromkeys(sorted(judged)))
    head, blank, *table = claims_markdown(claims)
    return [head, blank, f"{len(claims)} claims: {told}.", "", *table]


def _scaled(facts: Mapping[str, Any]) -> list[str]:
    if not facts["scaled_down"]:
        return []
    lines = [
        "## What was scaled down",
        "",
        f"The profile `{facts['profile']}` beside `full`, which has the paper's numbers; what is "
        "not here is the same in both.",
        "",
        "| | here | full |",
        "| --- | --- | --- |",
    ]
    for each in facts["scaled_down"]:
        lines.append(f"| {escape(each['of'])} | {escape(each['here'])} | {escape(each['full'])} |")
    return [*lines, ""]


def _results(run: Run) -> list[str]:
    """A table for each group that has rows: means over seeds and runs."""
    lines = ["## Results", "", "Means over seeds and runs; `rows` says over how many.", ""]
    axes = axes_of(run.index)
    for group in run.groups:
        found = means(group, axes[group.group])
        if not found:
            continue
        names = list(dict.fromkeys(name for line in found for name in line))
        columns = [name for name in names if any(line.get(name) is not None for line in found)]
        right = ["---:" if name == "rows" or _is_metric(name) else "---" for name in columns]
        lines += [f"### {escape(group.group)}", "", _line(map(escape, columns)), _line(right)]
        for line in found:
            lines.append(_line(escape(shown(line.get(name))) for name in columns))
        lines.append("")
    return lines


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kept(facts: Mapping[str, Any]) -> list[str]:
    """How the records are read."""
    study = facts["study"]
    return [
        "## Records",
        "",
        f"`python -m reports.stages --records reports/{study}` makes this page, its tables and its "
        f"figures again from {', '.join(RECORDS)}. {STAGES} holds the finished stages without "
        f"{', '.join(LEFT_OUT)}; the study can be shown, and can go on, on any machine:",
        "",
        "```sh",
        f"relrob study import reports/{study}/{STAGES} --out {study}",
        f"gunzip -c reports/{study}/{INDEX_FILE} > {study}/pipeline.json",
        f"relrob study show {study}",
        "```",
        "",
    ]
