"""Fixed point against Python's own integers and fractions, and the AAAI 2021 network against its
published behaviour."""

from __future__ import annotations

import csv
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from relrob.domain.arrays import Ints
from relrob.domain.network import Dense, Layer
from relrob.errors import NetworkError, QuantiseError, RelrobError, ShapeError
from relrob.networks.exact_dot import ExactDot
from relrob.networks.fixed.network import FixedLayer, FixedNetwork, from_float
from relrob.networks.fixed.qnn_file import read_qnn
from relrob_datasets import load as load_dataset
from tests.support import random_dense, shared_data


def naive(network: FixedNetwork, codes: list[int]) -> list[int]:
    """One image in Python integers."""
    for layer in network.layers:
        after = []
        for column in range(layer.weights.shape[1]):
            total = sum(int(w) * x for w, x in zip(layer.weights[:, column], codes, strict=True))
            total += int(layer.bias[column]) * 2**layer.bias_shift
            total = (2 * total + 2**layer.shift) // 2 ** (
                layer.shift + 1
            )  # floor(total / 2^shift + 1/2)
            after.append(min(max(total, layer.low), layer.high))
        codes = after
    return codes


def random_network(seed: int, bits: int, sizes: tuple[int, ...]) -> FixedNetwork:
    """Weights and activations of so many bits, saturating now and then."""
    rng = np.random.default_rng(seed)
    layers, top = [], 2**bits - 1
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        half = 2 ** (bits - 1)
        weights = rng.integers(-half, half, (n_in, n_out))
        bias = rng.integers(-half, half, n_out)
        shift = int(rng.integers(0, bits + 2))
        low, high = (0, top) if number < len(sizes) - 2 else (-half, half - 1)
        layers.append(FixedLayer(weights, bias, int(rng.integers(0, bits)), shift, low, high))
    return FixedNetwork(tuple(layers), 0, top, top)


@pytest.mark.parametrize(
    ("bits", "kinds"),
    [
        (2, {("float32", 1)}),
        (9, {("float32", 1)}),
        (11, {("float32", 2), ("float32", 3)}),
        (12, {("float64", 1)}),
        (16, {("float64", 1)}),
        (26, {("int64", 1)}),
    ],
)
def test_every_arithmetic_is_that_of_integers(bits: int, kinds: set[tuple[str, int]]) -> None:
    used = set()
    for seed in range(5):
        network = random_network(seed, bits, (40, 17, 9, 4))
        codes = np.random.default_rng(seed).integers(0, 2**bits, (25, 40))
        codes[0], codes[1] = 0, 2**bits - 1
        assert network.evaluate(codes).tolist() == [naive(network, row.tolist()) for row in codes]
        used.add((str(network.dots[0].parts[0].dtype), len(network.dots[0].parts)))
    assert used == kinds


@pytest.mark.parametrize(("extra", "count"), [(0, 1), (1, 2)])
def test_sums_at_the_edge_of_float32(extra: int, count: int) -> None:
    """2^24 is the last sum that one float32 product may reach; one more takes two products."""
    weights = np.full((256, 1), 2**16)
    weights[0] += extra
    dot = ExactDot(weights, np.zeros(1, np.int64), 0, 1)
    assert (len(dot.parts), dot.limit) == (count, 2**24 + extra)
    assert dot(np.ones((3, 256), np.float32)).tolist() == [[2**24 + extra]] * 3


@pytest.mark.parametrize("live", [0, 1, 100, 199, 200])
def test_inputs_that_are_zero_in_every_row_are_left_out(live: int) -> None:
    rng = np.random.default_rng(live)
    weights, bias = rng.integers(-127, 128, (200, 96)), rng.integers(-9, 9, 96)
    values = np.zeros((70, 200), np.int64)
    values[:, rng.permutation(200)[:live]] = rng.integers(-255, 256, (70, live))
    assert np.array_equal(
        ExactDot(weights, bias, -255, 255)(values.astype(np.float32)), values @ weights + bias
    )


def test_the_edges_of_float64_and_of_64_bits() -> None:
    for value, kind in ((2**53, "float64"), (2**53 + 1, "int64"), (2**62, "int64")):
        dot = ExactDot(np.array([[value]]), np.array([-1]), 0, 1)
        assert (str(dot.parts[0].dtype), int(dot(np.ones((1, 1), np.float32))[0, 0])) == (
            kind,
            value - 1,
        )
    with pytest.raises(NetworkError, match="64 bits"):
        ExactDot(np.array([[2**62]]), np.array([0]), -2, 2)


def test_halves_go_up_and_clips_hold() -> None:
    layer = FixedLayer(np.array([[1]]), np.array([0]), 0, 1, -3, 3)
    network = FixedNetwork((layer,), -8, 8)
    outputs = network.evaluate(np.arange(-8, 9)[:, None])[:, 0].tolist()
    assert outputs == [-3, -3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    wide = FixedLayer(np.array([[1]]), np.array([1]), 40, 0, -(2**50), 2**24 + 1)
    assert FixedNetwork((wide,), 0, 1).evaluate(np.array([[1]])).tolist() == [[2**24 + 1]], (
        "the clip is not rounded"
    )


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_quantising_floats_rounds_half_away(bits: int) -> None:
    fraction = bits - 2
    dense = random_dense(bits, (30, 12, 5))
    ties = dense.layers[0].weights.copy()
    ties[0] = (np.arange(12) - 6 + 0.5) / 2**fraction
    dense = Dense((Layer(ties, dense.layers[0].bias, True), dense.layers[1]))
    network = from_float(
        dense,
        bits=bits,
        weight_fraction=fraction,
        bias_fraction=fraction - 1,
        activation_fraction=fraction - 1,
    )
    half = 2 ** (bits - 1)
    for layer, fixed in zip(dense.layers, network.layers, strict=True):
        for value, code in zip(layer.weights.reshape(-1), fixed.weights.reshape(-1), strict=True):
            exact = abs(Fraction(float(value))) * 2**fraction
            away = int(exact + Fraction(1, 2)) * (-1 if value < 0 else 1)
            assert code == min(max(away, -half), half - 1)
        assert (fixed.low, fixed.high) == ((0, 2**bits - 1) if layer.relu else (-half, half - 1))
    assert [layer.shift for layer in network.layers] == [8 + fraction - fraction + 1, fraction]
    images = np.random.default_rng(1).random((200, 30), dtype=np.float32)
    codes = network.codes(images)
    assert (
        np.array_equal(codes, np.floor(images.astype(np.float64) * 255 + 0.5))
        and network.inputs == 30
    )
    assert np.array_equal(network.outputs(images), network.evaluate(codes))
    assert (network.runtime, network.classes) == ("fixed", 5)


def test_many_bits_approach_the_float_network() -> None:
    dense = random_dense(3, (30, 12, 5))
    images = np.random.default_rng(1).random((300, 30), dtype=np.float32)
    hidden = np.maximum(images @ dense.layers[0].weights + dense.layers[0].bias, 0)
    truth = hidden @ dense.layers[1].weights + dense.layers[1].bias
    errors = []
    for fraction in (4, 8, 12, 16):
        network = from_float(
            dense,
            bits=fraction + 5,
            weight_fraction=fraction,
            bias_fraction=fraction,
            activation_fraction=fraction,
            input_bits=fraction + 1,
            input_fraction=fraction,
            pixel_scale=2**fraction,
        )
        errors.append(np.abs(network.outputs(images) / 2**fraction - truth).max())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3


def mistakes() -> list[tuple[type[RelrobError], str, object]]:
    w, b = np.ones((2, 3), np.int64), np.ones(3, np.int64)
    good = FixedLayer(w, b, 0, 1, 0, 7)
    dense = random_dense(0, (4, 3))
    bits = {"bias_fraction": 4, "activation_fraction": 4}
    return [
        (NetworkError, "bias int64 \\(2,\\)", lambda: FixedLayer(w, b[:2], 0, 1, 0, 7)),
        (
            NetworkError,
            "float64",
            lambda: FixedLayer(w * 0.5, b, 0, 1, 0, 7),  # type: ignore[arg-type]
        ),
        (NetworkError, "shifts by -1", lambda: FixedLayer(w, b, 0, -1, 0, 7)),
        (NetworkError, "not empty", lambda: FixedLayer(w, b, 0, 1, 7, 7)),
        (NetworkError, "at most 62", lambda: FixedLayer(w, b * 2**40, 30, 1, 0, 7)),
        (NetworkError, "2 inputs is fed 3", lambda: FixedNetwork((good, good), 0, 1)),
        (NetworkError, "0 fixed-point layers", lambda: FixedNetwork((), 0, 1)),
        (
            ShapeError,
            "codes from 0 to 9; accepted: 0 to 8",
            lambda: FixedNetwork((good,), 0, 8).evaluate(np.array([[0, 9]])),
        ),
        (
            ShapeError,
            "integers",
            lambda: FixedNetwork((good,), 0, 8).evaluate(np.ones((1, 2))),  # type: ignore[arg-type]
        ),
        (
            ShapeError,
            "images of shape",
            lambda: FixedNetwork((good,), 0, 8).codes(np.ones((1, 3), np.float32)),
        ),
        (QuantiseError, "1 bits", lambda: from_float(dense, bits=1, weight_fraction=0, **bits)),
        (
            QuantiseError,
            "as fine as both",
            lambda: from_float(dense, bits=6, weight_fraction=0, input_fraction=2, **bits),
        ),
    ]


@pytest.mark.parametrize(("error", "match", "call"), mistakes())
def test_mistakes_are_named(error: type[RelrobError], match: str, call: object) -> None:
    assert callable(call)
    with pytest.raises(error, match=match):
        call()


def published() -> set[int]:
    path = shared_data("qnn_robustness/published_mnist.csv")
    with path.open() as file:
        return {
            int(row["sample_id"])
            for row in csv.DictReader(file)
            if row["published"] == "misclassified"
        }


def test_the_aaai_2021_network() -> None:
    network = read_qnn(shared_data("qnn_robustness/mnist_mlp.h5"))
    assert [layer.weights.shape for layer in network.layers] == [(784, 64), (64, 10)]
    assert [(layer.bias_shift, layer.shift, layer.low, layer.high) for layer in network.layers] == [
        (9, 9, 0, 63),
        (5, 5, -32, 31),
    ]
    data = load_dataset("mnist")
    levels: Ints = data.images.reshape(-1, 784).astype(np.int64)
    labels = network.evaluate(levels).argmax(axis=1)
    assert (labels == data.labels).mean() == 0.9708
    wrong = np.flatnonzero(labels[:400] != data.labels[:400])
    assert wrong.tolist() == [18, 149, 217, 241, 247, 259, 321, 340, 381]
    assert set(wrong.tolist()) == published()
    assert np.array_equal(network.codes((levels[:500] / 255).astype(np.float32)), levels[:500])
    for row in levels[:20]:
        assert naive(network, row.tolist()) == network.evaluate(row[None])[0].tolist()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(NetworkError, match="not a whole HDF5"):
        read_qnn(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"d"])
        group = file.create_group("d")
        group.attrs["weight_names"] = np.array([b"k", b"b"])
        group["k"], group["b"] = np.ones((4, 3)), np.ones(3)
    with pytest.raises(NetworkError, match="3 outputs; accepted: 10 or more"):
        read_qnn(path)
    with h5py.File(path, "a") as file:
        file["d"].attrs["weight_names"] = np.array([b"k"])
    with pytest.raises(NetworkError, match="holds 1 arrays"):
        read_qnn(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([], "S1")
    with pytest.raises(NetworkError, match="without layers"):
        read_qnn(path)
