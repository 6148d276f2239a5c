"""Universal perturbations: ART's, each algorithm written again one image at a time, kept and added
to other images of other networks."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from relrob.attacks.attack import attacked, generator
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.attacks.universal import Applied, Fitted, Universal, added
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Dense
from relrob.errors import ShapeError, UsageError
from tests import attack_cases as cases
from tests.make_networks import forward, softmax
from tests.support import numpy_opened

EVERY = ("uap", "uap-deepfool", "sgd-uap")


def fit(text: str, dense: Dense, images: Floats, goal: Goal, rng: Any = None) -> Fitted:
    full, attack = named(text)
    assert isinstance(attack, Universal)
    opened = numpy_opened(dense, (1, dense.inputs, 1))
    victim = Victim(opened, len(images), DenseGradients(dense))
    return attack.fit(victim, images, goal, rng or generator(0, full))


def labels_of(dense: Dense, images: Floats | Doubles) -> Ints:
    return np.asarray(forward(dense, images).argmax(axis=1))


def slope(dense: Dense, image: Doubles, label: int) -> Doubles:
    """The gradient of the cross-entropy of one image, by products of matrices."""
    values, jacobian = image, np.eye(len(image))
    for layer in dense.layers:
        weights = layer.weights.astype(np.float64)
        values, jacobian = values @ weights + layer.bias, jacobian @ weights
        if layer.relu:
            values, jacobian = np.maximum(values, 0), jacobian * (values > 0)
    return np.asarray(jacobian @ (softmax(values[None])[0] - np.eye(len(values))[label]))


class InOrder:
    """A generator whose permutations are given."""

    def __init__(self, orders: list[list[int]]) -> None:
        self._orders = iter(orders)

    def permutation(self, count: int) -> Ints:
        return np.array(next(self._orders), np.int64)


def test_uap_is_that_of_art_in_the_same_order() -> None:
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs relrob[art]")
    art = pytest.importorskip("relrob.attacks.art_estimator")
    dense, images = cases.deep(1), cases.images(25, low=0, high=1)
    labels = labels_of(dense, images)
    opened = numpy_opened(dense, (1, dense.inputs, 1))
    estimator = art.Estimator(
        Victim(opened, len(images), DenseGradients(dense)), np.arange(len(images)), True
    )
    theirs = evasion.UniversalPerturbation(
        estimator, "fgsm", {"eps": 0.1}, delta=0.1, max_iter=4, eps=0.3, verbose=False
    )
    random.seed(7)
    theirs.generate(estimator.shaped(images), y=labels)
    random.seed(7)
    orders = [random.sample(range(25), 25) for _ in range(4)]
    mine = fit(
        "uap:eps=0.1:xi=0.3:delta=0.1:passes=4", dense, images, Goal(labels), InOrder(orders)
    )
    assert np.abs(mine.perturbation).max() > 0.05
    assert np.allclose(mine.perturbation, theirs.noise.reshape(-1), atol=1e-5)
    assert mine.fooling == pytest.approx(theirs.fooling_rate)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_uap_tried_ahead_is_uap_one_by_one(seed: int) -> None:
    dense, images = cases.deep(seed), cases.images(30, seed=seed, low=0, high=1)
    labels = labels_of(dense, images)
    orders = [np.random.default_rng(seed + at).permutation(30).tolist() for at in range(3)]
    noise, fooled, passes = np.zeros(cases.PIXELS), 0.0, 0
    while fooled < 0.9 and passes < 3:
        for at in orders[passes]:
            moved = images[at] + noise
            if labels_of(dense, moved[None])[0] != labels[at]:
                continue
            step = np.clip(moved + 0.15 * np.sign(slope(dense, moved, int(labels[at]))), 0, 1)
            step = moved + np.clip(step - moved, -0.15, 0.15)
            if labels_of(dense, step[None])[0] != labels[at]:
                noise = np.clip(step - images[at], -0.25, 0.25)
        passes += 1
        fooled = float((labels_of(dense, np.clip(images + noise, 0, 1)) != labels).mean())
    text = "uap:eps=0.15:xi=0.25:delta=0.1:passes=3"
    mine = fit(text, dense, images, Goal(labels), InOrder(orders))
    assert np.allclose(mine.perturbation, noise, atol=1e-5) and noise.any()
    assert mine.passes == passes and mine.fooling == pytest.approx(fooled)
    assert mine.converged == (fooled >= 0.9)


def test_sgd_uap_is_the_loop_of_its_paper() -> None:
    dense, images = cases.deep(2), cases.images(20, low=0, high=1)
    labels = labels_of(dense, images)
    orders = [np.random.default_rng(at).permutation(20).tolist() for at in range(3)]
    delta = np.zeros(cases.PIXELS)
    for order in orders:
        for first in range(0, 20, 8):
            pull = np.zeros(cases.PIXELS)
            for at in order[first : first + 8]:
                moved = np.clip(images[at] + delta, 0, 1)
                chance = softmax(forward(dense, moved[None]))[0, labels[at]]
                if -np.log(chance) <= 1.5:
                    inside = (images[at] + delta >= 0) & (images[at] + delta <= 1)
                    pull += slope(dense, moved, int(labels[at])) * inside
            delta = np.clip(delta + 0.8 * 0.1 * np.sign(pull), -0.1, 0.1)
    text = "sgd-uap:eps=0.1:epochs=3:batch=8:beta=1.5"
    mine = fit(text, dense, images, Goal(labels), InOrder(orders))
    assert np.allclose(mine.perturbation, delta, atol=1e-5)
    assert len(np.unique(np.abs(mine.perturbation).round(4))) > 1


@pytest.mark.parametrize("name", EVERY)
def test_no_pixel_moves_farther_than_the_bound(name: str) -> None:
    bound = "eps" if name == "sgd-uap" else "xi"
    dense, images = cases.deep(1), cases.images(30)
    found = cases.attack(f"{name}:{bound}=0.07", dense, images)
    assert found.fitted is not None and found.fitted.perturbation.any()
    assert float(np.abs(found.fitted.perturbation).max()) <= 0.07
    assert np.abs(found.adversarial - images).max() <= 0.07 + 1e-6
    assert np.array_equal(found.adversarial, added(images, found.fitted.perturbation))


@pytest.mark.parametrize("name", EVERY)
def test_one_perturbation_fools_many_images(name: str) -> None:
    dense, images = cases.linear(classes=2), cases.images(40)
    labels = labels_of(dense, images)
    one_label = images[labels == labels[0]]
    found = cases.attack(name.replace("sgd-uap", "sgd-uap:eps=0.3"), dense, one_label)
    assert found.success.mean() > 0.75
    assert found.fitted is not None and found.fitted.fooling == found.success.mean()


@pytest.mark.parametrize("name", EVERY)
def test_it_never_finds_what_is_not_there(name: str) -> None:
    found = cases.attack(name, cases.constant(), cases.images(5))
    assert not found.success.any() and found.fitted is not None
    assert found.fitted.fooling == 0 and not found.fitted.converged


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_the_same_bytes(name: str) -> None:
    dense, images = cases.deep(1), cases.images(30)
    small = f"{name}:" + ("eps=0.05:batch=7" if name == "sgd-uap" else "xi=0.05:delta=0")
    one, two, three = (cases.attack(small, dense, images, seed=seed) for seed in (0, 0, 1))
    assert (one.adversarial == two.adversarial).all()
    assert (one.adversarial != three.adversarial).any()


def test_targets_pull_all_images_to_one_label() -> None:
    dense, images = cases.linear(2), cases.images(30)
    goal = Goal(labels_of(dense, images), np.full(30, 3))
    before = (labels_of(dense, images) == 3).mean()
    for name in EVERY:
        mine = fit(name.replace("sgd-uap", "sgd-uap:eps=0.2:batch=10"), dense, images, goal)
        after = (labels_of(dense, added(images, mine.perturbation)) == 3).mean()
        assert after == pytest.approx(mine.fooling) and after > max(before, 0.7)


def test_restarts_keep_the_perturbation_that_fools_most() -> None:
    dense, images = cases.deep(3), cases.images(40)
    goal = Goal(labels_of(dense, images))
    text = "sgd-uap:eps=0.04:batch=5:epochs=2"
    several = fit(f"{text}:restarts=4", dense, images, goal, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    each = [fit(text, dense, images, goal, rng) for _ in range(4)]
    best = max(each, key=lambda one: one.fooling)
    assert several.fooling == best.fooling and several.passes == 8
    assert np.array_equal(several.perturbation, best.perturbation)


def test_a_kept_perturbation_on_other_images_of_another_network() -> None:
    dense, images = cases.deep(1), cases.images(30)
    mine = fit("sgd-uap:eps=0.2", dense, images, Goal(labels_of(dense, images)))
    other, more = cases.deep(4), cases.images(9, seed=9)
    opened = numpy_opened(other, (1, other.inputs, 1))
    goal = Goal(labels_of(other, more))
    found = attacked(Applied(mine.perturbation), "kept", opened, more, goal)
    assert np.array_equal(found.adversarial, added(more, mine.perturbation))
    assert found.on_model is None and found.fitted is None and found.queries.sum() == 0
    assert (found.found == labels_of(other, found.adversarial)).all()


def test_a_perturbation_is_flat_finite_and_of_the_size_of_the_images() -> None:
    with pytest.raises(ShapeError, match="shape"):
        Applied(np.zeros((2, 3), np.float32))
    with pytest.raises(UsageError, match="NaN"):
        Fitted(cases.single([np.nan]), 0, False, 1)
    with pytest.raises(ShapeError, match="3 pixels"):
        added(cases.images(2), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        Applied(np.zeros(3, np.float32)).perturbation[0] = 1


def test_a_bad_parameter_is_refused_in_one_line() -> None:
    for text in ("uap:eps=0", "uap:xi=2", "uap:delta=2", "uap:passes=0", "uap-deepfool:steps=0"):
        with pytest.raises(UsageError, match=text.split(":")[1].partition("=")[0]):
            named(text)
    for text in ("eps=2", "epochs=0", "batch=0", "step=0", "beta=0", "restarts=0"):
        with pytest.raises(UsageError, match=text.partition("=")[0]):
            named(f"sgd-uap:{text}")
