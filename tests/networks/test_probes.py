"""Probes at load: honest models pass on every runtime, and each planted fault in a model makes the
file a black box."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.cli.main import run
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Network
from relrob.errors import NetworkError
from relrob.networks import probes
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import EnclosedLayer, Enclosure
from relrob.networks.evaluator import Evaluator
from relrob.networks.litert.emulate import Emulator
from relrob.networks.litert.kernels import has_halves
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.networks.probe_images import driving_images, plain_images
from relrob.networks.probes import at_points, outputs_within, probed
from relrob.networks.unharmed import Unharmed
from relrob.testing.files import quantised_files
from tests.cli_case import Case
from tests.instances import SHAPE
from tests.make_networks import write_onnx, write_tflite
from tests.support import random_dense

KINDS = [("dynamic", "xnnpack"), ("dynamic", "builtin"), ("dynamic", "reference")] + [
    ("int8", runtime) for runtime in ("xnnpack", "builtin", "reference")
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Network]:
    """One network of each modelled kind."""
    folder = tmp_path_factory.mktemp("probes")
    found = {"-".join(kind): quantised_files(folder, 3, [kind])[0].network for kind in KINDS}
    dense = random_dense(5, (36, 32, 40, 4))
    found["onnx"] = load_network(
        write_onnx(dense, folder / "plain.onnx"), image_shape=SHAPE, classes=4
    )
    soft = Dense(dense.layers, softmax=True)
    for scheme in ("float32", "float16"):
        path = write_tflite(soft, folder / f"{scheme}.tflite", SHAPE, scheme)
        # XNNPACK may compute in half precision on some processors: no model there.
        runtime = "builtin" if scheme == "float16" and has_halves() else "xnnpack"
        found[scheme] = load_network(path, image_shape=SHAPE, classes=4, runtime=runtime)
    fixed = folder / "fixed.npz"
    noise = Calibration(
        "noise",
        "test",
        tuple(range(64)),
        0,
        np.random.default_rng(2).random((64, 36), dtype=np.float32),
    )
    fixed.write_bytes(quantised_bytes(found["onnx"], "fixed:8", noise, SHAPE))
    found["fixed"] = load_network(fixed, image_shape=SHAPE, classes=4)
    return found


ALL = ["-".join(kind) for kind in KINDS] + ["onnx", "float32", "float16", "fixed"]


@pytest.mark.parametrize("name", ALL)
def test_an_honest_model_stays_one(networks: dict[str, Network], name: str) -> None:
    network = networks[name]
    assert not network.black_box
    assert enclosure_of(network) is not None
    clean = np.random.default_rng(1).integers(0, 256, (90, 6, 6), dtype=np.uint8)
    assert probed(network, clean) is network
    assert probed(network) is network


@pytest.mark.parametrize("name", ALL)
def test_every_probe_lies_within_the_model(networks: dict[str, Network], name: str) -> None:
    """And the model says something: a quarter of its width further, every image is outside."""
    network = networks[name]
    enclosure = enclosure_of(network)
    assert enclosure is not None
    images = np.concatenate([plain_images(36, None), driving_images(enclosure)])
    assert len(images) >= 256
    within = outputs_within(network, enclosure, at_points(enclosure, images)[-1])
    outputs = open_network(network, batch=1).outputs(images)
    assert within.holds(outputs).all()
    assert not within.holds(outputs + 1.01 * (within.high - within.low) + 1e-3).all(axis=0)


def changed(
    enclosure: Enclosure, number: int, change: Callable[[EnclosedLayer], EnclosedLayer]
) -> Enclosure:
    layers = list(enclosure.layers)
    layers[number] = change(layers[number])
    return replace(enclosure, layers=tuple(layers))


def heavier(layer: EnclosedLayer) -> EnclosedLayer:
    """One weight of each neuron is another one."""
    weights = layer.weights.copy()
    weights[np.arange(weights.shape[1]) % len(weights), np.arange(weights.shape[1])] += 1.0
    return replace(layer, weights=weights)


def read_as(
    monkeypatch: pytest.MonkeyPatch, network: Network, change: Callable[[Enclosure], Enclosure]
) -> None:
    """Plant a fault in the model of a network."""
    found = enclosure_of(network)
    assert found is not None
    monkeypatch.setattr(probes, "enclosure_of", Unharmed(lambda given: change(found)))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("name", ALL)
def test_a_wrong_weight_is_found_and_its_layer_named(
    networks: dict[str, Network],
    name: str,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read_as(
        monkeypatch,
        networks[name],
        lambda found: changed(found, number, heavier if name != "fixed" else _far),
    )
    found = probed(networks[name])
    expected = f"its runtime differs from the model at layer {number + 1}"
    assert found.black_box == (
        expected if name != "fixed" else "its runtime differs from the model at the outputs"
    )
    assert found.black_box in caplog.text
    assert found.dense is None or found.format != "onnx"
    assert enclosure_of(found) is None
    images = plain_images(36, None)
    assert np.array_equal(
        open_network(found, batch=1).outputs(images),
        open_network(networks[name], batch=1).outputs(images),
    )


def _far(layer: EnclosedLayer) -> EnclosedLayer:
    return replace(layer, weights=layer.weights * 3)


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_drops_the_rounding_is_found(
    networks: dict[str, Network], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exact(found: Enclosure) -> Enclosure:
        layers = [
            replace(layer, terms=0, share=0.0, moved=0.0, rounding=0.0, input_cap=float("inf"))
            for layer in found.layers
        ]
        return replace(found, layers=tuple(layers))

    read_as(monkeypatch, networks[name], exact)
    monkeypatch.setattr(probes, "outputs_within", lambda network, enclosure, last: last)
    if name not in ("float32", "float16"):  # there the outputs are probabilities
        assert "differs from the model" in probed(networks[name]).black_box


@pytest.mark.parametrize("name", ["dynamic-xnnpack", "int8-reference"])
def test_an_emulator_that_is_off_by_one_step_on_one_image_is_found(
    networks: dict[str, Network], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Emulator.outputs

    def off(self: Emulator, images: Floats) -> Floats:
        outputs = real(self, images)
        outputs[len(images) // 3, 1] = np.nextafter(outputs[len(images) // 3, 1], np.float32(9))
        return outputs

    monkeypatch.setattr(Emulator, "outputs", off)
    assert "differs from the model at the outputs" in probed(networks[name]).black_box


def test_a_reader_that_stumbles_makes_a_black_box(
    networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(network: Network) -> Enclosure | None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(probes, "enclosure_of", Unharmed(stumble))
    assert (
        probed(networks["int8-xnnpack"]).black_box == "its reader stopped (list index out of range)"
    )
    assert Unharmed(stumble)(networks["int8-xnnpack"]) is None
    assert "no bounds for" in caplog.text
    assert "Traceback" not in caplog.text
    with pytest.raises(NetworkError, match="has changed"):
        Unharmed(stumble)(replace(networks["int8-xnnpack"], sha256="0" * 64))


def test_layers_that_do_not_fit_make_a_black_box(
    networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_as(
        monkeypatch,
        networks["int8-xnnpack"],
        lambda found: replace(found, layers=found.layers[:-1]),
    )
    assert probed(networks["int8-xnnpack"]).black_box == "layers that do not follow one another"


class Restless:
    """A runtime that adds its own noise to every output."""

    def __init__(self, real: Evaluator) -> None:
        self._real, self._rng = real, np.random.default_rng(0)
        self.runtime, self.best_batch = real.runtime, real.best_batch

    def outputs(self, images: Floats) -> Floats:
        given = self._real.outputs(images)
        return given + self._rng.random(given.shape, np.float32)


def test_a_runtime_that_draws_at_random_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "drop.onnx"
    path.write_bytes(to_onnx(random_dense(1, (36, 5, 3))))
    network = load_network(path, image_shape=SHAPE, classes=3)
    assert not probed(network).black_box
    monkeypatch.setattr(
        probes, "open_network", lambda *given, **more: Restless(open_network(*given, **more))
    )
    for each in (network, replace(network, dense=None, black_box="no dense layers")):
        with pytest.raises(NetworkError, match="its outputs differ from run to run") as caught:
            probed(each)
        assert "\n" not in str(caught.value)


def test_a_batch_that_differs_runs_one_by_one(
    networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Mixing:
        runtime, best_batch = "xnnpack", 64

        def __init__(self, network: Network) -> None:
            self.inner = open_network(network, batch=1)

        def outputs(self, images: Floats) -> Floats:
            return np.asarray(self.inner.outputs(images) + images.mean(), np.float32)

    monkeypatch.setattr(
        probes,
        "open_network",
        lambda network, batch=None: open_network(network, batch=1) if batch else Mixing(network),
    )
    for black_box in ("", "a reason"):
        found = probed(replace(networks["float32"], black_box=black_box))
        assert (found.apart, found.black_box) == (False, black_box)
    assert "mixes the images of a batch" in caplog.text


def test_first_layers_are_driven_to_their_ends(networks: dict[str, Network]) -> None:
    enclosure = enclosure_of(networks["onnx"])
    assert enclosure is not None
    first = enclosure.layers[0]
    sums = driving_images(enclosure).astype(np.float64) @ first.weights + first.bias
    top = np.maximum(first.weights, 0).sum(axis=0) + first.bias
    bottom = np.minimum(first.weights, 0).sum(axis=0) + first.bias
    assert np.isclose(sums.max(axis=0), top).all()
    assert np.isclose(sums.min(axis=0), bottom).all()


def test_deeper_neurons_are_driven_further_than_noise_drives_them(
    networks: dict[str, Network],
) -> None:
    enclosure = enclosure_of(networks["onnx"])
    assert enclosure is not None
    noise = np.random.default_rng(0).random((2000, 36), dtype=np.float32)

    def reached(images: Floats) -> tuple[Floats, Floats]:
        values = images.astype(np.float64)
        for layer in enclosure.layers[:-1]:
            values = np.maximum(values @ layer.weights + layer.bias, 0)
        sums = values @ enclosure.layers[-1].weights + enclosure.layers[-1].bias
        return sums.min(axis=0), sums.max(axis=0)

    (low, high), (least, most) = reached(driving_images(enclosure)), reached(noise)
    assert (high > most).all()
    assert (low < least).all()


def test_plain_images_hold_what_they_promise() -> None:
    clean = np.random.default_rng(1).integers(0, 256, (300, 6, 6), dtype=np.uint8)
    images = plain_images(36, clean, 320)
    assert len(images) >= 256
    assert images.min() == 0 and images.max() == 1
    told = {image.tobytes() for image in images}
    for image in (np.zeros(36), np.ones(36), clean[0].ravel() / np.float32(255)):
        assert image.astype(np.float32).tobytes() in told
    assert sum((image > 0).sum() == 1 for image in images) >= 20
    assert np.array_equal(images, plain_images(36, clean, 320))


def test_summary_and_terminal_say_what_runs_as_a_black_box(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(
        "sys.argv", ["relrob", *case.arguments("--out", str(out), "--images", "0:3")]
    )
    assert run() == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["reference"]["modelled"] is True
    assert "black_box" not in summary["reference"]
    reason = summary["quantised"]["black_box"]
    assert reason
    assert "modelled" not in summary["quantised"]
    assert f"quantised run as a black box: {reason}" in " ".join(capsys.readouterr().out.split())
    assert f"- quantised: run as a black box: {reason}" in (out / "table.md").read_text()
    assert set(summary["spot_checks"]) == {"run", "against"}


def test_balls_name_the_reason_of_a_black_box(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        str(case.reference),
        str(case.quantised),
        "--dataset",
        str(case.data),
        "--out",
        str(tmp_path / "out"),
    ]
    ball = ["--region", "linf", "--radius", "1/255", "--solver", "bounds"]
    monkeypatch.setattr("sys.argv", ["relrob", "verify", *given, *ball])
    assert run() == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"relrob: {case.quantised} in region linf: bounds: run as a black box: ")
    assert line.endswith("; try: --solver witness, --region ladder")


class Unwritten:
    """Outputs are what a block of memory holds that was asked for and never written."""

    runtime, best_batch = "xnnpack", 1

    def __init__(self, *given: object, **more: object) -> None:
        self._malloc = ctypes.CDLL(None).malloc
        self._malloc.restype, self._malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        self._block = (ctypes.c_float * 9_000).from_address(self._malloc(36_000))

    def outputs(self, images: Floats) -> Floats:
        return np.full((len(images), 4), self._block[8_000], np.float32)


def test_outputs_made_of_unwritten_memory_are_none_of_a_function(
    networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "open_network", Unwritten)
    with pytest.raises(NetworkError, match="is no function"):
        probed(replace(networks["int8-xnnpack"], black_box="planted"))


def test_probabilities_of_a_wide_range_of_logits_are_not_cancelled(
    networks: dict[str, Network],
) -> None:
    """A class whose probability is 1 to the last bit, though its logit may lie 32 lower."""
    low, high = (
        np.array([[-32.0, -900.0, -900.0, -900.0]]),
        np.array([[0.0, -800.0, -800.0, -800.0]]),
    )
    soft = networks["float32"]
    enclosure = enclosure_of(soft)
    assert enclosure is not None
    shape = outputs_within(soft, enclosure, probes.Within(low, high))
    assert shape.holds(np.array([[1, 0, 0, 0]], np.float32)).all()
    assert not shape.holds(np.array([[0.9, 0.1, 0, 0]], np.float32)).any()
