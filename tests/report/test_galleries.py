"""Pictures of witnesses in print: heads, keys, captions, and costs beyond the radius."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from matplotlib.figure import Figure

from relrob.domain.record import Set, WitnessView
from relrob.report.study import gallery_figures
from relrob.report.study.galleries import Shown


def shown(cost: str = "3/2", region: str = "search", radius: int = 2) -> Shown:
    original = np.zeros(12, np.float32)
    perturbed = original.copy()
    perturbed[[0, 1, 2, 5]] = (0.5, 0.5, 0.25, 0.25)
    view = WitnessView(7, "reference", 1, original, perturbed, (2, 2, 3), 0, 1, 0.1, 0.2, cost, ())
    step = Fraction(1, 2)
    return Shown(view, "cifar10", region, "builtin", Fraction(radius), step, ("cat", "dog"))


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_heads_region_and_answers_stand_beside_the_pictures() -> None:
    figure = gallery_figures._set("title", [shown()] * 3)
    said = texts(figure)
    assert said.count("original") == 2 and said.count("difference") == 2
    assert "darker" in said and "brighter" in said
    assert said.count("image 7, class dog: $N$ says cat, $N^Q$ dog") == 3
    assert "cifar10, search, builtin" in said and "\N{DAGGER}" not in said
    assert len(figure.axes) == 3 * 3 + 1


def test_costs_beyond_the_radius_of_a_search_are_explained() -> None:
    assert not shown("2").beyond and not shown("9", region="ladder").beyond
    said = texts(gallery_figures._set("title", [shown("5/2")]))
    assert "$L_1$ = 2.5\N{DAGGER}" in said and "--strict-radius" in said


def test_table_one_says_none_and_not_run() -> None:
    half, whole = Fraction(1, 2), Fraction(1)
    frames = {
        (Fraction(2), half): shown(),
        (Fraction(2), whole): None,
        (Fraction(4), whole): shown("3", radius=4),
    }
    figure = gallery_figures._table(frames, [frames[Fraction(2), half] or shown()])
    said = texts(figure)
    assert said.count("not run") == 1 and said.count("\nnone") == 1
    assert "cat, dog\n2 px\n1.5" in said and "$r$ = 4" in said and "$\\delta$ = 1/2" in said
    assert "nothing fools $N$" in said


def test_pictures_are_drawn_pixel_for_pixel() -> None:
    before, after, _ = gallery_figures._pictures(shown()).values()
    assert before.shape == after.shape == (2, 2, 3)
    assert before.max() == 0 and after[0, 0].tolist() == [128, 128, 64]


def test_the_same_witnesses_give_the_same_bytes() -> None:
    made = gallery_figures.draw_sets({Set.RQ: [shown(), shown("5/2")]})
    assert sorted(made) == ["set-R-Q.pdf", "set-R-Q.svg"]
    assert made == gallery_figures.draw_sets({Set.RQ: [shown(), shown("5/2")]})
    assert gallery_figures.draw_table({(Fraction(1), Fraction(1)): None}) == {}
