"""The numbers that networks and attacks of the papers must show, on networks that are trained once.

LeNet5 and Mnist A take some two minutes of one core each. RELROB_CACHE names where they are kept;
an interrupted training goes on from there:
`python -m pytest -m slow tests/training/test_paper_numbers.py`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.api.attack_results import AttackResult
from relrob.domain.region import Norm
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.files import cache_dir
from relrob.training.architectures import find_architecture
from relrob_datasets import load

pytestmark = pytest.mark.slow


@cache
def trained(arch: str) -> Path:
    """The network of the recipe "quick", seed 0, under a name that changes with the recipe."""
    recipe = repr(find_architecture(arch).recipe("quick"))
    name = f"{arch}-quick-seed0-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.keras"
    path = cache_dir() / "tests" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        relrob.train(path, arch=arch)
    return path


def right(arch: str) -> float:
    """The share of all test images that the network labels rightly."""
    test = load("mnist")
    network = load_network(trained(arch), image_shape=test.image_shape, classes=10)
    return accuracy(open_network(network), test.images, test.labels)


def attacked(arch: str, text: str, images: str | list[int], **more: Any) -> AttackResult:
    return relrob.attack(trained(arch), text, images=images, **more)


def test_lenet5_reaches_its_accuracy() -> None:
    assert 0.991 <= right("lenet5") <= 0.995


@pytest.mark.parametrize(
    ("clip_ref", "low", "high", "farthest"),
    [("previous", 0.0, 0.15, 12 * 0.02), ("clean", 0.98, 1.0, 0.02)],
)
def test_ifgsm_needs_the_clip_to_the_previous_image(
    clip_ref: str, low: float, high: float, farthest: float
) -> None:
    """Of all images, as in Zhao et al. 2018: clean errors are in the accuracy."""
    text = f"ifgsm:eps=0.02:steps=12:clip_ref={clip_ref}"
    found = attacked("lenet5", text, "0:1000", filter="none")
    assert low <= found.metrics.adversarial_accuracy <= high
    moved = np.abs(found.samples.adversarial - found.samples.images).max()
    assert moved == pytest.approx(farthest, rel=1e-5)


def test_ifgm_does_not_depend_on_the_batch() -> None:
    """Images one by one, and all together: the loss is that of each image, no mean."""
    whole = attacked("lenet5", "ifgm:eps=10:steps=5", "0:20", filter="none").samples
    for place, index in enumerate(whole.indices):
        alone = attacked("lenet5", "ifgm:eps=10:steps=5", [int(index)], filter="none").samples
        assert np.allclose(alone.adversarial[0], whole.adversarial[place], atol=1e-3)
    assert 0 < whole.success.mean() < 1


def test_fgsm_of_mnist_a_is_as_strong_and_as_far_as_published() -> None:
    """Shrestha and Grossmann 2024, Table 6: 0.337 and 5.219."""
    found = attacked("mnist-a", "fgsm:eps=0.25", "0:200")
    assert 0.25 <= found.metrics.adversarial_accuracy <= 0.45
    assert 5.0 <= found.metrics.norms[Norm.L2].mean <= 5.3


def test_the_boundary_attack_of_mnist_a_is_as_far_as_published() -> None:
    """15 iterations from uniform noise, as ART has it; Table 6: 5.507."""
    found = attacked("mnist-a", "boundary:steps=15:start=uniform", "0:200")
    assert found.metrics.succeeded >= 150
    assert 4.5 <= found.metrics.norms[Norm.L2].mean <= 6.0
    stayed = ~found.samples.success
    assert (found.samples.adversarial[stayed] == found.samples.images[stayed]).all()


@pytest.mark.parametrize("levels", [2, 12])
def test_one_perturbation_keeps_its_bound(levels: int) -> None:
    found = attacked("mnist-a", f"sgd-uap:eps={levels}/255", "0:500", filter="none")
    delta = found.samples.delta
    assert delta is not None
    assert 0 < np.abs(delta.astype(np.float64)).max() <= levels / 255
    # Two levels may fool no image that is not wrong already.
    assert found.metrics.evasion_rate >= 1 - found.accuracy - 1e-9
