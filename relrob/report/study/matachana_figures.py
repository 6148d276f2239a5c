"""The figures of Matachana et al. 2020 from our rows. Imports Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from relrob.report.study import claims_matachana as matachana
from relrob.report.study.curves import draw, panels
from relrob.report.study.shown import Shown
from relrob.report.study.stage_rows import Rows
from relrob.report.study.style import COLUMN, SMALL, legend


def made(rows: Rows, shown: Shown) -> dict[str, Figure]:
    """Figures 1 (UER against eps), 2 (the matrix) and 3 (TSR by label)."""
    models = matachana.models(rows)
    found: dict[str, Figure] = {}
    if not models:
        return found
    attacks = [str(text) for text in rows.axis("uap", "attack")]
    figure, axes = panels(1, 2)
    for side, names in enumerate((models[: len(models) // 2 + 1], models[len(models) // 2 + 1 :])):
        for model in names:
            curve = [
                (_eps(text), rows.values("uap", "evasion_rate", source=model, attack=text))
                for text in attacks
            ]
            draw(axes[0][side], curve, models.index(model), model)
        axes[0][side].set_xlabel("eps, levels of 255")
        axes[0][side].set_ylim(0, 1)
    axes[0][0].set_ylabel("UER, white-box")
    legend(figure, axes, columns=4)
    found["uer-by-eps"] = figure
    if rows.groups.get("transfer"):
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
    figure, axes = panels(1, 1)
    for look, model in enumerate(models):
        curve = [
            (
                label + 0.08 * look,
                rows.values("targeted", "targeted_rate", source=model, target_label=label),
            )
            for label in labels
        ]
        draw(axes[0][0], curve, look, model)
    axes[0][0].set_xticks(list(labels))
    axes[0][0].set_xlabel("target label")
    axes[0][0].set_ylabel("TSR")
    legend(figure, axes, columns=4)
    return figure
