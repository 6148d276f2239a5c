"""Schemes that write Keras files: the numbers in the files, and the networks that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.formats import FixedFormat, power_levels
from relrob.domain.network import Network
from relrob.errors import QuantiseError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.weighted import weights_of
from relrob.registry import load
from tests import make_networks
from tests.support import random_dense

SHAPE = (5, 5, 1)
IMAGES = np.random.default_rng(3).random((80, 25), np.float32)
DRAWN = Calibration("own", "train", tuple(range(80)), 0, IMAGES)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("levels") / "m.keras"
    make_networks.write_keras(random_dense(4, (25, 30, 20, 16, 4)), path, SHAPE)
    return load_network(path, image_shape=SHAPE, classes=4)


def quantised(reference: Network, scheme: str, folder: Path) -> tuple[Network, Any]:
    """The network of the file, and its outputs."""
    path = folder / "q.keras"
    path.write_bytes(quantised_bytes(reference, scheme, DRAWN, SHAPE))
    made = load_network(path, image_shape=SHAPE, classes=4)
    return made, open_network(made, 1).outputs(IMAGES)


@pytest.mark.parametrize(
    ("kind", "schemes"),
    [
        ("q", ["q:6:3", "q:8:3", "q:12:4", "q:20:4"]),
        ("dorefa", ["dorefa:2", "dorefa:4", "dorefa:8", "dorefa:12"]),
        ("apot", ["apot:2", "apot:3", "apot:4"]),
    ],
)
def test_more_bits_come_closer(
    reference: Network, kind: str, schemes: list[str], tmp_path: Path
) -> None:
    wanted = open_network(reference, 1).outputs(IMAGES)
    errors = []
    for scheme in schemes:
        made, found = quantised(reference, scheme, tmp_path)
        assert made.black_box and made.runtime == "keras"
        errors.append(float(np.abs(found - wanted).mean() / np.abs(wanted).mean()))
    assert errors == sorted(errors, reverse=True)
    # The tanh of DoReFa's weights is no rounding, and stays.
    assert errors[-1] < {"q": 0.001, "dorefa": 0.06, "apot": 0.2}[kind]


def test_fixed_point_holds_all_numbers_of_the_file(reference: Network, tmp_path: Path) -> None:
    made, _ = quantised(reference, "q:8:2", tmp_path)
    form = FixedFormat(8, 2)
    for layer, before in zip(weights_of(made), weights_of(reference), strict=True):
        assert layer.bias is not None and before.bias is not None
        assert np.array_equal(layer.values, form.quantised(before.values))
        assert np.array_equal(layer.bias, form.quantised(before.bias))


@pytest.mark.parametrize("weights", [True, False])
def test_weights_or_activations_alone(reference: Network, weights: bool, tmp_path: Path) -> None:
    fixed = load("relrob.compress.post_training.keras_levels:fixed")
    path = tmp_path / "q.keras"
    path.write_bytes(fixed(reference, FixedFormat(8, 2), weights, not weights))
    made = load_network(path, image_shape=SHAPE, classes=4)
    same = [
        np.array_equal(one.values, other.values)
        for one, other in zip(weights_of(made), weights_of(reference), strict=True)
    ]
    assert same == [not weights] * 4
    assert (made.dense is not None) == weights


@pytest.mark.parametrize(("scheme", "count"), [("dorefa:1", 2), ("dorefa:2", 4), ("apot:3", 7)])
def test_inner_layers_have_the_levels_of_the_method(
    reference: Network, scheme: str, count: int, tmp_path: Path
) -> None:
    made, _ = quantised(reference, scheme, tmp_path)
    first, *inner, last = (layer.values for layer in weights_of(made))
    for values in inner:
        assert len(np.unique(values)) <= count
    whole = [layer.values for layer in weights_of(reference)]
    if scheme.startswith("dorefa"):
        assert np.array_equal(first, whole[0]) and np.array_equal(last, whole[-1])
    else:
        assert np.allclose(first * 127 / first.max(), np.rint(first * 127 / first.max()), atol=1e-4)
        shares = np.abs(inner[0]) / np.abs(inner[0]).max()
        assert np.abs(shares[..., None] - power_levels(2)).min(axis=-1).max() < 1e-6


def test_the_same_arguments_give_the_same_bytes(reference: Network) -> None:
    made = [quantised_bytes(reference, "q:8:2", None, SHAPE) for _ in range(2)]
    assert made[0] == made[1]


def test_two_layers_leave_nothing_to_dorefa(tmp_path: Path) -> None:
    path = make_networks.write_keras(random_dense(1, (25, 8, 4)), tmp_path / "m.keras", SHAPE)
    small = load_network(path, image_shape=SHAPE, classes=4)
    with pytest.raises(QuantiseError, match="leaves the first and the last alone"):
        quantised_bytes(small, "dorefa:2", DRAWN, SHAPE)
