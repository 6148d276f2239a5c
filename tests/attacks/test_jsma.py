"""JSMA: ART's images, the pairwise map by brute force, one layer in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.attack import distances
from relrob.attacks.jsma import best_pair
from relrob.attacks.parameters import named
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Norm
from relrob.errors import UsageError
from tests import attack_cases as cases
from tests.make_networks import forward


@pytest.mark.parametrize("theta", [1.0, 0.3])
@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_the_images_of_art(theta: float, gamma: float) -> None:
    pytest.importorskip("art", reason="needs relrob[art]")
    dense, images = cases.deep(1), cases.images(8, low=0, high=1)
    targets = (forward(dense, images).argmax(axis=1) + 1 + np.arange(8) % 4) % 5
    mine = cases.attack(f"jsma:theta={theta}:gamma={gamma}", dense, images, targets=targets)
    text = f"art:jsma:theta={theta}:gamma={gamma}"
    theirs = cases.attack(text, dense, images, targets=targets)
    assert (mine.adversarial != images).any(axis=1).all()
    assert (mine.success == theirs.success).all() and (gamma < 1 or mine.success.any())
    assert np.allclose(mine.adversarial, theirs.adversarial, atol=1e-6)


def test_one_layer_moves_the_largest_weights_first() -> None:
    dense = cases.linear()
    images, target = cases.images(6), 2
    labels = np.where(forward(dense, images).argmax(axis=1) == target, 0, 1)
    targets = np.full(6, target)
    found = cases.attack("jsma:gamma=0.05", dense, images, labels=labels, targets=targets)
    best = np.argsort(-dense.layers[0].weights[:, target])
    for image, clean in zip(found.adversarial, images, strict=True):
        moved = set(np.flatnonzero(image != clean).tolist())
        assert moved == set(best[: len(moved)].tolist())
        assert (image[sorted(moved)] == 1).all()


@pytest.mark.parametrize("mode", ["art", "papernot"])
def test_no_more_pixels_than_gamma_and_two(mode: str) -> None:
    dense, images = cases.deep(3), cases.images(20, seed=3)
    few = cases.attack(f"jsma:theta=0.2:gamma=0.1:mode={mode}", dense, images)
    changed = distances(few.adversarial, images, Norm.L0)
    assert changed.max() <= 0.1 * cases.PIXELS + 2 and changed.max() >= 2
    many = cases.attack(f"jsma:theta=1:gamma=1:mode={mode}", dense, images)
    assert many.success.any() and distances(many.adversarial, images, Norm.L0).max() > 6


def test_the_best_pair_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    none = 0
    for _ in range(300):
        count = int(rng.integers(0, 12))
        alpha, beta = np.round(rng.standard_normal((2, count)) * 2).astype(np.float32) / 2
        free = np.flatnonzero(rng.random(count) < 0.8)
        values = {
            (int(p), int(q)): -(alpha[p] + alpha[q]) * (beta[p] + beta[q])
            for at, p in enumerate(free)
            for q in free[at + 1 :]
            if alpha[p] + alpha[q] > 0 and beta[p] + beta[q] < 0
        }
        found = best_pair(alpha, beta, free)
        none += not values
        assert (found is None) == (not values)
        if found is not None:
            assert values[found] == max(values.values())
    assert 20 < none < 280


def test_the_pairwise_map_avoids_pixels_that_help_the_other_classes() -> None:
    weights = np.zeros((cases.PIXELS, 3), np.float32)
    weights[0], weights[1], weights[2], weights[3] = (0, 3, 4), (0, 3, 4), (0, 2, -2), (0, 2, -2)
    dense = Dense((Layer(weights, cases.single([5, 0, 0]), relu=False),))
    images, targets = cases.images(2), np.array([1, 1])
    moved = [
        np.flatnonzero((found.adversarial != images).any(axis=0)).tolist()
        for found in (
            cases.attack(f"jsma:gamma=0.03:mode={mode}", dense, images, targets=targets)
            for mode in ("art", "papernot")
        )
    ]
    assert moved == [[0, 1], [2, 3]]


def test_the_pairwise_map_breaks_networks() -> None:
    dense, images = cases.deep(), cases.images(20)
    targets = (forward(dense, images).argmax(axis=1) + 1) % 5
    found = cases.attack("jsma:gamma=1:mode=papernot", dense, images, targets=targets)
    assert found.success.mean() > 0.5
    assert (found.found[found.success] == targets[found.success]).all()


@pytest.mark.parametrize("mode", ["art", "papernot"])
def test_a_negative_theta_darkens(mode: str) -> None:
    dense, images = cases.deep(1), cases.images(15)
    found = cases.attack(f"jsma:theta=-1:gamma=1:mode={mode}", dense, images)
    assert (found.adversarial <= images).all() and found.success.any()
    assert (found.adversarial[found.adversarial != images] == 0).all()


def test_random_targets_are_seeded_and_never_the_label() -> None:
    dense, images = cases.deep(), cases.images(40)
    one = cases.attack("jsma:gamma=0.3", dense, images, seed=1)
    assert (
        one.adversarial == cases.attack("jsma:gamma=0.3", dense, images, seed=1).adversarial
    ).all()
    other = cases.attack("jsma:gamma=0.3", dense, images, seed=2)
    assert (one.adversarial != other.adversarial).any()
    assert (one.adversarial != images).any(axis=1).all()


@pytest.mark.parametrize("mode", ["art", "papernot"])
def test_it_never_finds_what_is_not_there(mode: str) -> None:
    found = cases.attack(f"jsma:mode={mode}", cases.constant(), cases.images(3))
    assert not found.success.any() and np.isinf(found.history[-1]).all()


def test_white_images_have_nothing_to_add_to() -> None:
    images = np.ones((3, cases.PIXELS), np.float32)
    found = cases.attack("jsma", cases.deep(), images)
    assert (found.adversarial == images).all() and not found.success.any()
    assert found.words == {} and (found.gradients > 0).all()


@pytest.mark.parametrize("mode", ["art", "papernot"])
def test_an_image_of_one_pixel_has_no_pair(mode: str) -> None:
    """Label 1 where the pixel is above 1/2."""
    dense = Dense((Layer(cases.single([[-1, 1]]), cases.single([0.5, -0.5]), relu=False),))
    images = cases.single([[0.2], [0.4]])
    found = cases.attack(f"jsma:mode={mode}", dense, images)
    assert found.adversarial.tolist() == ([[1], [1]] if mode == "art" else images.tolist())
    words = "no pair of pixels left"
    assert found.words == ({} if mode == "art" else {0: words, 1: words})


def test_a_bad_parameter_is_refused_in_one_line() -> None:
    for text in ("theta=0", "theta=2", "gamma=0", "gamma=1.5", "mode=pairs"):
        with pytest.raises(UsageError, match=text.partition("=")[0]):
            named(f"jsma:{text}")
