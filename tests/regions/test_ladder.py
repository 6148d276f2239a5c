"""The ladder against brute force and against figures that docs/regions.md states."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.region import Ladder
from relrob.errors import DatasetError, RegionError
from relrob.regions.exact import nearest_8bit, nearest_float32, parse_fraction
from relrob.regions.graph import check_covering, graph, write_graphml
from relrob.regions.knapsack import Knapsack, knapsack_of
from relrob.regions.ladder import rung_set, saliency_order
from relrob_datasets import load
from tests import naive


def brute_force(costs: list[int], budget: int) -> list[tuple[int, ...]]:
    """All affordable subsets as 0/1 rows, as binary numbers in ascending order."""
    rows = []
    for number in range(2 ** len(costs)):
        bits = tuple((number >> (len(costs) - 1 - item)) & 1 for item in range(len(costs)))
        if sum(c * b for c, b in zip(costs, bits, strict=True)) <= budget:
            rows.append(bits)
    return rows


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(st.integers(1, 9), st.integers(2**70, 2**72), st.integers(1, 10**6)), max_size=12
    ),
    st.one_of(st.integers(0, 40), st.integers(0, 2**74), st.integers(0, 5 * 10**6)),
)
def test_count_and_order_agree_with_brute_force(costs: list[int], budget: int) -> None:
    knapsack = Knapsack(costs, budget)
    rows = brute_force(costs, budget)
    assert knapsack.count == len(rows)
    assert [tuple(row) for row in knapsack.masks(0, knapsack.count).astype(int).tolist()] == rows
    middle = len(rows) // 2
    assert [tuple(row) for row in knapsack.masks(middle, middle + 3).astype(int).tolist()] == rows[
        middle : middle + 3
    ]


@given(st.integers(0, 8), st.integers(1, 9), st.integers(0, 40))
def test_a_knapsack_of_equal_costs_is_the_one_of_these_costs(
    items: int, cost: int, budget: int
) -> None:
    kept, made = knapsack_of([cost] * items, budget), Knapsack([cost] * items, budget)
    assert kept.count == made.count == sum(comb(items, n) for n in range(budget // cost + 1))
    assert kept.masks(0, made.count).tolist() == made.masks(0, made.count).tolist()
    assert (knapsack_of([cost] * items, budget) is kept) == (items > 0)


def test_other_knapsacks_are_made_anew_and_refused_as_ever() -> None:
    assert knapsack_of([2, 1, 1], 2).count == 5 and knapsack_of([3] * 65, 3).count == 66
    assert knapsack_of([3] * 65, 3) is not knapsack_of([3] * 65, 3)
    for costs, budget in (([1, 1], -1), ([0, 0], 3), ([-2, -2], 3)):
        with pytest.raises(RegionError, match="a budget below 0 or a cost of 0"):
            knapsack_of(costs, budget)


def test_huge_counts_are_exact_and_any_range_is_cheap() -> None:
    free = Knapsack([1] * 78, 78)
    assert free.count == 2**78
    assert free.masks(2**78 - 1, 2**78).all()
    assert free.masks(2**77, 2**77 + 1)[0].tolist() == [True] + [False] * 77
    eight = Knapsack([64] * 78, 512)
    assert eight.count == sum(comb(78, k) for k in range(9))


def test_incommensurable_costs_are_refused_not_guessed() -> None:
    rng = np.random.default_rng(0)
    costs = [int(c) for c in rng.integers(2**58, 2**60, size=70)]
    with pytest.raises(RegionError, match="cannot be counted exactly"):
        Knapsack(costs, sum(costs) // 2)


@pytest.mark.parametrize(
    ("radius", "step", "count"),
    [
        ("20", "1/4", 263_950),
        ("20", "64/255", 137_980),
        ("10", "1/4", 6_196),
        ("10", "64/255", 1_351),
        ("20", "1/16", 2**20),
    ],
)
def test_point_counts_of_ladder_md(radius: str, step: str, count: int) -> None:
    """docs/regions.md: F = 20, unclipped (pixels that are black or white)."""
    image = np.zeros((20, 20), dtype=np.uint8)
    image[:10] = 255
    assert rung_set(Ladder(Fraction(radius), Fraction(step), 20), image).count == count


def test_features_of_a_real_image() -> None:
    """MNIST has 78 features, 780 of 784 pixels; the order is by distance from the mean, ties by
    raster."""
    image = load("mnist", "test").images[0]
    rungs = rung_set(Ladder(Fraction(20), Fraction(1, 4), None), image)
    assert rungs.axes.shape == (78, 10)
    flat = image.ravel().astype(np.int64)
    distance = np.abs(flat * 784 - flat.sum())
    expected = np.argsort(-distance, kind="stable")[:780]
    assert np.array_equal(rungs.axes.ravel(), expected)


def _small_images() -> st.SearchStrategy[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return st.lists(
        st.sampled_from([0, 1, 100, 127, 128, 200, 254, 255]), min_size=12, max_size=12
    ).map(lambda levels: np.array(levels, dtype=np.uint8).reshape(3, 4))


@settings(max_examples=60)
@given(
    _small_images(),
    st.sampled_from(["1", "1/2", "1/4", "1/3", "64/255"]),
    st.integers(1, 40),
    st.booleans(),
)
def test_points_agree_with_the_naive_enumeration(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], step: str, tenths: int, as_float: bool
) -> None:
    shown = (image.astype(np.float32) / np.float32(255)) if as_float else image
    radius = Fraction(tenths, 10)
    rungs = rung_set(Ladder(radius, Fraction(step), 6, axes=2), shown)
    expected = {p.moved: p for p in naive.points(shown, radius, Fraction(step), 6, axes=2)}
    masks = rungs.knapsack.masks(0, rungs.count)
    found = {
        tuple(int(g) for g in np.flatnonzero(mask)): number for number, mask in enumerate(masks)
    }
    assert found.keys() == expected.keys()
    images = rungs.images(masks)
    units = rungs.cost_units(masks)
    for moved, number in found.items():
        assert np.array_equal(images[number], expected[moved].image)
        assert (
            rungs.cost(masks[number])
            == expected[moved].cost
            == Fraction(int(units[number]), rungs.denominator)
        )
        assert rungs.contains(images[number])


def test_a_cost_equal_to_the_radius_belongs_to_the_region() -> None:
    """At step 1/2 four unclipped features of ten axes cost exactly 20, in rationals and not in
    float sums."""
    image = np.zeros((10, 10), dtype=np.uint8)
    assert (
        rung_set(Ladder(Fraction(20), Fraction(1, 2), 10), image)
        .knapsack.masks(0, 10**6)
        .sum(axis=1)
        .max()
        == 4
    )
    tenth = np.zeros((10, 10), dtype=np.float32)
    assert (
        rung_set(Ladder(Fraction(3), Fraction(1, 10), 10), tenth)
        .knapsack.masks(0, 10**6)
        .sum(axis=1)
        .max()
        == 3
    )


def test_blocks_are_the_whole_in_order_whatever_their_size() -> None:
    rungs = rung_set(
        Ladder(Fraction(2), Fraction(1, 2), 6, axes=2), np.zeros((4, 4), dtype=np.uint8)
    )
    whole = rungs.knapsack.masks(0, rungs.count)
    for size in (1, 3, 64):
        assert np.array_equal(np.concatenate([rung.masks for rung in rungs.rungs(size)]), whole)


def test_graph_view_is_covering(tmp_path: Path) -> None:
    rungs = rung_set(
        Ladder(Fraction(3), Fraction(1, 2), 5, axes=3), np.full((4, 4), 100, dtype=np.uint8)
    )
    view = graph(rungs)
    checked = check_covering(rungs, view)
    assert (checked.complete, checked.covering, checked.points) == (True, True, rungs.count)
    assert checked.longest == int(rungs.knapsack.masks(0, rungs.count).sum(axis=1).max())
    for smaller, larger in combinations(list(view), 2):
        one_more = set(smaller) < set(larger) and len(larger) == len(smaller) + 1
        assert view.has_edge(smaller, larger) == one_more
    write_graphml(view, tmp_path / "ladder.graphml")
    assert len(networkx.read_graphml(tmp_path / "ladder.graphml")) == rungs.count


def test_covering_check_notices_a_missing_point(monkeypatch: pytest.MonkeyPatch) -> None:
    rungs = rung_set(
        Ladder(Fraction(3), Fraction(1, 2), 5, axes=3), np.full((4, 4), 100, dtype=np.uint8)
    )
    whole = rungs.knapsack.masks(0, rungs.count)
    monkeypatch.setattr(type(rungs.knapsack), "masks", lambda self, start, stop: whole[:-1])
    assert not check_covering(rungs, graph(rungs)).complete


def test_graph_of_a_large_ladder_is_refused() -> None:
    with pytest.raises(RegionError, match="graph of"):
        graph(
            rung_set(Ladder(Fraction(20), Fraction(1, 16), 20), np.zeros((28, 28), dtype=np.uint8))
        )


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_nearest_float32_has_no_double_rounding(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    found = nearest_float32(numerator, denominator)
    error = abs(Fraction(float(found)) - exact)
    for neighbour in (
        np.nextafter(found, np.float32(-np.inf)),
        np.nextafter(found, np.float32(np.inf)),
    ):
        assert error <= abs(Fraction(float(neighbour)) - exact)


def test_double_rounding_case() -> None:
    """1 + 2^-24 + 2^-60 rounds up; through float64 it would become the tie 1 + 2^-24 and round down
    to even. And the reverse."""
    exact = Fraction(1) + Fraction(1, 2**24) + Fraction(1, 2**60)
    assert nearest_float32(exact.numerator, exact.denominator) == np.nextafter(
        np.float32(1), np.float32(2)
    )
    assert nearest_float32(2**24 + 1, 2**24) == np.float32(1)
    exact = Fraction(1) + Fraction(3, 2**24) - Fraction(1, 2**60)
    assert nearest_float32(exact.numerator, exact.denominator) == np.float32(1 + 2.0**-23)


@pytest.mark.parametrize("exponent", [-149, -148, -30, -24, -23, 3])
def test_nearest_float32_on_both_sides_of_a_middle(exponent: int) -> None:
    unit, little = Fraction(2) ** exponent, Fraction(1, 2**240)
    tiny = (0, 1, 5) if exponent == -149 else ()
    for below in (*tiny, 2**23, 2**23 + 1, 2**24 - 1):
        low, middle, high = below * unit, (below + Fraction(1, 2)) * unit, (below + 1) * unit
        even = low if below % 2 == 0 else high
        for exact, wanted in ((middle - little, low), (middle, even), (middle + little, high)):
            found = nearest_float32(exact.numerator, exact.denominator)
            assert Fraction(float(found)) == wanted


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_axes_come_by_their_exact_distance_from_the_mean(pixels: list[int]) -> None:
    distances = [abs(pixel - Fraction(sum(pixels), len(pixels))) for pixel in pixels]
    by_hand = [axis for _, axis in sorted((-far, axis) for axis, far in enumerate(distances))]
    # Beyond 64 bits too, where a distance is told apart by its last one.
    assert saliency_order(pixels) == saliency_order([p << 70 for p in pixels]) == by_hand
    assert saliency_order([*(1 << 70 for _ in range(3)), (1 << 70) + 4, (1 << 70) + 1]) == [
        *(3, 0, 1, 2, 4)
    ]


def test_8bit_grid_is_the_papers() -> None:
    """Duncan et al. 2020: the paper's m for 1/2 ... 1/64 are 128, 64, 32, 16, 8, 4, and a full flip
    for 1."""
    found = [nearest_8bit(Fraction(1, 2**k)) * 255 for k in range(7)]
    assert found == [255, 128, 64, 32, 16, 8, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": Fraction(0)}, "radius 0"),
        ({"radius": Fraction(-1)}, "radius -1"),
        ({"step": Fraction(0)}, "step 0"),
        ({"step": Fraction(3, 2)}, "step 1.5"),
        ({"features": 0}, "features 0"),
        ({"axes": 0}, "axes 0"),
    ],
)
def test_illegal_ladders_cannot_exist(change: dict[str, object], message: str) -> None:
    legal: dict[str, object] = {
        "radius": Fraction(20),
        "step": Fraction(1, 4),
        "features": 20,
        "axes": 10,
    }
    with pytest.raises(RegionError, match=message):
        Ladder(**{**legal, **change})  # type: ignore[arg-type]


def test_regions_that_do_not_fit_the_image() -> None:
    with pytest.raises(RegionError, match="at most 10"):
        rung_set(Ladder(Fraction(1), Fraction(1, 4), 20), np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(DatasetError, match="NaN"):
        rung_set(
            Ladder(Fraction(1), Fraction(1, 4), 1), np.full((10, 10), np.nan, dtype=np.float32)
        )
    with pytest.raises(RegionError, match="radius 'x'"):
        parse_fraction("x", "radius")
    with pytest.raises(RegionError, match="step '1/0'"):
        parse_fraction("1/0", "step")
