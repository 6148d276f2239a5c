"""FGSM, IFGSM and IFGM: against ART, their formulas, and networks whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import named
from relrob.domain.arrays import Floats, Ints
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels
from tests.attacks.art_nets import SHAPE, art_classifier, ours
from tests.attacks.floats import floats
from tests.support import random_dense

SIZES = (36, 24, 16, 5)
DENSE = random_dense(0, SIZES)


def tried(text: str, dense: Dense, images: Floats, goal: Goal, seed: int = 0) -> Attacked:
    opened, model = ours(dense)
    full, attack = named(text)
    return attacked(attack, full, opened, images, goal, model=model, seed=seed)


def cases(count: int = 60, seed: int = 1) -> tuple[Floats, Ints]:
    """Seeded images and the labels that the network gives them."""
    images = np.random.default_rng(seed).random((count, 36), dtype=np.float32)
    return images, labels(DenseGradients(DENSE).logits(images))


def gradient(images: Floats, goal: Goal) -> Floats:
    seeds, _ = seeds_of(cross_entropy(goal), np.arange(len(images)))
    return DenseGradients(DENSE).pulled(images, seeds)[1]


def art_images(attack: Any, images: Floats, goal: Goal) -> Floats:
    wanted = np.eye(5)[goal.labels if goal.targets is None else goal.targets]
    found = attack.generate(images.reshape(-1, *SHAPE), wanted)
    return np.asarray(found, np.float32).reshape(len(images), -1)


def same(one: Floats, other: Floats, share: float = 0.999) -> bool:
    """Are the images equal, but for pixels whose gradient is 0 up to rounding?"""
    return bool(np.isclose(one, other, atol=1e-5).mean() >= share)


@pytest.mark.parametrize("targeted", [False, True])
def test_fgsm_is_arts(targeted: bool) -> None:
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs ART")
    images, true = cases()
    goal = Goal(true, (true + 1) % 5 if targeted else None)
    attack = evasion.FastGradientMethod(art_classifier(DENSE), eps=0.1, targeted=targeted)
    found = tried("fgsm:eps=0.1", DENSE, images, goal)
    assert same(found.adversarial, art_images(attack, images, goal))
    assert found.gradients.tolist() == [1] * len(images) and not found.queries.any()


@pytest.mark.parametrize(
    ("clip_ref", "radius"), [("previous", 0.02 * 6), ("none", 0.02 * 6), ("clean", 0.02)]
)
def test_ifgsm_is_arts_bim(clip_ref: str, radius: float) -> None:
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs ART")
    images, true = cases()
    goal = Goal(true)
    attack = evasion.BasicIterativeMethod(
        art_classifier(DENSE), eps=radius, eps_step=0.02, max_iter=6, verbose=False
    )
    found = tried(f"ifgsm:eps=0.02:steps=6:clip_ref={clip_ref}", DENSE, images, goal)
    assert same(found.adversarial, art_images(attack, images, goal), 0.99)


def test_ifgsm_around_the_clean_image_is_weaker() -> None:
    images, true = cases()
    rates = [
        tried(f"ifgsm:eps=0.02:steps=12:clip_ref={word}", DENSE, images, Goal(true)).success.mean()
        for word in ("clean", "previous")
    ]
    assert rates[0] < 0.4 and rates[1] > 0.9


def test_ifgm_is_its_formula() -> None:
    images, true = cases()
    goal = Goal(true)
    eps = 0.05
    expected: dict[str, Floats] = {}
    for clip_ref in ("previous", "clean", "none"):
        here: Any = images
        for _ in range(3):
            move = eps * gradient(here, goal)
            if clip_ref == "previous":
                move = np.clip(move, -eps, eps)
            here = here + move
            if clip_ref == "clean":
                here = np.clip(here, images - eps, images + eps)
            here = np.clip(here, 0, 1)
        expected[clip_ref] = here
        found = tried(f"ifgm:eps={eps}:steps=3:clip_ref={clip_ref}", DENSE, images, goal)
        assert np.allclose(found.adversarial, here, atol=1e-6)
    assert not np.allclose(expected["clean"], expected["none"], atol=1e-3)


def test_ifgm_does_not_depend_on_the_batch() -> None:
    images, true = cases(12)
    whole = tried("ifgm:eps=2:steps=4", DENSE, images, Goal(true)).adversarial
    alone = [
        tried("ifgm:eps=2:steps=4", DENSE, images[[row]], Goal(true[[row]])).adversarial[0]
        for row in range(12)
    ]
    assert np.allclose(whole, np.stack(alone), atol=1e-6)
    assert not np.allclose(whole, images, atol=1e-2)


@pytest.mark.parametrize("name", ["ifgsm", "ifgm"])
def test_a_model_that_reads_twice_the_range_moves_half_as_far(name: str) -> None:
    images, true = cases()
    first, *others = DENSE.layers
    # The same function of values v = 2 x - 1: x W + b = v (W / 2) + (b + the sum of W / 2).
    half = floats(first.weights / 2)
    shifted = Dense((Layer(half, first.bias + half.sum(axis=0), relu=True), *others))
    eps = 0.03
    values: Any = 2 * images - 1
    for _ in range(3):
        seeds, _ = seeds_of(cross_entropy(Goal(true)), np.arange(len(images)))
        slope = DenseGradients(shifted).pulled(values, seeds)[1]
        move = eps * (np.sign(slope) if name == "ifgsm" else slope)
        values = np.clip(values + np.clip(move, -eps, eps), -1, 1)
    found = tried(f"{name}:eps={eps}:steps=3:eps_space=model", DENSE, images, Goal(true))
    assert same(2 * found.adversarial - 1, values, 0.99)


@pytest.mark.parametrize("name", ["fgsm", "ifgsm", "ifgm"])
def test_a_constant_network_and_one_that_breaks(name: str) -> None:
    constant = Dense((Layer(np.zeros((36, 5), np.float32), np.arange(5, dtype=np.float32), False),))
    images, _ = cases(8)
    found = tried(name, constant, images, Goal(np.full(8, 4)))
    assert not found.success.any() and np.array_equal(found.adversarial, images)
    weights = np.zeros((36, 5), np.float32)
    weights[:, 0], weights[:, 1] = -1, 1
    linear = Dense((Layer(weights, floats([35.9, -35.9, -99, -99, -99]), False),))
    near = np.full((8, 36), 0.99, np.float32)
    assert tried(f"{name}:eps=0.5", linear, near, Goal(np.zeros(8, int))).success.all()


def test_the_radius_of_fgsm_is_never_exceeded_as_exact_numbers() -> None:
    images, true = cases(200)
    for eps in (0.1, 1 / 3, 8 / 255, 0.007):
        found = tried(f"fgsm:eps={eps}", DENSE, images, Goal(true))
        assert found.distances(Norm.LINF).max() <= eps
        assert found.distances(Norm.LINF).min() > eps * 0.999
