"""The figures of Shrestha and Großmann 2024 from our rows and examples. Imports Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.study import claims_shrestha as shrestha
from relrob.report.study.curves import draw, panels
from relrob.report.study.pictures import Line, pictured
from relrob.report.study.shown import Shown
from relrob.report.study.shrestha_table import published
from relrob.report.study.stage_rows import Rows
from relrob.report.study.style import LOOKS, legend

# Examples in a line of pictures.
_MOST: Final = 10
_FEW: Final = 5
# Iterations of Figure 3; the last is 15 on MNIST and 12 on CIFAR-10.
_STEPS: Final = (1, 2, 4, 8, 12, 15)


def made(rows: Rows, shown: Shown) -> dict[str, Figure]:
    """Table 6 as figures, one for each network: accuracy and L2 against the width, ours beside the
    paper's; Figure 1; and the pictures of Figures 3 to 7."""
    found = _levels(shown)
    for net, name in shrestha.NETS:
        attacks = [
            a for a in ("fgsm", "jsma", "uap", "cw", "boundary") if rows.groups.get(f"{net}-{a}")
        ]
        if not attacks:
            continue
        figure, axes = panels(2, len(attacks))
        for column, attack in enumerate(attacks):
            for line, metric in enumerate(("adversarial_accuracy", "l2")):
                each, group = axes[line][column], f"{net}-{attack}"
                texts = [None, *rows.axis(group, "compress")]
                curve = [
                    (float(place), rows.values(group, metric, compress=text))
                    for place, text in enumerate(texts)
                ]
                draw(each, curve, 0, "here")
                _hollow(each, name, attack, metric, texts)
                each.set_xticks(range(len(texts)), [_bits(text) for text in texts])
                # Whole markers, also at the greatest distance.
                each.margins(y=0.06)
                each.set_ylim(0, 1.02 if line == 0 else None)
                each.set_title(attack.upper() if len(attack) < 5 else "Boundary")
        axes[0][0].set_ylabel("accuracy under attack")
        axes[1][0].set_ylabel("L2 of successes")
        for each in axes[1]:
            each.set_xlabel("bits")
        legend(figure, axes, title=name)
        found[f"attacks-by-bits-{net}"] = figure
    return {**found, **_pictures(shown)}


def _levels(shown: Shown) -> dict[str, Figure]:
    """Figure 1: the weights of Mnist A at full precision and at 1 bit, as distributions; its first
    and last layers keep full precision."""
    each = [(name, shown.curves("mnist-weights", compress=text)) for name, text in _ONE_BIT]
    known = [(name, curves) for name, curves in each if curves is not None]
    if not known:
        return {}
    figure, axes = panels(1, 1)
    for look, (name, curves) in enumerate(known):
        colour, _, line, _ = LOOKS[look]
        style: Any = {"color": colour, "linewidth": 0.9, "drawstyle": "steps-post"}
        axes[0][0].plot(curves.grid, curves.shares["weights"], line, label=name, **style)
    # Weights of one bit are the mean magnitude of their layer, near 0.
    axes[0][0].set_xlim(-0.5, 0.5)
    axes[0][0].set_xlabel("weight")
    axes[0][0].set_ylabel("share at most so large")
    legend(figure, axes, title="Mnist A")
    return {"weights-1-bit": figure}


_ONE_BIT: Final = (("FP", None), ("1 bit", "dorefa:1"))


def _pictures(shown: Shown) -> dict[str, Figure]:
    """Figures 3 to 7, a file for each data set."""
    found: dict[str, Figure] = {}
    for net, name in shrestha.NETS:
        small = shown.examples(f"{net}-fgsm-small")
        planned: dict[str, list[Line]] = {
            f"boundary-way-{net}": _way(shown, net, name),
            f"boundary-by-width-{net}": _beside(shown, net, name),
            f"boundary-longer-{net}": _longer(shown) if net == "mnist" else [],
            f"fgsm-small-{net}": [] if small is None else [(f"{name} FP", small.first(_MOST))],
        }
        found |= {title: pictured(lines) for title, lines in planned.items() if lines}
    return found


def _way(shown: Shown, net: str, name: str) -> list[Line]:
    """Figure 3: the Boundary attack after more and more iterations, each from its own random
    numbers."""
    group, found = f"{net}-boundary-way", []
    for steps in _STEPS:
        examples = shown.examples(group, attack=f"boundary:steps={steps}:start=uniform")
        if examples is not None:
            found.append((f"{name} FP\n{_iterations(steps)}", examples.first(_FEW)))
    return found


def _iterations(steps: int) -> str:
    return "1 iteration" if steps == 1 else f"{steps} iterations"


def _beside(shown: Shown, net: str, name: str) -> list[Line]:
    """Figures 4 and 6: full precision and 1 bit, after 100 iterations (CIFAR-10: 50)."""
    steps = 100 if net == "mnist" else 50
    found = []
    for words, text in _ONE_BIT:
        examples = shown.examples(f"{net}-boundary-{steps}", compress=text)
        if examples is not None:
            found.append((f"{name} {words}\n{_iterations(steps)}", examples.first(_MOST)))
    return found


def _longer(shown: Shown) -> list[Line]:
    """Figure 5: 1 bit after 1,000 iterations, full precision after 200."""
    found = []
    for words, text, steps in (("1 bit", "dorefa:1", 1000), ("FP", None, 200)):
        examples = shown.examples(f"mnist-boundary-{steps}", compress=text)
        if examples is not None:
            found.append((f"Mnist A {words}\n{_iterations(steps)}", examples.first(_MOST)))
    return found


def _bits(text: str | None) -> str:
    return "FP" if text is None else text.rpartition(":")[2]


def _hollow(axes: Axes, name: str, attack: str, metric: str, texts: Sequence[str | None]) -> None:
    """The paper's numbers of Table 6."""
    paper = published(name, attack, metric)
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
