"""The networks of the papers: numbers of parameters, shapes on the way, what they compute, and
their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.errors import ShapeError, UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.training.architectures import ARCHITECTURES, find_architecture
from relrob.training.recipes import Recipe
from tests import make_networks

NETS = [each.name for each in ARCHITECTURES if not each.hidden]
RNG = np.random.default_rng(0)


def made(arch: str, width: float = 1.0, closed: bool = False, seed: int = 0) -> Any:
    """The model of an architecture for 10 classes."""
    make_networks.keras()
    architecture = find_architecture(arch)
    recipe = replace(architecture.quick, width=width)
    models = load("relrob.training.models:models")
    assert architecture.shape is not None
    return models(architecture, recipe, architecture.shape, 10, seed, closed=closed)[0]


def trained(model: Any) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("arch", "parameters", "all_of_them"),
    [
        # the papers, and their authors' code for the moving averages beside
        ("lenet5", 431_080, 431_080),
        ("mnist-a", 414_170, 414_170),
        ("cifarnet", 1_296_074, 1_298_250),
        ("resnet18", 11_173_962, 11_173_962 + 2 * 4800),
        ("resnet20", 269_722, 269_722 + 2 * 688),
    ],
)
def test_numbers_of_parameters(arch: str, parameters: int, all_of_them: int) -> None:
    model = made(arch)
    assert (trained(model), model.count_params()) == (parameters, all_of_them)
    assert find_architecture(arch).parameters == parameters


def test_resnet20_with_closed_units_has_672_parameters_more() -> None:
    closed, plain = made("resnet20", closed=True), made("resnet20")
    assert trained(closed) == 270_394 and trained(closed) - trained(plain) == 672
    names = {layer.name for layer in closed.layers} - {layer.name for layer in plain.layers}
    units = [f"group{group}_{unit}" for group in (1, 2, 3) for unit in (0, 1, 2)]
    ends = ("conv2_bn", "conv2_relu")
    assert names == {f"{unit}_{end}" for unit in units for end in ends}


@pytest.mark.parametrize(
    ("arch", "layer", "shape"),
    [
        ("lenet5", "pool0", (12, 12, 20)),
        ("lenet5", "flatten", (800,)),
        ("mnist-a", "pool1", (7, 7, 16)),
        ("cifarnet", "conv0", (30, 30, 64)),
        ("cifarnet", "conv2", (15, 15, 128)),
        ("cifarnet", "conv7_relu", (8, 8, 192)),
        ("resnet18", "stage2_1_relu", (16, 16, 128)),
        ("resnet18", "stage3_1_relu", (8, 8, 256)),
        ("resnet18", "stage4_1_relu", (4, 4, 512)),
        ("resnet20", "group3_2_sum", (8, 8, 64)),
    ],
)
def test_shapes_on_the_way(arch: str, layer: str, shape: tuple[int, ...]) -> None:
    assert tuple(made(arch).get_layer(layer).output.shape[1:]) == shape


@pytest.mark.parametrize("arch", NETS)
def test_every_relu_and_normalisation_is_a_layer_of_its_own(arch: str) -> None:
    for layer in made(arch, 0.25).layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "Dense"):
            assert layer.activation.__name__ == "linear"
        ends = {"ReLU": "_relu", "BatchNormalization": "_bn"}
        assert layer.name.endswith(ends.get(kind, "")), layer.name


@pytest.mark.parametrize("arch", NETS)
def test_files_load_in_safe_mode_treat_images_apart_and_end_in_logits(
    arch: str, tmp_path: Path
) -> None:
    model = made(arch, 0.1, seed=5)
    path = tmp_path / "net.keras"
    path.write_bytes(load("relrob.training.saving:saved")(model))
    shape = find_architecture(arch).shape
    assert shape is not None
    network = load_network(path, image_shape=shape, classes=10)
    assert network.apart and network.dense is None
    images = RNG.random((3, *shape), dtype=np.float32)
    found = open_network(network, 1).outputs(images.reshape(3, -1))
    np.testing.assert_allclose(found, model(images).numpy(), rtol=1e-4, atol=1e-4)
    assert found.min() < 0
    same, other = made(arch, 0.1, seed=5), made(arch, 0.1, seed=6)
    np.testing.assert_array_equal(same(images).numpy(), model(images).numpy())
    assert not np.allclose(other(images).numpy(), found)


def test_lenet5_computes_what_numpy_does() -> None:
    """Convolution by einsum over windows, pooling by reshape."""
    model = made("lenet5", 0.2, seed=1)
    images = RNG.random((4, 28, 28, 1), dtype=np.float32)
    values = 2 * images.astype(np.float64) - 1
    for number in (0, 1):
        kernel, bias = model.get_layer(f"conv{number}").get_weights()
        windows = np.lib.stride_tricks.sliding_window_view(values, (5, 5), (1, 2))
        values = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias, 0)
        count, side, _, channels = values.shape
        values = values.reshape(count, side // 2, 2, side // 2, 2, channels).max(axis=(2, 4))
    values = values.reshape(4, -1)
    for name in ("fc1", "logits"):
        kernel, bias = model.get_layer(name).get_weights()
        values = values @ kernel + bias
        values = np.maximum(values, 0) if name == "fc1" else values
    np.testing.assert_allclose(model(images).numpy(), values, rtol=1e-4, atol=1e-4)


def test_a_shortcut_that_widens_is_mean_and_zeros() -> None:
    """With all kernels of a unit at 0, its sum is the shortcut alone: He et al. 2016, option A."""
    model = made("resnet20", 0.25)
    keras = make_networks.keras()
    model.get_layer("group2_0_conv2").set_weights([np.zeros((3, 3, 8, 8), np.float32)])
    ends = [model.get_layer(name).output for name in ("group1_2_sum", "group2_0_sum")]
    images = RNG.random((2, 32, 32, 3), dtype=np.float32)
    before, after = (each.numpy() for each in keras.Model(model.input, ends)(images))
    means = before.reshape(2, 16, 2, 16, 2, 4).mean(axis=(2, 4))
    expected = np.pad(means, ((0, 0), (0, 0), (0, 0), (2, 2)))
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


def test_a_convolution_of_stride_2_pads_both_sides_in_resnet18() -> None:
    """PyTorch's padding of 1: the first window begins one pixel before the image."""
    model = made("resnet18", 0.05)
    layer = model.get_layer("stage2_0_conv1")
    padded = model.get_layer("stage2_0_pad")
    values = RNG.random((1, 32, 32, layer.kernel.shape[2]), dtype=np.float32)
    found = layer(padded(values)).numpy()
    kernel = layer.kernel.numpy()
    corner = np.einsum("hwc,hwco->o", np.pad(values[0], ((1, 1), (1, 1), (0, 0)))[:3, :3], kernel)
    np.testing.assert_allclose(found[0, 0, 0], corner, rtol=1e-4, atol=1e-5)
    assert found.shape[1:3] == (16, 16)


def test_widths_scale_the_filters() -> None:
    assert made("cifarnet", 0.5).get_layer("conv7").filters == 96
    assert made("resnet18", 0.25).get_layer("stage4_1_conv2").filters == 128


def test_recipes() -> None:
    for architecture in ARCHITECTURES:
        recipes = (architecture.full, architecture.quick, *architecture.retrained)
        assert all(architecture.full.width == 1 and recipe.rates for recipe in recipes)
        assert architecture.recipe("quick", again=True) is architecture.retrained[0]
    resnet = find_architecture("resnet18")
    assert [resnet.full.rate(epoch) for epoch in (0, 79, 80, 120)] == [0.1, 0.1, 0.01, 0.001]
    assert resnet.recipe("full", dataset="svhn").epochs == 20
    with pytest.raises(UsageError, match="profile 'fast'"):
        resnet.recipe("fast")
    right = Recipe(1, 1, "sgd", ((0, 0.1),))
    wrong: dict[str, Any]
    for wrong in (
        {"optimiser": "adagrad"},
        {"augment": ("spin",)},
        {"rates": ((1, 0.1),)},
        {"epochs": 0},
    ):
        with pytest.raises(ValueError, match="recipe"):
            replace(right, **wrong)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="lenet5 reads"):
        find_architecture("lenet5").check_images((32, 32, 3), "cifar10")
    find_architecture("mlp-512x2").check_images((5, 5, 3), "own.npz")
