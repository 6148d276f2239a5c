"""Figures of studies of stages: drawn for what the rows hold, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relrob.errors import ShapeError
from relrob.report.study import shrestha_figures
from relrob.report.study.pictures import pictured
from relrob.report.study.shown import Curves, Examples, Nothing
from relrob.report.study.shrestha_table import table6
from relrob.report.study.stage_figures import figures
from relrob.report.study.stage_rows import Rows
from tests.report.made_shown import MadeShown
from tests.report.made_stages import matachana, shrestha, zhao

DRAWN = {
    "zhao2018": (
        "accuracy-by-density",
        "accuracy-by-width",
        "attack-by-base-accuracy",
        "distributions",
        "ifgsm-by-parameters",
    ),
    "matachana2020": ("targeted-by-label", "transfer-matrix", "uer-by-eps"),
    "shrestha2024": (
        "attacks-by-bits-mnist",
        *(f"boundary-by-width-{net}" for net in ("cifar", "mnist")),
        "boundary-longer-mnist",
        *(f"boundary-way-{net}" for net in ("cifar", "mnist")),
        *(f"fgsm-small-{net}" for net in ("cifar", "mnist")),
        "weights-1-bit",
    ),
}


def with_parameters() -> Rows:
    """Zhao's rows with a grid of eps and iterations: less accuracy the more of both."""
    rows = zhao()
    grid = [
        {"seed": seed, "attack": f"ifgsm:eps={eps}:steps={steps}", "compress": text}
        | {"adversarial_accuracy": max(0.0, 0.9 - 12 * eps - steps / 40 + 0.02 * seed)}
        for seed in range(3)
        for eps in (0.01, 0.02, 0.04)
        for steps in (4, 8, 12, 16)
        for text in ("", "surgery:0.5", "surgery:0.05")
    ]
    return Rows({**rows.groups, "lenet5-ifgsm-by-parameters": grid})


MADE: dict[str, Callable[[], Rows]] = {
    "zhao2018": with_parameters,
    "matachana2020": matachana,
    "shrestha2024": shrestha,
}


@pytest.mark.parametrize("report", list(DRAWN))
def test_each_study_has_its_figures_and_the_same_bytes_twice(report: str) -> None:
    rows = MADE[report]()
    drawn = figures(report, rows, MadeShown())
    assert sorted({name.rpartition(".")[0] for name in drawn}) == sorted(DRAWN[report])
    assert drawn == figures(report, rows, MadeShown())
    assert all(data[:4] in (b"<?xm", b"%PDF") for data in drawn.values())


def test_rows_alone_draw_what_needs_no_file() -> None:
    names = {name.rpartition(".")[0] for name in figures("shrestha2024", shrestha())}
    assert names == {"attacks-by-bits-mnist"}
    left_out = figures("shrestha2024", shrestha(), MadeShown(without="cifar"))
    assert not [name for name in left_out if "cifar" in name]


def test_a_figure_without_a_point_is_not_drawn() -> None:
    """Networks that nobody attacked yet have accuracies alone."""
    trained = {
        name: rows
        for name, rows in zhao().groups.items()
        if name in ("lenet5", "lenet5-pruned", "lenet5-quantised")
    }
    names = {name.rpartition(".")[0] for name in figures("zhao2018", Rows(trained))}
    assert names == {"accuracy-by-density", "accuracy-by-width"}
    groups = matachana().groups
    clean = {name: rows for name, rows in groups.items() if name not in ("transfer", "targeted")}
    assert {name.rpartition(".")[0] for name in figures("matachana2020", Rows(clean))} == {
        "uer-by-eps"
    }


def test_markers_at_the_greatest_distance_are_whole() -> None:
    rows = shrestha()
    far = [{**row, "l2": 20.0} for row in rows.groups["mnist-fgsm"]]
    made = shrestha_figures.made(Rows({**rows.groups, "mnist-fgsm": far}), Nothing())
    assert made["attacks-by-bits-mnist"].axes[5].get_ylim()[1] > 20.5


def examples(attack: str) -> Examples:
    found = MadeShown().examples("mnist", attack=attack)
    assert found is not None
    return found


def test_pictures_have_the_clean_images_above_and_a_title_each() -> None:
    lines = [(str(steps), examples(f"boundary:steps={steps}").first(3)) for steps in (1, 8)]
    figure = pictured(lines)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[1:4] == ["0", "1", "2"]
    near, far = (float(titles[4 * line + 1].split(", ")[1]) for line in (2, 1))
    assert titles[5].startswith("1, ")
    assert near < far
    # Other clean images have a line of their own.
    other = examples("boundary:steps=5")
    turned = Examples(other.images[::-1], other.adversarial, other.labels, other.found).first(3)
    assert len(pictured([*lines, ("turned", turned)]).axes) == 6 * 4


def test_rows_decide_the_picture() -> None:
    one, other = (figures("zhao2018", zhao(four_bits=bits)) for bits in (0.4, 0.9))
    assert one["accuracy-by-width.svg"] != other["accuracy-by-width.svg"]
    assert one["accuracy-by-density.svg"] == other["accuracy-by-density.svg"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert all(figures(report, Rows({})) == {} for report in (*DRAWN, "", "duncan2020"))


def test_the_published_table_is_whole() -> None:
    """5 attacks, 7 precisions, 2 networks, 3 figures each."""
    rows = table6()
    assert len(rows) == 5 * 7 * 2 * 3
    values = [float(row["value"]) for row in rows if row["metric"] == "adversarial_accuracy"]
    assert np.all((np.array(values) >= 0) & (np.array(values) <= 1))
    first = [row for row in rows if row["model"] == "Mnist A" and row["attack"] == "FGSM"]
    assert {row["value"] for row in first if row["bits"] == "1"} >= {"0.845", "5.134"}


def test_curves_of_another_grid_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"curves of \[\(2,\)\]"):
        Curves(np.zeros(3), {"weights": np.zeros(2)})
