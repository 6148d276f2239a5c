"""Attacks by outputs and labels break int8 files as they are deployed, and the replay agrees."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.domain.arrays import Floats, Ints
from relrob.domain.contract import InputOptions
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob_datasets import load
from tests.support import shared_data

# File, shape of an image, input scale of its contract, radius for Square.
FILES = {
    "MLP": ("quantised_formats/mlp_static_wi8_ai8.tflite", (28, 28, 1), "", "0.3"),
    "CNN": ("quantised_formats/conv_fc_mnist_srq_a8w8.tflite", (28, 28, 1), "", "0.3"),
    "ResNet8": ("mlperf_tiny/pretrainedResnet_quant.tflite", (32, 32, 3), "255", "16/255"),
}
ATTACKS = ("square:queries=200:rescale=true:eps=", "boundary:steps=15", "hopskipjump:steps=2")


def images_of(shape: tuple[int, int, int]) -> Floats:
    """Six test images of MNIST or CIFAR-10."""
    if shape[2] == 1:
        return load("mnist", "test").pixels(range(6))
    with np.load(shared_data("cifar10/cifar10_test.npz")) as archive:
        images: Floats = archive["x_test"][:6].reshape(6, -1) / np.float32(255)
        return images.astype(np.float32)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_int8_file_is_broken(name: str, attack: str) -> None:
    file, shape, scale, eps = FILES[name]
    path, images = shared_data(file), images_of(shape)
    network = load_network(path, image_shape=shape, classes=10, inputs=InputOptions())
    assert network.contract.text() == (f"--input-scale {scale}" if scale else "")
    opened = Opened(network, open_network(network), open_network(network, batch=1))
    own: Ints = labels(opened.replayer.outputs(images))
    text, made = named(attack + (eps if attack.startswith("square") else ""))
    found: Attacked = attacked(made, text, opened, images, Goal(own))
    assert found.success.mean() >= 0.8
    again = labels(opened.replayer.outputs(found.adversarial))
    assert np.array_equal(again != own, found.success)
    if attack.startswith("square"):
        assert (found.distances(Norm.LINF) <= 0.3).all()
    else:
        far = np.linalg.norm(np.random.default_rng(0).random(images.shape) - images, axis=1)
        assert (found.distances(Norm.L2) < 0.9 * far)[found.success].all()
