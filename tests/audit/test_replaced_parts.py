"""Parts of a network that were replaced, turned or left out are told from another state of its
training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from relrob.domain.network import Dense, Layer
from tests.audit.pairs import codes, dynamic, images, int8, pair
from tests.make_networks import onnx_bytes
from tests.support import random_dense

Edit = Callable[[Dense], Dense]


def put(network: Dense, number: int, **changes: object) -> Dense:
    """The network with another layer."""
    layers = list(network.layers)
    layers[number] = replace(layers[number], **changes)  # type: ignore[arg-type]
    return Dense(tuple(layers))


def turned(*numbers: int) -> Edit:
    """Square weights that were not turned on the way."""

    def edit(network: Dense) -> Dense:
        for number in numbers:
            network = put(network, number, weights=network.layers[number].weights.T.copy())
        return network

    return edit


def replaced(*numbers: int) -> Edit:
    """Layers of another seed."""

    def edit(network: Dense) -> Dense:
        other = random_dense(77, (network.inputs, *(len(la.bias) for la in network.layers)))
        for number in numbers:
            network = put(network, number, weights=other.layers[number].weights)
        return network

    return edit


def column(number: int, place: int) -> Edit:
    """One output of a layer with the weights of another seed."""

    def edit(network: Dense) -> Dense:
        weights = network.layers[number].weights.copy()
        weights[:, place] = np.random.default_rng(6).normal(0, weights.std(), len(weights))
        return put(network, number, weights=weights)

    return edit


DEEP = (108, 24, 24, 24, 24, 10)
CHANGED: dict[str, tuple[tuple[int, ...], Edit]] = {
    "two of four layers turned": (DEEP, turned(1, 2)),
    "three of five layers turned": (DEEP, turned(1, 2, 3)),
    "two of five layers of another seed": (DEEP, replaced(1, 3)),
    "an output of each of two layers": (DEEP, lambda net: column(1, 4)(column(2, 7)(net))),
    "an output of a network of one layer": ((108, 10), column(0, 3)),
    "an output of the first of two layers": ((108, 24, 10), column(0, 3)),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("bits", [8, 4])
def test_parts_that_were_replaced_are_changed_weights(tmp_path: Path, name: str, bits: int) -> None:
    sizes, edit = CHANGED[name]
    network = random_dense(3, sizes)
    assert set(pair(tmp_path, network, dynamic(edit(network), bits=bits)).names()) == {
        "changed-weights"
    }


def test_a_turned_matrix_is_told(tmp_path: Path) -> None:
    network = random_dense(3, DEEP)
    (found,) = pair(tmp_path, network, int8(turned(2)(network), images())).report().diagnoses
    assert "of the transposed matrix 1.0000" in found.sentence


def test_a_network_of_which_nothing_is_left_is_another_or_stale(tmp_path: Path) -> None:
    network = random_dense(3, (108, 24, 24, 10))
    assert pair(tmp_path, network, dynamic(replaced(0, 1, 2)(network))).names() == [
        "another-network"
    ]
    rng, mixed = np.random.default_rng(2), replaced(1)(network)
    for number in (0, 2):
        weights = network.layers[number].weights
        noise = rng.normal(0, 0.1 * float(weights.std()), weights.shape)
        mixed = put(mixed, number, weights=(weights + noise).astype(np.float32))
    assert pair(tmp_path, network, dynamic(mixed)).names() == ["stale-weights"]


BIASES: dict[str, Callable[[Dense, int], np.ndarray]] = {
    "dropped": lambda net, at: np.zeros_like(net.layers[at].bias),
    "negated": lambda net, at: -net.layers[at].bias,
    "doubled": lambda net, at: 2 * net.layers[at].bias,
    "of another layer": lambda net, at: net.layers[at - 1].bias,
}


@pytest.mark.parametrize("name", BIASES)
@pytest.mark.parametrize("bits", [8, 4])
def test_biases_that_are_gone_or_others_are_no_correction(
    tmp_path: Path, name: str, bits: int
) -> None:
    network = random_dense(3, DEEP)
    for layer in range(4):
        network = put(network, layer, bias=network.layers[layer].bias * np.float32(0.3))
    wrong = put(network, 2, bias=BIASES[name](network, 2).astype(np.float32))
    assert pair(tmp_path, network, dynamic(wrong, bits=bits)).names() == ["changed-bias"]


@pytest.mark.parametrize("factor", [1.1, 2.0, -1.0])
@pytest.mark.parametrize("bits", [8, 4])
def test_so_are_ten_that_were_multiplied(tmp_path: Path, factor: float, bits: int) -> None:
    """Their difference from the right ones follows these as no correction does."""
    network = random_dense(3, DEEP)
    network = put(network, 4, bias=network.layers[4].bias * np.float32(0.3))
    wrong = put(network, 4, bias=network.layers[4].bias * np.float32(factor))
    assert pair(tmp_path, network, dynamic(wrong, bits=bits)).names() == ["changed-bias"]
    assert pair(tmp_path, network, dynamic(network, bits=bits)).names() == []


@pytest.mark.parametrize("bits", [8, 4])
def test_corrections_of_small_biases_are_none(tmp_path: Path, bits: int) -> None:
    network = random_dense(3, DEEP)
    mean = np.random.default_rng(8).random(108)
    for number, layer in enumerate(network.layers):
        held, scales = codes(layer.weights.T.astype(np.float64), bits)
        lost = (held * scales[:, None] - layer.weights.T) @ mean[: len(layer.weights)]
        network = put(network, number, bias=np.asarray(0.3 * layer.bias, np.float32))
        corrected = put(
            network, number, bias=(network.layers[number].bias - lost).astype(np.float32)
        )
        assert pair(tmp_path, network, dynamic(corrected, bits=bits)).names() == []


def normalised(network: Dense, seed: int) -> tuple[bytes, Dense]:
    """The network in ONNX with a batch normalisation behind every hidden layer, and with it folded
    into the weights."""
    rng, value = np.random.default_rng(seed), "x"
    nodes, layers = list[NodeProto](), list[Layer]()
    constants: dict[str, np.ndarray] = {}
    for number, layer in enumerate(network.layers):
        name, count = f"{number}", len(layer.bias)
        constants |= {f"w{name}": layer.weights, f"b{name}": layer.bias}
        end = f"s{name}" if layer.relu else "y"
        nodes.append(helper.make_node("Gemm", [value, f"w{name}", f"b{name}"], [end]))
        if not layer.relu:
            return onnx_bytes(nodes, constants, ["n", 108], count), Dense((*layers, layer))
        gamma, variance = rng.uniform(0.5, 1.5, (2, count)).astype(np.float32)
        beta, mean = rng.normal(0, 0.2, (2, count)).astype(np.float32)
        held = {"g": gamma, "e": beta, "m": mean, "v": variance}
        constants |= {each + name: array for each, array in held.items()}
        inputs = [end, *(each + name for each in held)]
        nodes.append(helper.make_node("BatchNormalization", inputs, [f"n{name}"]))
        nodes.append(helper.make_node("Relu", [f"n{name}"], [f"r{name}"]))
        value, factor = f"r{name}", gamma / np.sqrt(variance + 1e-5)
        bias = (layer.bias - mean) * factor + beta
        layers.append(replace(layer, weights=layer.weights * factor, bias=bias))
    raise AssertionError("a last layer is linear")


@pytest.mark.parametrize("sizes", [(108, 24, 24, 10), (108, 24, 10)])
def test_normalisations_of_another_state_are_stale(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    network, path = random_dense(3, sizes), tmp_path / "reference.onnx"
    data, folded = normalised(network, 1)
    path.write_bytes(data)
    assert pair(tmp_path, path, dynamic(folded)).names() == []
    other = normalised(network, 2)[1]
    (found,) = pair(tmp_path, path, dynamic(other)).report().diagnoses
    assert found.id == "stale-weights"
    assert "normalisations are of another state" in found.sentence
    (found,) = pair(tmp_path, path, dynamic(network)).report().diagnoses
    assert found.id == "stale-weights"
