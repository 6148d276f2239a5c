"""Pruning masks as pure functions, against loops over single weights."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.compress.pruning.activations import kept_units
from relrob.compress.pruning.asked import Pruning
from relrob.compress.pruning.filters import kept_filters
from relrob.compress.pruning.magnitude import density_of, deviations, kept, thresholds
from relrob.compress.pruning.surgery import (
    Surgery,
    first_threshold,
    rate_of,
    running_threshold,
    updated,
)
from relrob.errors import UsageError

RNG = np.random.default_rng(1)
KERNELS = [RNG.normal(0, scale, shape) for scale, shape in ((1.0, (6, 10)), (0.1, (10, 4)))]


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_share_that_stays_is_that_of_the_largest(density: float, scope: str) -> None:
    levels = thresholds(KERNELS, density, scope)
    masks = [kept(kernel, level) for kernel, level in zip(KERNELS, levels, strict=True)]
    groups = [[0], [1]] if scope == "layer" else [[0, 1]]
    for group in groups:
        sizes = np.concatenate([np.abs(KERNELS[n]).reshape(-1) for n in group])
        stays = np.concatenate([masks[n].reshape(-1) for n in group])
        assert stays.sum() == round(density * len(sizes))
        if not stays.all():
            assert sizes[stays].min() >= sizes[~stays].max()
    assert density_of(masks) == pytest.approx(density, abs=0.02)


def test_thresholds_of_deviations() -> None:
    assert deviations(KERNELS[0], 0.5) == pytest.approx(0.5 * KERNELS[0].std())


def test_surgery_follows_the_three_rules() -> None:
    mask, weights = RNG.random(200) < 0.5, RNG.uniform(-2, 2, 200)
    found = updated(mask, weights, 1.0)
    for before, weight, after in zip(mask, weights, found, strict=True):
        size = abs(weight)
        assert after == (False if size < 0.9 else True if size > 1.1 else before)


def test_thresholds_of_surgery() -> None:
    live = np.abs(np.concatenate([KERNELS[0].reshape(-1), [0.5]]))
    wanted = live.mean() + 0.3 * live.std()
    assert first_threshold(KERNELS[0], np.array([0.5, 0.0]), 0.3) == pytest.approx(wanted)
    assert first_threshold(KERNELS[0], np.array([0.0]), -9.0) == 0
    for density in (0.1, 0.5):
        level = running_threshold(KERNELS[0], rate_of(KERNELS[0], density))
        first = updated(np.ones(KERNELS[0].shape, bool), KERNELS[0], level * (1 - 1e-12))
        assert first.sum() == round(density * KERNELS[0].size)
    plan = Surgery(gamma=1e-4, power=2.0, last=50)
    assert plan.probability(10) == pytest.approx((1 + 1e-3) ** -2)
    assert plan.probability(50) == 0


@pytest.mark.parametrize(("keep", "away"), [(0.9, 1), (0.7, 3), (0.85, 1), (1.0, 0)])
def test_filters_of_least_norm_go(keep: float, away: int) -> None:
    kernel = RNG.normal(size=(3, 3, 2, 10))
    mask = kept_filters(kernel, keep)
    norms = [np.linalg.norm(kernel[..., n]) for n in range(10)]
    assert sorted(np.flatnonzero(~mask)) == sorted(np.argsort(norms)[:away])


def test_units_and_channels_of_least_mean_go() -> None:
    means = RNG.random((4, 4, 10))
    units = kept_units(means, 0.7)
    assert (~units).sum() == 48
    assert means[units].min() >= means[~units].max()
    channels = kept_units(means, 0.7, "channel")
    gone = np.argsort(means.mean(axis=(0, 1)))[:3]
    assert not channels[..., gone].any()
    assert channels.sum() == 4 * 4 * 7
    with pytest.raises(UsageError, match="granularity 'row'"):
        kept_units(means, 0.7, "row")


WRONG = [
    ({"method": "magic"}, "magnitude, surgery, soft-filter, activations"),
    ({"density": 0.0}, "above 0"),
    ({"density": 0.5, "threshold": 0.1}, "one or the other"),
    ({"gradients": "full"}, "gradients with method magnitude"),
    ({"method": "soft-filter", "scope": "layer"}, "scope with magnitude"),
    ({"method": "surgery"}, "nothing comes back"),
    ({"method": "surgery", "epochs": 1, "gradients": "half"}, "full, masked"),
    ({"scope": "all"}, "layer, global"),
    ({"epochs": -1}, "0 or more"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_illegal_requests_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Pruning(**options)  # type: ignore[arg-type]


def test_a_request_has_one_text() -> None:
    assert Pruning().text == Pruning(density=0.3, scope="layer").text
    assert Pruning("activations", density=0.5).text == (
        "activations:density=0.5:block=last:granularity=unit"
    )
