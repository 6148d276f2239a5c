"""DDN: exact distances on one layer and on a cone, brute force on two pixels, and on what it cannot
break."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.parameters import named
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense
from relrob.errors import UsageError
from tests import attack_cases as cases
from tests.make_networks import forward
from tests.support import random_dense


@pytest.mark.parametrize(("classes", "most"), [(2, 1.03), (5, 1.4)])
def test_near_the_exact_distance_of_one_layer_and_never_below_it(classes: int, most: float) -> None:
    """The gradient of the cross-entropy of many classes mixes their boundaries."""
    dense, images = cases.linear(classes=classes), cases.images(20)
    labels = forward(dense, images).argmax(axis=1)
    found = cases.attack("ddn:steps=200", dense, images)
    exact = cases.linear_distance(dense, images, labels)
    assert found.success.all()
    ratio = cases.norms(found) / exact
    assert (ratio >= 0.9999).all() and ratio.max() < most


def test_the_middle_of_a_cone() -> None:
    image = cases.single([[0.51, 0.48], [0.6, 0.52], [0.55, 0.58]])
    found = cases.attack("ddn:steps=200:start=0.3", cases.cone(), image)
    left = 0.25 - np.abs(image - 0.5).sum(axis=1)
    ratio = cases.norms(found) / (left / np.sqrt(2))
    assert found.success.all() and (ratio > 0.999).all() and (ratio < 1.1).all()


def nearest(dense: Dense, image: Floats) -> float:
    """The distance of the nearest point of another label on a fine grid of two pixels."""
    grid = np.linspace(0, 1, 401, dtype=np.float32)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    said = forward(dense, points).argmax(axis=1)
    wrong = points[said != int(forward(dense, image[None]).argmax())]
    return float(np.linalg.norm(wrong.astype(np.float64) - image, axis=1).min(initial=np.inf))


def test_brute_force_on_two_pixels() -> None:
    rng, ratios = np.random.default_rng(0), []
    for seed in range(10):
        dense = random_dense(seed, (2, 8, 8, 3))
        image = rng.random((1, 2), dtype=np.float32)
        exact = nearest(dense, image[0])
        found = cases.attack("ddn:steps=200:start=0.2", dense, image)
        if not np.isfinite(exact):
            assert not found.success.any()
            continue
        if found.success[0]:
            ratios.append(float(cases.norms(found)[0]) / exact)
    assert len(ratios) >= 4
    assert min(ratios) > 1 - 0.03 and float(np.median(ratios)) < 1.1


def test_it_never_finds_what_is_not_there() -> None:
    found = cases.attack("ddn:steps=20", cases.constant(), cases.images(4))
    assert not found.success.any() and np.isinf(found.history[-1]).all()
    assert np.isfinite(found.adversarial).all()


def test_levels_put_every_try_on_their_grid() -> None:
    images = (np.rint(cases.images(10) * 15) / 15).astype(np.float32)
    found = cases.attack("ddn:levels=16", cases.deep(), images)
    assert found.success.any()
    assert np.allclose(found.adversarial * 15, np.rint(found.adversarial * 15), atol=1e-4)
    free = cases.attack("ddn", cases.deep(), images)
    assert not np.allclose(free.adversarial * 15, np.rint(free.adversarial * 15), atol=1e-4)


def test_targets_are_reached() -> None:
    found = cases.attack("ddn", cases.deep(1), cases.images(10), targets=np.full(10, 2))
    assert found.success.all() and (found.found == 2).all()
    anything = cases.attack("ddn", cases.deep(1), cases.images(10))
    other = forward(cases.deep(1), cases.images(10)).argmax(axis=1) != 2
    assert (cases.norms(found)[other] >= cases.norms(anything)[other] * 0.9).all()


def test_the_nearest_try_is_kept() -> None:
    found = cases.attack("ddn", cases.deep(), cases.images(10))
    steps = np.array(found.history)
    assert (np.diff(steps, axis=0)[np.isfinite(steps[:-1])] <= 0).all()
    assert np.allclose(steps[-1], cases.norms(found), rtol=1e-4)
    assert (found.gradients == 100).all()


def test_a_random_direction_is_seeded() -> None:
    dense, images = cases.constant(), cases.images(3)
    one, two = (cases.attack("ddn:steps=5", dense, images, seed=seed) for seed in (0, 0))
    three = cases.attack("ddn:steps=5", dense, images, seed=1)
    assert (one.adversarial == two.adversarial).all()
    assert (one.adversarial != three.adversarial).any()


def test_a_bad_parameter_is_refused_in_one_line() -> None:
    for text in ("steps=0", "gamma=0", "gamma=1", "start=0", "levels=1", "levels=-2"):
        with pytest.raises(UsageError, match=text.partition("=")[0]):
            named(f"ddn:{text}")
