"""Ours beside ART's on the founding paper's MNIST network, on images that it labels rightly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.goal import Goal
from relrob.attacks.model_of import gradients_of
from relrob.attacks.parameters import named
from relrob.domain.region import Norm
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob_datasets import load
from tests.support import shared_data

COUNT = 12


@cache
def network() -> Opened:
    path = shared_data("duncan2020/mnist_weights4_keras1.h5")
    found = load_network(path, image_shape=(28, 28, 1), classes=10)
    return Opened(found, open_network(found), open_network(found, batch=1))


def run(text: str, targets: bool = False) -> Attacked:
    pytest.importorskip("art", reason="needs relrob[art]")
    test, full_attack = load("mnist"), named(text)
    images = test.images[:COUNT].reshape(COUNT, -1).astype(np.float32) / np.float32(255)
    labels = test.labels[:COUNT].astype(np.int64)
    goal = Goal(labels, (labels + 1) % 10 if targets else None)
    full, attack = full_attack
    model = gradients_of(network().network)
    return attacked(attack, full, network(), images, goal, model=model)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("fgsm:eps=0.1", "fgsm:eps=0.1"),
        ("ifgsm:eps=0.02:steps=6", "bim:eps=0.12:eps_step=0.02:max_iter=6"),
        ("ifgsm:eps=0.02:steps=6:clip_ref=clean", "bim:eps=0.02:eps_step=0.02:max_iter=6"),
        (
            "pgd:eps=0.1:step=0.02:steps=8:random=false",
            "pgd:eps=0.1:eps_step=0.02:max_iter=8",
        ),
    ],
)
def test_steps_along_gradients(mine: str, theirs: str) -> None:
    """The same images, but for pixels whose gradient is 0 up to rounding."""
    one, other = run(mine), run(f"art:{theirs}:batch_size={COUNT}")
    assert (one.success == other.success).all()
    moved = np.abs(one.adversarial - one.images)
    assert moved.max() > 0.019
    assert np.isclose(one.adversarial, other.adversarial, atol=1e-5).mean() >= 0.999


@pytest.mark.parametrize("steps", [4, 50])
def test_deepfool(steps: int) -> None:
    mine = run(f"deepfool:form=art:steps={steps}:overshoot=0.02")
    theirs = run(f"art:deepfool:max_iter={steps}:epsilon=0.02:batch_size={COUNT}")
    assert (mine.success == theirs.success).all()
    assert mine.success.mean() > (0.9 if steps == 50 else 0.2)
    ours, other = mine.distances(Norm.L2), theirs.distances(Norm.L2)
    assert np.allclose(ours, other, rtol=0.02) and abs(ours.mean() - other.mean()) < 0.005


def test_deepfool_in_the_form_of_its_authors() -> None:
    """Its overshoot is inside the loop, where ART's is at the end: as far, where both end."""
    mine = run("deepfool:form=authors:steps=50:overshoot=0.02")
    theirs = run(f"art:deepfool:max_iter=50:epsilon=0.02:batch_size={COUNT}")
    both = mine.success & theirs.success
    assert both.mean() > 0.9
    ours, other = mine.distances(Norm.L2)[both], theirs.distances(Norm.L2)[both]
    assert np.allclose(ours, other, rtol=0.1) and abs(ours.mean() - other.mean()) < 0.05


def test_carlini_wagner() -> None:
    mine = run("cw:steps=8:searches=4:const=1")
    theirs = run(f"art:cw:max_iter=8:binary_search_steps=4:initial_const=1:batch_size={COUNT}")
    assert (mine.success == theirs.success).all() and mine.success.mean() > 0.5
    ours, other = mine.distances(Norm.L2), theirs.distances(Norm.L2)
    assert abs(ours.mean() - other.mean()) < 0.02 * other.mean()


def test_saliency_map() -> None:
    mine = run("jsma:theta=1:gamma=0.1", targets=True)
    theirs = run(f"art:jsma:theta=1:gamma=0.1:batch_size={COUNT}", targets=True)
    assert (mine.success == theirs.success).all() and mine.success.mean() > 0.5
    same = (mine.adversarial == theirs.adversarial).all(axis=1)
    assert same.mean() > 0.9
