"""The figures of Zhao et al. 2018 from our rows. Imports Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relrob.report.study import claims_zhao as zhao
from relrob.report.study.curves import BASE, Curve, draw, panels
from relrob.report.study.shown import Curves, Shown
from relrob.report.study.stage_rows import Rows
from relrob.report.study.style import LOOKS, legend


def made(rows: Rows, shown: Shown) -> dict[str, Figure]:
    """Figures 2 and 5 (accuracy against density and width), 3 (by the attack's parameters), 4
    (against base accuracy) and 6 (distributions)."""
    nets = [(net, name) for net, name in zhao.NETS if rows.groups.get(net)]
    found: dict[str, Figure] = {}
    if not nets:
        return found
    for title, group, axis in (
        ("density", "pruned", "density"),
        ("width", "quantised", "width in bits"),
    ):
        figure, axes = panels(len(nets), len(zhao.ATTACKS))
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
    figure, axes = panels(1, len(zhao.ATTACKS))
    for each, (attack, words) in zip(axes[0], zhao.ATTACKS, strict=True):
        for look, (net, name) in enumerate(nets):
            _against_base(each, rows, net, attack, look, name)
        each.set_title(f"{words}, COMP->COMP")
        each.set_xlabel("accuracy without attack")
    axes[0][0].set_ylabel("accuracy under attack")
    legend(figure, axes, columns=4)
    found["attack-by-base-accuracy"] = figure
    return {**found, **_by_parameters(rows), **_distributions(rows, shown, nets)}


def _by_parameters(rows: Rows) -> dict[str, Figure]:
    """Figure 3: a panel an attack and eps, a curve a number of iterations."""
    found = {}
    for attack, words in zhao.ATTACKS[:2]:
        group = f"lenet5-{attack}-by-parameters"
        texts = [str(text) for text in rows.axis(group, "attack")]
        if not texts:
            continue
        sizes = sorted({float(_parameter(text, "eps")) for text in texts})
        figure, axes = panels(1, len(sizes))
        for text in texts:
            size, steps = float(_parameter(text, "eps")), int(_parameter(text, "steps"))
            counts = sorted(
                int(_parameter(t, "steps")) for t in texts if float(_parameter(t, "eps")) == size
            )
            points = [(1.0, None), *zhao.densities(rows, "lenet5")]
            curve: Curve = [
                (x, rows.values(group, zhao.ACCURACY, attack=text, compress=method))
                for x, method in points
            ]
            each = axes[0][sizes.index(size)]
            draw(each, curve, counts.index(steps), f"{steps} iterations")
            each.set_title(f"{words}, eps {size:g}")
        _against_density(axes)
        legend(figure, axes, columns=4, title="LeNet5, COMP->COMP")
        found[f"{attack}-by-parameters"] = figure
    return found


def _against_density(axes: list[list[Axes]]) -> None:
    """Labels of accuracy against density; sparse networks lie apart on a logarithmic axis."""
    for each in axes[0]:
        each.set_xscale("log")
        each.set_xticks([0.02, 0.1, 0.5, 1.0], ["0.02", "0.1", "0.5", "1"])
        each.minorticks_off()
        each.set_xlabel("density")
        each.set_ylim(0, 1.02)
    axes[0][0].set_ylabel("accuracy under attack")


def _parameter(text: str, name: str) -> str:
    """The value of a parameter of an attack's text.

    >>> _parameter("ifgsm:eps=0.02:steps=12", "steps")
    '12'
    """
    return text.partition(f":{name}=")[2].partition(":")[0]


def _distributions(rows: Rows, shown: Shown, nets: Sequence[tuple[str, str]]) -> dict[str, Figure]:
    """Figure 6: the distributions of weights and of activations, a curve a width, of the least
    seed."""
    known = [(net, name, several) for net, name in nets if (several := _by_width(rows, shown, net))]
    if not known:
        return {}
    figure, axes = panels(len(known), 2)
    for line, (_, name, several) in zip(axes, known, strict=True):
        for each, values in zip(line, ("weights", "activations"), strict=True):
            for look, (label, curves) in enumerate(several):
                colour, _, style, _ = LOOKS[look % len(LOOKS)]
                each.plot(
                    curves.grid,
                    curves.shares[values],
                    style,
                    color=colour,
                    linewidth=0.9,
                    label=label,
                    drawstyle="steps-post",
                )
            # Kernels lie near 0; activations are not negative, and clipped at 8 at most.
            each.set_xlim((-1.25, 1.25) if values == "weights" else (-0.1, 4))
            each.set_title(f"{name}, {values}")
            each.set_xlabel("value")
            each.set_ylim(0, 1.02)
        line[0].set_ylabel("share at most so large")
    legend(figure, axes, columns=5)
    return {"distributions": figure}


def _by_width(rows: Rows, shown: Shown, net: str) -> list[tuple[str, Curves]]:
    """(name of the curve, distributions), the dense network first."""
    widths = [(f"{bits} bits", text) for bits, text in zhao.widths(rows, net)]
    found = [
        (label, shown.curves(f"{net}-distribution", compress=text))
        for label, text in (("dense", None), *widths)
    ]
    return [(label, curves) for label, curves in found if curves is not None]


def _scenarios(
    axes: Axes,
    rows: Rows,
    net: str,
    attack: str,
    group: str,
    points: Sequence[tuple[float, str]],
) -> None:
    base = [(x, rows.values(f"{net}-{group}", "accuracy", compress=text)) for x, text in points]
    draw(axes, base, BASE, "no attack")
    for look, scenario in enumerate(zhao.SCENARIOS):
        curve = [(x, zhao.accuracy(rows, net, attack, scenario, text)) for x, text in points]
        draw(axes, curve, look, scenario)


def _against_base(axes: Axes, rows: Rows, net: str, attack: str, look: int, name: str) -> None:
    curve: Curve = []
    for _, text in zhao.densities(rows, net):
        base = rows.mean(f"{net}-pruned", "accuracy", compress=text)
        if base is not None:
            curve.append((base, zhao.accuracy(rows, net, attack, zhao.SCENARIOS[0], text)))
    draw(axes, sorted(curve, key=lambda point: point[0]), look, name)
