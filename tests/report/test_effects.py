"""Effects of pairs against scipy's bootstrap, and the rules by which claims are judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from relrob.domain.arrays import Doubles
from relrob.report.study.effects import Effect, apart, effect
from relrob.report.study.judgement import Judgement
from relrob.report.study.sampled import Sampled, mean_of


def test_the_interval_is_the_one_of_scipys_bootstrap() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.5, 0.2, 30), rng.normal(0.4, 0.2, 30)
    found = effect(
        {(k,): float(v) for k, v in enumerate(first)},
        {(k,): float(v) for k, v in enumerate(second)},
    )
    assert found is not None
    theirs = bootstrap(
        (first - second,), np.mean, method="percentile", n_resamples=20_000, rng=rng
    ).confidence_interval
    assert found.mean == pytest.approx(float((first - second).mean()))
    assert found.low == pytest.approx(theirs.low, abs=0.01)
    assert found.high == pytest.approx(theirs.high, abs=0.01)
    assert found.size == pytest.approx(
        float((first - second).mean() / (first - second).std(ddof=1))
    )


def test_pairs_of_one_seed_are_one_unit() -> None:
    """A hundred copies of each difference tell no more than one."""
    base = {(seed, 0): value for seed, value in enumerate([0.3, -0.1, 0.2])}
    copies = {(seed, run): base[seed, 0] for seed in range(3) for run in range(100)}
    zero = dict.fromkeys(copies, 0.0)
    one, many = effect(base, zero), effect(copies, zero)
    assert one is not None
    assert many is not None
    assert (many.low, many.high) == pytest.approx((one.low, one.high))
    assert many.clusters == 3
    assert one.low == pytest.approx(-0.1)
    assert one.high == pytest.approx(0.3)


def test_only_pairs_that_both_have_count() -> None:
    found = effect({(0, 0): 1.0, (1, 0): 2.0}, {(1, 0): 1.5, (2, 0): 0.0})
    assert found is not None
    assert (found.mean, found.pairs, found.size) == (0.5, 1, None)
    assert effect({(0, 0): 1.0}, {(1, 0): 1.0}) is None


@pytest.mark.parametrize(
    ("low", "high", "clusters", "sign", "says"),
    [
        (0.1, 0.3, 3, 1, Judgement.REPRODUCED),
        (0.1, 0.3, 3, -1, Judgement.NOT),
        (-0.3, -0.1, 3, -1, Judgement.REPRODUCED),
        (-0.1, 0.3, 3, 1, Judgement.OPEN),
        (0.0, 0.0, 3, 1, Judgement.OPEN),
        (0.1, 0.3, 2, 1, Judgement.OPEN),
    ],
)
def test_a_direction_needs_the_whole_interval_and_three_seeds(
    low: float, high: float, clusters: int, sign: int, says: Judgement
) -> None:
    assert (
        Effect((low + high) / 2, low, high, None, clusters, clusters, clusters).judged(sign) is says
    )


def test_a_margin_moves_the_bar() -> None:
    found = Effect(0.2, 0.1, 0.3, 1.0, 3, 3, 3)
    assert found.judged(1, margin=0.05) is Judgement.REPRODUCED
    assert found.judged(1, margin=0.2) is Judgement.OPEN
    assert found.judged(1, margin=0.4) is Judgement.NOT


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.01, 0.02, Judgement.REPRODUCED),
        (-0.01, 0.04, Judgement.OPEN),
        (0.04, 0.06, Judgement.NOT),
        (-0.06, -0.04, Judgement.NOT),
    ],
)
def test_nearness_needs_both_ends(low: float, high: float, says: Judgement) -> None:
    assert Effect(0.0, low, high, None, 3, 3, 3).near(0.03) is says


def test_runs_are_the_units_of_one_seed_and_the_text_says_so() -> None:
    runs = {(0, run): value for run, value in enumerate([0.1, 0.2, 0.3])}
    found = effect(runs, dict.fromkeys(runs, 0.0))
    assert found is not None
    assert (found.clusters, found.pairs, found.seeds) == (3, 3, 1)
    assert "1 seed, 3 pairs" in found.text
    assert found.judged(+1) is Judgement.REPRODUCED


def shared(count: int, gap: float) -> tuple[dict[tuple[int, int], Sampled], Doubles]:
    """Three seeds whose differences are `gap` and the same noise of `count` images; this noise."""
    noise = np.random.default_rng(3).normal(0, 1, count)
    found = mean_of("mnist", np.arange(count), gap + noise)
    assert found is not None
    return {(seed, 0): found for seed in range(3)}, noise


def test_images_that_all_seeds_share_widen_the_interval_as_the_draw_of_images_does() -> None:
    figures, noise = shared(100, 1.0)
    found = effect(figures, dict.fromkeys(figures, 0.0))
    theirs = bootstrap((1.0 + noise,), np.mean, method="percentile", rng=1).confidence_interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    plain = {key: figure.value for key, figure in figures.items()}
    blind = effect(plain, dict.fromkeys(plain, 0.0))
    assert blind is not None
    assert blind.high - blind.low < 1e-9


def test_seeds_of_images_of_their_own_share_no_noise() -> None:
    figures, noise = shared(100, 1.0)
    own = {}
    for seed in range(3):
        found = mean_of("mnist", 1000 * seed + np.arange(100), 1.0 + noise)
        assert found is not None
        own[seed, 0] = found
    together, alone = (effect(each, dict.fromkeys(each, 0.0)) for each in (figures, own))
    assert together is not None
    assert alone is not None
    # Three times as many images; a seed that is drawn twice brings its own twice.
    shrunk = (alone.high - alone.low) / (together.high - together.low)
    assert 1 / np.sqrt(3) < shrunk < 0.9


def test_groups_apart_need_no_common_key() -> None:
    rng = np.random.default_rng(9)
    first = {(seed, run): float(v) for seed in range(3) for run, v in enumerate(rng.random(3) + 1)}
    second = {(0, run): float(v) for run, v in enumerate(rng.random(3))}
    found = apart(first, second)
    assert found is not None
    mean = float(np.mean(list(first.values())) - np.mean(list(second.values())))
    assert found.mean == pytest.approx(mean)
    assert (found.clusters, found.pairs, found.seeds) == (3, 12, 1)
    paired = effect(first, second)
    assert paired is not None
    assert paired.pairs == 3
    assert apart(first, {}) is None
    two = apart(first, {(0, 0): 0.1, (0, 1): 0.2})
    assert two is not None
    assert two.judged(+1) is Judgement.OPEN


def test_the_size_of_groups_apart_is_over_the_spread_of_both() -> None:
    first = {(seed, 0): value for seed, value in enumerate([1.0, 2.0, 3.0])}
    second = {(seed, 0): value for seed, value in enumerate([0.0, 0.0, 3.0])}
    found = apart(first, second)
    assert found is not None
    assert found.size == pytest.approx(1.0 / np.sqrt((1.0 + 3.0) / 2))


def test_rounding_is_no_spread() -> None:
    first = {(seed, 0): 0.1 + 0.2 + 0.001 * seed for seed in range(3)}
    found = effect(first, {(seed, 0): 0.001 * seed for seed in range(3)})
    assert found is not None
    assert found.size is None
