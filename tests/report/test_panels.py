"""Panels of a study's figures: points, intervals, counts and remarks are those of the rows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from relrob.report.study import class_figures, figures
from relrob.report.study.style import plain
from relrob.report.study.table_rows import TableRow
from relrob.store.proportions import wilson
from tests.report.made_rows import rate, row_of

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
ROWS = [
    row_of(step=Fraction(1), transfer=rate(90, 100, 98.9), right_by_label={0: rate(10, 40)}),
    row_of(step=HALF, transfer=rate(80, 100), right_by_label={0: rate(0, 40), 7: rate(3, 12)}),
    row_of(radius=Fraction(10), robustness=rate(0, 0)),
    row_of(runtime="xnnpack", transfer=rate(7, 9)),
]


def texts(figure: Figure) -> list[str]:
    """All text beside and below the panels."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [text.get_text() for text in figure.texts]


def points(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Name to the points that are drawn."""
    found = {}
    for line in axes.get_lines():
        pairs = [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        found[str(line.get_label())] = [pair for pair in pairs if not np.isnan(pair[1])]
    return found


def spans(axes: Axes) -> list[tuple[float, float]]:
    """The ends of all upright lines."""
    return [
        tuple(np.asarray(path.vertices)[:, 1].tolist())
        for drawn in axes.collections
        if isinstance(drawn, LineCollection)
        for path in drawn.get_paths()
    ]


def test_points_are_the_rates_with_their_counts() -> None:
    figure = figures._transfer(ROWS)
    wide = figure.axes[0]
    assert wide.get_title(loc="left") == "radius 20"
    found = points(wide)
    assert [y for _, y in found["search, builtin"]] == [80.0, 90.0]
    assert [round(x) for x, _ in found["search, builtin"]] == [1, 2]
    assert [y for _, y in found["published"]] == [98.9]
    assert [label.get_text() for label in wide.get_xticklabels()] == ["1/4", "1/2", "1"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == [
        "search, builtin",
        "search, xnnpack",
    ]


def test_fewer_than_ten_images_are_said_and_not_drawn() -> None:
    figure = figures._transfer(ROWS)
    assert points(figure.axes[0])["search, xnnpack"] == []
    assert "(9)" in texts(figure) and "100" in texts(figure)
    assert any("fewer than 10, not drawn" in text for text in texts(figure))
    assert not any("not drawn" in text for text in texts(figures._transfer(ROWS[:2])))


def test_axes_hold_every_interval_that_is_drawn() -> None:
    rows = [row_of(transfer=rate(10, 10)), row_of(step=HALF, transfer=rate(999, 1000, 60.0))]
    axes = figures._transfer(rows).axes[0]
    low, high = axes.get_ylim()
    assert low < 60 and high > 100
    for least, greatest in spans(axes):
        assert low < least <= greatest < high
    assert min(least for least, _ in spans(axes)) == pytest.approx(72.25, abs=0.01)


def test_the_last_percents_take_more_of_an_angular_axis() -> None:
    share = np.array([0.0, 25.0, 50.0, 75.0, 99.0, 100.0, 103.0])
    assert figures._shares(figures._angles(share)) == pytest.approx(share)
    angles = figures._angles(share)
    assert np.all(np.diff(angles) > 0) and angles[5] - angles[4] > 5
    assert angles[:4] == pytest.approx([0, 30, 45, 60])


def test_undecided_images_are_thick_lines_without_a_point() -> None:
    """Of 20 images eight robust and six open: 40 to 70 %, the interval of 8 and of 14 of 20."""
    rows = [row_of(robustness=rate(8, 20, None, 6)), row_of(step=HALF)]
    figure = figures._robustness(rows)
    axes = figure.axes[0]
    assert [y for _, y in points(axes)["search, builtin"]] == [100]
    assert (40.0, 70.0) in [pytest.approx(span) for span in spans(axes)]
    least, greatest = wilson(8, 20)[0], wilson(14, 20)[1]
    assert (100 * least, 100 * greatest) in [pytest.approx(span) for span in spans(axes)]
    (legend,) = figure.legends
    assert "as undecided images fall" in [text.get_text() for text in legend.get_texts()]


def test_counts_that_undecided_images_move_have_two_ends() -> None:
    known = rate(8, 20)
    assert figures.count(known) == "20"
    moved = type(known)(type(known.images)(part=11, rest=2, rest_if=7))
    assert figures.count(moved) == "13\N{EN DASH}20"
    few = type(known)(type(known.images)(part=8, rest_if=12))
    assert not figures.drawn(few) and figures.drawn(moved)


def test_both_networks_stand_side_by_side() -> None:
    figure = figures._robust([row_of()])
    both = sorted(y for line in points(figure.axes[0]).values() for _, y in line)
    assert both in ([89.0], [89.0, 90.0])
    lines = figure.axes[0].get_lines()
    assert [line.get_markerfacecolor() == "white" for line in lines] == [False, True]


def test_grids_of_a_data_set_that_do_not_fit_one_axis_have_figures_of_their_own() -> None:
    rows = [
        row_of(),
        row_of(grid="open", unknown=3),
        row_of(grid="far", radius=Fraction(40)),
        *[row_of(grid=f"more{number}") for number in range(5)],
        row_of(grid="x/y", dataset="cifar10"),
    ]
    names = [name for name, _ in figures._parts(rows)]
    assert names == ["mnist", "mnist-2", "mnist-undecided", "mnist-radius-40", "cifar10"]


def bars(axes: Axes) -> dict[str, list[float]]:
    """Step to the heights of its bars."""
    return {
        str(each.get_label()): [patch.get_height() for patch in each.patches]
        for each in axes.containers
        if isinstance(each, BarContainer)
    }


def classes_of(*more: dict[str, Any]) -> list[TableRow]:
    names = ("airplane", "automobile", "bird")
    return [row_of(dataset="cifar10", classes=names, **each) for each in more]


def test_bars_are_the_shares_of_the_images_that_the_reference_gets_right() -> None:
    rows = classes_of(
        {"step": HALF, "right_by_label": {0: rate(10, 40), 1: rate(9, 12), 2: rate(0, 2)}},
        {"step": QUARTER, "right_by_label": {0: rate(4, 40), 1: rate(3, 12), 2: rate(0, 2)}},
    )
    figure = class_figures.by_class(rows)
    (axes,) = figure.axes
    assert bars(axes) == {"1/2": [25.0, 75.0], "1/4": [10.0, 25.0]}
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["airplane", "automobile", "bird"]
    assert {"40", "12", "2"} <= set(texts(figure)) and "$n$ < 10" in texts(figure)
    assert any("fewer than 10 is not drawn" in text for text in texts(figure))
    assert all(high < axes.get_ylim()[1] for _, high in spans(axes)) and len(spans(axes)) == 4


def test_undecided_images_of_a_class_are_hatched() -> None:
    rows = classes_of({"right_by_label": {0: rate(10, 40, None, 20)}})
    figure = class_figures.by_class(rows)
    drawn = [each for each in figure.axes[0].containers if isinstance(each, BarContainer)]
    hatched = [each for each in drawn if each.patches[0].get_hatch()]
    assert [[patch.get_height() for patch in each.patches] for each in hatched] == [[50.0]]
    assert "undecided" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_names_from_a_file_are_no_formulas_and_short() -> None:
    assert plain("a$b$") == r"a\$b\$" and plain("a\nb") == "a b"
    assert len(plain("x" * 99)) == 14
    figure = class_figures.by_class([row_of(classes=("$\\frac$", "b"))])
    assert figure.axes[0].get_xticklabels()[0].get_text() == r"\$\frac\$"
