"""Figures of studies of stages in print, as SVG and PDF: the published figures again, from our
rows, at the width of a column or, with more than two panels a line, of a page.

A point is the mean over seeds and runs; a thin bar reaches from the least to the greatest seed.
Published numbers, where the paper prints any, are hollow. The same rows give the same bytes.
Imports Matplotlib.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.figure_file import files
from relrob.report.study import claims_matachana as matachana
from relrob.report.study import claims_shrestha as shrestha
from relrob.report.study import claims_zhao as zhao
from relrob.report.study.stage_rows import Rows, Values
from relrob.report.study.style import COLUMN, LOOKS, PAGE, PRINT, SMALL, legend, sheet

# The look of what is no series of its own: accuracy without attack.
_BASE: Final = 4
_HIGH: Final = 1.5  # inches of a panel
Curve = list[tuple[float, Values]]


def figures(report: str, rows: Rows) -> dict[str, bytes]:
    """File name to content of all figures that the rows have something for; none for a study that
    repeats no published one."""
    makers = {"zhao2018": _zhao, "matachana2020": _matachana, "shrestha2024": _shrestha}
    if report not in makers:
        return {}
    with matplotlib.rc_context(PRINT):
        made: dict[str, bytes] = {}
        for name, figure in makers[report](rows).items():
            made |= files(name, figure)
        return made


def _sheet(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    return sheet(rows, columns, COLUMN if columns <= 2 else PAGE, _HIGH)


def _draw(axes: Axes, curve: Curve, look: int, label: str) -> None:
    """Means against x, each with a bar from the least to the greatest seed."""
    colour, marker, line, _ = LOOKS[look % len(LOOKS)]
    known = [(x, values) for x, values in curve if values]
    if not known:
        return
    middle = [sum(values.values()) / len(values) for _, values in known]
    ends = np.array([_seeds(values) for _, values in known]).T
    bars = np.abs(ends - np.array(middle))
    axes.errorbar(
        [x for x, _ in known],
        middle,
        yerr=bars,
        color=colour,
        marker=marker,
        linestyle=line,
        markerfacecolor=colour if look < len(LOOKS) else "white",
        markersize=2.8,
        linewidth=0.8,
        elinewidth=0.8,
        label=label,
    )


def _seeds(values: Values) -> tuple[float, float]:
    """The least and the greatest mean of a seed."""
    found: dict[Any, list[float]] = {}
    for key, value in values.items():
        found.setdefault(key[0], []).append(value)
    means = [sum(group) / len(group) for group in found.values()]
    return min(means), max(means)


def _zhao(rows: Rows) -> dict[str, Figure]:
    """Figures 2 and 5 (accuracy against density and width), 4 (against base accuracy)."""
    nets = [(net, name) for net, name in zhao.NETS if net in rows.groups]
    found: dict[str, Figure] = {}
    if not nets:
        return found
    for title, group, axis in (
        ("density", "pruned", "density"),
        ("width", "quantised", "width in bits"),
    ):
        figure, axes = _sheet(len(nets), len(zhao.ATTACKS))
        for line, (net, name) in zip(axes, nets, strict=True):
            points = zhao.densities(rows, net) if group == "pruned" else zhao.widths(rows, net)
            for each, (attack, words) in zip(line, zhao.ATTACKS, strict=True):
                _scenarios(each, rows, net, attack, group, points)
                each.set_title(f"{name}, {words}")
                each.set_xlabel(axis)
                each.set_ylim(0, 1.02)
                if group == "quantised" and points:
                    each.set_xscale("log", base=2)
                    each.set_xticks([x for x, _ in points], [f"{x:g}" for x, _ in points])
                    each.minorticks_off()
        for line in axes:
            line[0].set_ylabel("accuracy")
        legend(figure, axes, columns=4)
        found[f"accuracy-by-{title}"] = figure
    figure, axes = _sheet(1, len(zhao.ATTACKS))
    for each, (attack, words) in zip(axes[0], zhao.ATTACKS, strict=True):
        for look, (net, name) in enumerate(nets):
            _against_base(each, rows, net, attack, look, name)
        each.set_title(f"{words}, COMP->COMP")
        each.set_xlabel("accuracy without attack")
    axes[0][0].set_ylabel("accuracy under attack")
    legend(figure, axes, columns=4)
    found["attack-by-base-accuracy"] = figure
    return found


def _scenarios(
    axes: Axes,
    rows: Rows,
    net: str,
    attack: str,
    group: str,
    points: Sequence[tuple[float, str]],
) -> None:
    base = [(x, rows.values(f"{net}-{group}", "accuracy", compress=text)) for x, text in points]
    _draw(axes, base, _BASE, "no attack")
    for look, scenario in enumerate(zhao.SCENARIOS):
        curve = [(x, zhao.accuracy(rows, net, attack, scenario, text)) for x, text in points]
        _draw(axes, curve, look, scenario)


def _against_base(axes: Axes, rows: Rows, net: str, attack: str, look: int, name: str) -> None:
    curve: Curve = []
    for _, text in zhao.densities(rows, net):
        base = rows.mean(f"{net}-pruned", "accuracy", compress=text)
        if base is not None:
            curve.append((base, zhao.accuracy(rows, net, attack, zhao.SCENARIOS[0], text)))
    _draw(axes, sorted(curve, key=lambda point: point[0]), look, name)


def _matachana(rows: Rows) -> dict[str, Figure]:
    """Figures 1 (UER against eps), 2 (the matrix) and 3 (TSR by label)."""
    models = matachana.models(rows)
    found: dict[str, Figure] = {}
    if not models:
        return found
    attacks = [str(text) for text in rows.axis("uap", "attack")]
    figure, axes = _sheet(1, 2)
    for side, names in enumerate((models[: len(models) // 2 + 1], models[len(models) // 2 + 1 :])):
        for model in names:
            curve = [
                (_eps(text), rows.values("uap", "evasion_rate", source=model, attack=text))
                for text in attacks
            ]
            _draw(axes[0][side], curve, models.index(model), model)
        axes[0][side].set_xlabel("eps, levels of 255")
        axes[0][side].set_ylim(0, 1)
    axes[0][0].set_ylabel("UER, white-box")
    legend(figure, axes, columns=4)
    found["uer-by-eps"] = figure
    found["transfer-matrix"] = _matrix(rows, models)
    labels = sorted(rows.axis("targeted", "target_label"))
    if labels:
        found["targeted-by-label"] = _by_label(rows, models, labels)
    return found


def _eps(text: str) -> float:
    """eps of "sgd-uap:eps=10/255", in levels."""
    value = text.partition("eps=")[2].partition(":")[0]
    above, _, below = value.partition("/")
    return float(above) / float(below or 1) * 255


def _matrix(rows: Rows, models: Sequence[str]) -> Figure:
    """UER: a row a victim, a column a source."""
    cells = np.full((len(models), len(models)), np.nan)
    for i, target in enumerate(models):
        for j, source in enumerate(models):
            values = matachana.transfer(rows, source, target)
            if values:
                cells[i, j] = sum(values.values()) / len(values)
    figure = Figure(figsize=(COLUMN, COLUMN * 0.85), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(cells, cmap="cividis", vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks(range(len(models)), list(models), rotation=45, ha="right")
    axes.set_yticks(range(len(models)), list(models))
    axes.set_xlabel("source of the perturbation")
    axes.set_ylabel("victim")
    for i in range(len(models)):
        for j in range(len(models)):
            if not np.isnan(cells[i, j]):
                colour = "black" if cells[i, j] > 0.6 else "white"
                said = f"{cells[i, j]:.2f}"
                axes.text(j, i, said, ha="center", va="center", color=colour, fontsize=SMALL)
    figure.colorbar(shown, label="UER at eps 10/255")
    return figure


def _by_label(rows: Rows, models: Sequence[str], labels: Sequence[int]) -> Figure:
    figure, axes = _sheet(1, 1)
    for look, model in enumerate(models):
        curve = [
            (
                label + 0.08 * look,
                rows.values("targeted", "targeted_rate", source=model, target_label=label),
            )
            for label in labels
        ]
        _draw(axes[0][0], curve, look, model)
    axes[0][0].set_xticks(list(labels))
    axes[0][0].set_xlabel("target label")
    axes[0][0].set_ylabel("TSR")
    legend(figure, axes, columns=4)
    return figure


def _shrestha(rows: Rows) -> dict[str, Figure]:
    """Table 6 as figures, one for each network: accuracy and L2 against the width, ours beside the
    paper's."""
    found = {}
    for net, name in shrestha.NETS:
        attacks = [
            a for a in ("fgsm", "jsma", "uap", "cw", "boundary") if f"{net}-{a}" in rows.groups
        ]
        if not attacks:
            continue
        figure, axes = _sheet(2, len(attacks))
        for column, attack in enumerate(attacks):
            for line, metric in enumerate(("adversarial_accuracy", "l2")):
                each, group = axes[line][column], f"{net}-{attack}"
                texts = [None, *rows.axis(group, "compress")]
                curve = [
                    (float(place), rows.values(group, metric, compress=text))
                    for place, text in enumerate(texts)
                ]
                _draw(each, curve, 0, "here")
                _hollow(each, name, attack, metric, texts)
                each.set_xticks(range(len(texts)), [_bits(text) for text in texts])
                each.set_ylim(0, 1.02 if line == 0 else None)
                each.set_title(attack.upper() if len(attack) < 5 else "Boundary")
        axes[0][0].set_ylabel("accuracy under attack")
        axes[1][0].set_ylabel("L2 of successes")
        for each in axes[1]:
            each.set_xlabel("bits")
        legend(figure, axes, title=name)
        found[f"attacks-by-bits-{net}"] = figure
    return found


def _bits(text: str | None) -> str:
    return "FP" if text is None else text.rpartition(":")[2]


def _hollow(axes: Axes, name: str, attack: str, metric: str, texts: Sequence[str | None]) -> None:
    """The paper's numbers of Table 6."""
    wanted = {"adversarial_accuracy": "adversarial_accuracy", "l2": "avg_L2_successful"}[metric]
    paper = {
        int(row["bits"]): float(row["value"])
        for row in table6()
        if (row["model"], row["attack"], row["metric"])
        == (name, "BA" if attack == "boundary" else attack.upper(), wanted)
    }
    points = [(x, paper.get(32 if t is None else int(_bits(t)))) for x, t in enumerate(texts)]
    known = [(x, y) for x, y in points if y is not None]
    if known:
        axes.plot(
            [x for x, _ in known],
            [y for _, y in known],
            color=LOOKS[1][0],
            marker="s",
            markerfacecolor="none",
            linestyle=":",
            linewidth=0.8,
            markersize=3.2,
            label="published",
        )


def table6() -> list[Mapping[str, str]]:
    """The published rows of Shrestha and Großmann 2024, Table 6; full precision has 32 bits."""
    entry = resources("relrob.report.study") / "shrestha2024.csv"
    return list(csv.DictReader(entry.read_text(encoding="utf-8").splitlines()))
