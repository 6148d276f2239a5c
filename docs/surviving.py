"""The generated parts of docs/surviving.md, from the reports that are there. A study that was not
run has a sentence in place of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPORTS = Path(__file__).resolve().parent.parent / "reports"
RADIUS = "20"
# Fewer images have no share in a table, and none in the short answer.
LEAST, ENOUGH = 10, 30
# Grids of duncan2020 that are decided, and the heads of their columns.
LADDERS = {
    "mnist-ladder": "MNIST, built-in",
    "mnist-ladder-xnnpack": "MNIST, XNNPACK",
    "cifar10-ladder": "CIFAR-10, built-in",
    "cifar10-ladder-xnnpack": "CIFAR-10, XNNPACK",
}
# Claims of duncan2020 about what survives, without the grid that stands before each.
CLAIMS = (
    "relative robustness is 98 % or more at every radius and step",
    "adversarial transfer falls with the step",
    "transfer loses far more than robustness does",
)
NETS = {"lenet5": "LeNet5", "cifarnet": "CifarNet"}
ATTACKS = {"ifgsm": "IFGSM", "ifgm": "IFGM", "deepfool": "DeepFool"}
DIRECT = {
    "fgsm": "FGSM",
    "jsma": "JSMA",
    "uap": "UAP",
    "cw": "Carlini and Wagner",
    "boundary": "Boundary",
}
DIRECT_NETS = {"mnist": "Mnist A", "cifar": "ResNet20"}
TITLES = {
    "duncan2020": "images near an image, by search and by proof",
    "zhao2018": "gradient attacks, from one network to another",
    "matachana2020": "universal perturbations, from one network to another",
    "shrestha2024": "attacks on the quantised network itself",
}
Means = Sequence[Mapping[str, Any]]


def studies() -> str:
    """The four studies, and whether each has a report."""
    lines = ["| study | looks at | report |", "| --- | --- | --- |"]
    for name, looks in TITLES.items():
        lines.append(f"| `{name}` | {looks} | {_state(name)} |")
    return "\n".join(lines)


def _state(name: str) -> str:
    """A cell that says how much of a study was run."""
    if not (REPORTS / name / "README.md").is_file():
        return "not run yet"
    link = f"[reports/{name}](../reports/{name}/README.md)"
    if name == "duncan2020":
        return link
    groups = _summary(name)["groups"]
    left = sum(each["done"] < each["stages"] for each in groups)
    return f"{link}, {left} of {len(groups)} groups not finished" if left else link


def answer() -> str:
    """The short answer, in the numbers of ladders: the one study that decides every image."""
    cells = [cell for cell in _cells() if cell["grid"] in LADDERS]
    rates = [cell["relative_robustness"] for cell in cells]
    least, most = min(each["percent"] for each in rates), max(each["percent"] for each in rates)
    images = max(cell["images"] for cell in cells)
    lines = [
        f"It rests on `duncan2020` alone: {images:,} images of each data set, the paper's MLPs, "
        "LiteRT's 8-bit dynamic range.",
        "",
        f"* **Robustness survives.** Of the images that are robust before quantisation, between "
        f"{least:.1f} and {most:.1f} % are robust after it, in {len(cells)} ladders of two radii.",
    ]
    for data, name, word in (("mnist", "MNIST", "most"), ("cifar10", "CIFAR-10", "many")):
        found = [
            cell["adversarial_transfer"]["percent"]
            for cell in cells
            if (cell["dataset"], cell["radius"]) == (data, RADIUS)
            and cell["adversarial_transfer"]["whole"] >= ENOUGH
        ]
        lines.append(
            f"* **On {name} {word} attacks survive.** Of the images on which the reference is "
            f"fooled, the nearest perturbations fool the quantised network too on "
            f"{min(found):.0f} to {max(found):.0f} %, by kernels and step (radius {RADIUS}; steps "
            f"that fool the reference on at least {ENOUGH} images)."
        )
    return "\n".join(lines)


def ladders() -> str:
    """duncan2020: images on which the closest perturbations survive, by step."""
    cells = {(c["grid"], c["step"]): c for c in _cells() if c["radius"] == RADIUS}
    steps = list(dict.fromkeys(c["step"] for c in _cells() if c["grid"] in LADDERS))
    steps.sort(key=_number, reverse=True)
    lines = [
        _line([f"step, radius {RADIUS}", *LADDERS.values()]),
        _line(["---:"] * (1 + len(LADDERS))),
    ]
    for step in steps:
        row = [cells.get((grid, step)) for grid in LADDERS]
        shares = [_share(cell["adversarial_transfer"]) if cell else "" for cell in row]
        lines.append(_line([step, *shares]))
    return "\n".join(lines)


def _share(rate: Mapping[str, Any]) -> str:
    """A rate with its interval; of few images the counts alone."""
    counts = f"{rate['part']} of {rate['whole']}"
    if rate["whole"] < LEAST or rate["percent"] is None:
        return counts
    low, high = rate["interval"]
    return f"{rate['percent']:.1f} % ({low:.1f} to {high:.1f}), {counts}"


def duncan_claims() -> str:
    """How often each claim of duncan2020 about what survives is judged which way."""
    found = _document("duncan2020", "tables.json")["claims"]
    ways = ("reproduced", "not reproduced", "inconclusive")
    lines = [_line(["claim of Duncan et al. 2020", *ways]), _line(["---", *["---:"] * 3])]
    for says in CLAIMS:
        judged = [each["judgement"] for each in found if f": {says}" in each["claim"]]
        lines.append(_line([says, *(str(judged.count(way)) for way in ways)]))
    return "\n".join(lines)


def zhao() -> str:
    """zhao2018: transfer between the dense network and each width."""
    return _told("zhao2018", _zhao)


def _zhao(summary: Mapping[str, Any]) -> list[str]:
    groups = _means(summary)
    texts = _widths(groups, [f"{net}-quantised" for net in NETS])
    lines = []
    for net, name in NETS.items():
        for attack, words in ATTACKS.items():
            for end, direction in (("full-comp", "to the quantised"), ("comp-full", "from it")):
                some = groups.get(f"{net}-{attack}-{end}", ())
                shares = [_percent(_one(some, "transfer_rate", compress=text)) for text in texts]
                if any(shares):
                    lines.append(_line([name, words, direction, *shares]))
    bits = [f"{text.split(':')[1]} bits" for text in texts]
    return _table(["network", "attack", "direction", *bits], 3, lines)


def matachana() -> str:
    """matachana2020: the universal evasion rate from each network to each."""
    return _told("matachana2020", _matachana)


def _matachana(summary: Mapping[str, Any]) -> list[str]:
    some = _means(summary).get("transfer", ())
    names = list(dict.fromkeys(line["target"] for line in some))
    lines = []
    for source in dict.fromkeys(line["source"] for line in some):
        rates = [_percent(_one(some, "evasion_rate", source=source, target=to)) for to in names]
        lines.append(_line([source, *rates]))
    return _table(["perturbation of", *names], 1, lines)


def shrestha() -> str:
    """shrestha2024: the accuracy that attacks leave, at full precision and at each width."""
    return _told("shrestha2024", _shrestha)


def _shrestha(summary: Mapping[str, Any]) -> list[str]:
    groups = _means(summary)
    texts = _widths(groups, [f"{net}-quantised" for net in DIRECT_NETS])
    lines = []
    for net, name in DIRECT_NETS.items():
        for attack, words in DIRECT.items():
            some = groups.get(f"{net}-{attack}", ())
            left = [
                _percent(_one(some, "adversarial_accuracy", compress=text))
                for text in (None, *texts)
            ]
            if any(left):
                lines.append(_line([name, words, *left]))
    bits = ["full", *(text.rpartition(":")[2] for text in texts)]
    return _table(["network", "attack", *bits], 2, lines)


def _told(name: str, make: Callable[[Mapping[str, Any]], list[str]]) -> str:
    """A table and what became of the claims, or that there is no report yet."""
    if not (REPORTS / name / "summary.json").is_file():
        return f"*Not run yet: there is no report of `{name}`, so there is no number here.*"
    summary = _summary(name)
    judged = [claim["judgement"] for claim in summary["claims"]]
    told = ", ".join(f"{judged.count(way)} {way}" for way in dict.fromkeys(sorted(judged)))
    return "\n".join(
        [
            *make(summary),
            "",
            f"Profile `{summary['profile']}`, means over seeds and runs. Of {len(judged)} claims "
            f"of the paper: {told} ([report](../reports/{name}/README.md)).",
        ]
    )


def _table(heads: list[str], words: int, lines: list[str]) -> list[str]:
    """A table whose first columns hold words; a sentence where it has no line."""
    if not lines:
        return ["*None of these stages is finished.*"]
    rule = ["---"] * words + ["---:"] * (len(heads) - words)
    return [_line(heads), _line(rule), *lines]


def _widths(groups: Mapping[str, Means], names: Sequence[str]) -> list[str]:
    """The compressions of these groups, the narrowest first."""
    found = {line["compress"] for name in names for line in groups.get(name, ())}
    return sorted(found, key=lambda text: int(text.split(":")[1]))


def _means(summary: Mapping[str, Any]) -> dict[str, Means]:
    return {each["group"]: each["means"] for each in summary["groups"]}


def _one(lines: Means, metric: str, **axes: Any) -> float | None:
    """The metric of the line with these axes."""
    for line in lines:
        if all((line.get(name) or None) == value for name, value in axes.items()):
            value: float | None = line.get(metric)
            return value
    return None


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _number(step: str) -> float:
    above, _, below = step.partition("/")
    return float(above) / float(below or 1)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells() -> list[dict[str, Any]]:
    """The cells of duncan2020."""
    found: list[dict[str, Any]] = _document("duncan2020", "tables.json")["cells"]
    return found


def _summary(name: str) -> dict[str, Any]:
    return _document(name, "summary.json")


def _document(name: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORTS / name / file).read_text(encoding="utf-8"))
    return found
