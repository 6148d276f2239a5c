"""Emulators of whole LiteRT files: what the layers say, what is not emulated, how they are opened,
golden files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.network import Layout, Network
from relrob.networks.litert import runtime as litert
from relrob.networks.litert.emulate import Emulator, emulator
from relrob.networks.litert.interpreter import LiteRt, best_batch
from relrob.networks.litert.layers import DynamicFull, FloatFull, Grid, Int8Full, Softmax
from relrob.networks.litert.probes import hostile_images
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.files import sha256_bytes
from tests.make_kernels import Full, Kind, Step, random_inputs, write
from tests.networks.litert.test_dense import GOLDEN, RUNTIMES, a_network, same_bits, spread
from tests.support import shared_data


def test_the_layers_say_what_the_file_holds() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (40, 30)).astype(np.int8)
    scales, bias = (
        rng.random(40).astype(np.float32) + np.float32(0.1),
        rng.standard_normal(40).astype(np.float32),
    )
    last = rng.standard_normal((4, 40)).astype(np.float32)
    steps: list[Full | Step] = [
        Full(weights, bias, scales, True),
        Full(last, np.ones(4, np.float32)),
        Step("softmax"),
    ]
    data = write(30, Kind(), steps)
    found = emulator(a_network(data, 30, 4, "xnnpack"), data)
    assert found is not None
    first, second, third = found.layers
    assert isinstance(first, DynamicFull)
    assert isinstance(second, FloatFull)
    assert third == Softmax()
    np.testing.assert_array_equal(first.weights, weights.T)
    np.testing.assert_array_equal(first.scales, scales)
    np.testing.assert_array_equal(first.bias, bias)
    np.testing.assert_array_equal(second.weights, last.T)
    assert (first.relu, second.relu, first.asymmetric, first.weights.flags.writeable) == (
        True,
        False,
        False,
        False,
    )
    assert (found.runtime, found.exact) == ("xnnpack", True)
    data = write(30, Kind(0.5, -7), [Full(weights, None, scales, True, Kind(0.25, 3))])
    found = emulator(a_network(data, 30, 40, "reference"), data)
    assert found is not None
    (layer,) = found.layers
    assert isinstance(layer, Int8Full)
    assert (layer.given, layer.out, layer.relu, bool(layer.bias.any())) == (
        Grid(0.5, -7),
        Grid(0.25, 3),
        True,
        False,
    )


UNKNOWN = {
    "another activation": (
        write(4, Kind(), [Full(np.ones((3, 4), np.int8), None, np.ones(1, np.float32), True)], 3),
        "xnnpack",
    ),
    "32 bits": (
        write(
            4,
            Kind(1, 0),
            [
                Full(
                    np.ones((3, 4), np.int8),
                    spread(3, 2**31 - 4),
                    np.ones(1, np.float32),
                    out=Kind(1),
                )
            ],
        ),
        "builtin",
    ),
    "XNNPACK refuses": (
        write(
            4,
            Kind(1, 0),
            [Full(np.ones((3, 4), np.int8), None, np.full(1, 300, np.float32), out=Kind(1))],
        ),
        "xnnpack",
    ),
    "output scale": (
        write(
            4,
            Kind(1, 0),
            [
                Full(np.ones((3, 4), np.int8), None, np.ones(1, np.float32), out=Kind(1)),
                Step("softmax", Kind(0.5, 0)),
            ],
        ),
        "builtin",
    ),
    "left shift": (
        write(
            4,
            Kind(1, 0),
            [Full(np.ones((3, 4), np.int8), None, np.full(1, 1e8, np.float32), out=Kind(1))],
        ),
        "builtin",
    ),
}


@pytest.mark.parametrize("reason", UNKNOWN)
def test_what_is_not_emulated_says_why(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    data, runtime = UNKNOWN[reason]
    with caplog.at_level(logging.INFO):
        assert emulator(a_network(data, 4, 3, runtime), data) is None
    assert reason in caplog.text


def small_dynamic(softmax: bool = True) -> tuple[bytes, Network]:
    """A dynamic-range network of 40-32-5 on `builtin`."""
    rng = np.random.default_rng(5)
    steps: list[Full | Step] = [
        Full(
            rng.integers(-127, 128, (n_out, n_in)).astype(np.int8),
            rng.standard_normal(n_out).astype(np.float32),
            s,
            relu,
        )
        for n_in, n_out, s, relu in (
            (40, 32, np.full(1, 0.01, np.float32), True),
            (32, 5, np.full(1, 0.01, np.float32), False),
        )
    ]
    data = write(40, Kind(), [*steps, Step("softmax")] if softmax else steps)
    return data, a_network(data, 40, 5, "builtin")


def test_outputs_that_hang_on_the_batch_are_not_exact() -> None:
    data, network = small_dynamic()
    found, images = emulator(network, data), hostile_images(network)
    assert found is not None
    assert not found.exact
    assert not same_bits(found.outputs(images), LiteRt(network, data, 1, 1).outputs(images))
    data, network = small_dynamic(softmax=False)
    plain = emulator(network, data)
    assert plain is not None
    assert plain.exact
    assert same_bits(plain.outputs(images), LiteRt(network, data, 1, 1).outputs(images))


def test_open_network_emulates_batches_and_replays_on_litert(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, network = small_dynamic()
    images = hostile_images(network)
    theirs = LiteRt(network, data, 1, 64).outputs(images)
    fast = open_network(network, data=data)
    assert isinstance(fast, Emulator)
    assert same_bits(fast.outputs(images), theirs)
    assert isinstance(open_network(network, data=data, batch=1), LiteRt)
    assert isinstance(open_network(replace(network, runtime="xnnpack"), data=data), LiteRt), (
        "not faster there"
    )
    right = Emulator.outputs
    monkeypatch.setattr(
        Emulator, "outputs", lambda self, given: np.nextafter(right(self, given), np.float32(2))
    )
    caplog.clear()
    slow = open_network(network, data=data)
    assert isinstance(slow, LiteRt)
    assert "differ from LiteRT on this machine" in caplog.text
    assert litert.log.name in {record.name for record in caplog.records}


def test_pixel_order_is_the_files_own() -> None:
    data, _ = small_dynamic()
    network = Network(
        "n.tflite", sha256_bytes(data), "tflite", "builtin", 40, 5, (4, 5, 2), Layout.CHW, "dynamic"
    )
    found, images = emulator(network, data), hostile_images(network)
    assert found is not None
    assert same_bits(found.outputs(images), LiteRt(network, data, 1, 64).outputs(images))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_authors_own_file(runtime: str) -> None:
    path = shared_data("duncan2020/converted_model_cifar.tflite")
    network = load_network(path, image_shape=(32, 32, 3), classes=10, runtime=runtime)
    found = emulator(network, threads=1)
    assert found is not None
    images = np.concatenate(
        [hostile_images(network), random_inputs(np.random.default_rng(0), 130, 3072)]
    )
    theirs = LiteRt(network, path.read_bytes(), 1, best_batch(network)).outputs(images)
    assert same_bits(found.outputs(images), theirs)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tflite")), ids=lambda path: str(path.stem))
def test_golden_files_still_hold(path: Path) -> None:
    """Outputs of ai-edge-litert 2.3.0 on x86-64, kept: a change of runtime or of emulator is
    noticed."""
    data, kept = path.read_bytes(), np.load(path.with_suffix(".npz"))
    images = kept["images"]
    for runtime in RUNTIMES:
        network = a_network(data, images.shape[1], kept["xnnpack"].shape[1], runtime)
        found = emulator(network, data)
        assert found is not None
        assert same_bits(found.outputs(images), kept[runtime]), runtime
        assert same_bits(
            LiteRt(network, data, 1, best_batch(network)).outputs(images), kept[runtime]
        ), runtime


def test_golden_files_tell_the_runtimes_apart() -> None:
    files = sorted(GOLDEN.glob("*.tflite"))
    assert len(files) == 4
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 300_000
    for path in files:
        kept = np.load(path.with_suffix(".npz"))
        assert not same_bits(kept["xnnpack"], kept["builtin"]), path.stem
