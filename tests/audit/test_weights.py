"""Planted faults are called by their names, and faithful quantisations by none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.contract import input_options
from relrob.domain.network import Dense
from relrob.networks.load import load_network
from relrob.networks.simulated import nothing_quantised, on_grid
from relrob.networks.weighted import Weighted
from tests import planted_pairs as plant
from tests.audit.pairs import SHAPE, codes, dense, dynamic, images, int8, pair
from tests.make_networks import write_keras1
from tests.support import shared_data

FAITHFUL = {
    "int8": lambda: int8(dense(), images()),
    "dynamic per channel": lambda: dynamic(dense()),
    "dynamic per tensor": lambda: dynamic(dense(), per_channel=False),
    "4 bits": lambda: dynamic(dense(), bits=4),
}


@pytest.mark.parametrize("name", FAITHFUL)
def test_a_faithful_quantisation_has_no_fault(tmp_path: Path, name: str) -> None:
    report = pair(tmp_path, dense(), FAITHFUL[name]()).report()
    assert report.read
    assert report.diagnoses == ()
    assert all(row["beyond_rounding"] == 0 for row in report.layers)
    assert all(0.2 < row["rms_error"] < 0.4 for row in report.layers)
    again(report)


def again(report: WeightReport) -> None:
    """The report comes back from its JSON."""
    back = WeightReport.of(json.loads(json.dumps(report.json())))
    assert json.dumps(back.json()) == json.dumps(report.json())
    assert (back.read, back.reason, back.activations) == (
        report.read,
        report.reason,
        report.activations,
    )
    assert (back.rectified, back.coarse) == (report.rectified, report.coarse)
    assert [each.id for each in back.diagnoses] == [each.id for each in report.diagnoses]


PLANTED: dict[str, tuple[Callable[[plant.Lite], None], str]] = {
    "one weight by 40 steps": (plant.weight(1, 40), "changed-weights"),
    "one weight by 2 steps": (plant.weight(0, 2, 77), "changed-weights"),
    "one bias": (plant.bias(2, 0.5), "changed-bias"),
    "scale of a channel": (plant.scale(1, 1.5, 4), "changed-scale"),
    "scale of a channel by 3 %": (plant.scale(0, 1.03, 4), "changed-scale"),
    "scales of a layer": (plant.scale(2, 0.5), "changed-scale"),
    "scale of an activation": (plant.activation_scale(1, 1.3), "changed-scale"),
    "zero point of a hidden layer": (plant.zero_point(1, 20), "changed-zero-point"),
    "zero point of the image": (plant.zero_point(0, 9, 0), "changed-zero-point"),
    "two classes": (plant.swapped_classes(3, 8), "permuted-classes"),
    "two layers": (plant.swapped_layers(1, 2), "swapped-layers"),
    "narrow ranges": (plant.calibrated(0.2), "saturated-activations"),
    "wide ranges": (plant.calibrated(10.0), "calibration"),
    "blue, green, red": (
        plant.inputs_reordered(np.arange(108).reshape(-1, 3)[:, ::-1].ravel()),
        "channel-order",
    ),
    "column by column": (
        plant.inputs_reordered(np.arange(108).reshape(6, 6, 3).transpose(1, 0, 2).ravel()),
        "layout",
    ),
    "channels, height, width": (
        plant.inputs_reordered(np.arange(108).reshape(-1, 3).T.ravel()),
        "layout",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    fault, expected = PLANTED[name]
    found = pair(tmp_path, dense(), plant.lite(int8(dense(), images()), fault)).names()
    assert found == [expected]


OF_FLOATS = (
    "one weight by 40 steps",
    "one bias",
    "scale of a channel",
    "two classes",
    "two layers",
)


@pytest.mark.parametrize(("name", "bits"), [*itertools.product(OF_FLOATS, (8, 4))])
def test_so_are_faults_of_dynamic_range_files(tmp_path: Path, name: str, bits: int) -> None:
    fault, expected = PLANTED[name]
    found = pair(tmp_path, dense(), plant.lite(dynamic(dense(), bits=bits), fault)).names()
    assert found == [expected]


def test_two_faults_have_two_names(tmp_path: Path) -> None:
    data = plant.lite(dynamic(dense()), plant.weight(1, 40))
    data = plant.lite(data, plant.swapped_classes(3, 8))
    assert sorted(pair(tmp_path, dense(), data).names()) == ["changed-weights", "permuted-classes"]


def test_the_evidence_says_where(tmp_path: Path) -> None:
    good = int8(dense(), images())
    for fault, key, value in (
        (plant.weight(1, 40, 24 * 5 + 7), "places", [[5, 7]]),
        (plant.bias(2, 0.5, 6), "outputs", [6]),
        (plant.scale(1, 1.5, 4), "scales", [4]),
        (plant.swapped_classes(3, 8), "map", [0, 1, 2, 8, 4, 5, 6, 7, 3, 9]),
    ):
        (found,) = pair(tmp_path, dense(), plant.lite(good, fault)).report().diagnoses
        assert found.evidence[key] == value
    (found,) = pair(tmp_path, dense(), plant.lite(good, plant.scale(1, 1.5, 4))).report().diagnoses
    assert found.evidence["factors"][0] == pytest.approx(1.5, abs=0.02)


def drifted(network: Dense, share: float, layers: slice = slice(None)) -> Dense:
    """The weights and biases after some more training, as noise."""
    rng, found = np.random.default_rng(4), list(network.layers)
    for number in range(len(found))[layers]:
        layer = found[number]
        noise = rng.standard_normal(layer.weights.shape) * share * layer.weights.std()
        weights = (layer.weights + noise).astype(np.float32)
        shift = rng.standard_normal(layer.bias.shape) * 0.02
        found[number] = replace(
            layer, weights=weights, bias=(layer.bias + shift).astype(np.float32)
        )
    return Dense(tuple(found))


@pytest.mark.parametrize(("bits", "share"), [(8, 0.05), (8, 0.4), (4, 0.1)])
def test_another_state_of_the_reference_is_stale(tmp_path: Path, bits: int, share: float) -> None:
    found = pair(tmp_path, drifted(dense(), share), dynamic(dense(), bits=bits))
    assert found.names() == ["stale-weights"]


def test_last_layers_that_were_trained_again_are_stale(tmp_path: Path) -> None:
    later = drifted(dense(), 0.3, slice(2, None))
    assert pair(tmp_path, later, dynamic(dense())).names() == ["stale-weights"]


def test_one_layer_that_was_replaced_is_changed(tmp_path: Path) -> None:
    other = [*dense().layers]
    other[1] = dense(7).layers[1]
    assert pair(tmp_path, Dense(tuple(other)), dynamic(dense())).names() == ["changed-weights"]


def test_another_seed_is_another_network(tmp_path: Path) -> None:
    for data in (dynamic(dense(2)), int8(dense(2), images())):
        assert pair(tmp_path, dense(), data).names() == ["another-network"]


def test_other_layers_are_another_network_and_are_not_compared(tmp_path: Path) -> None:
    smaller = Dense((dense().layers[0], dense(3).layers[3]))
    report = pair(
        tmp_path, dense(), dynamic(Dense(dense(5).layers[:1] + smaller.layers[1:]))
    ).report()
    assert not report.read
    assert "the layers differ" in report.reason
    assert [each.id for each in report.diagnoses] == ["another-network"]


def test_a_pruned_reference_of_fewer_layers_is_not_called_another_network(tmp_path: Path) -> None:
    three = Dense((*dense().layers[:1], *dense().layers[2:]))
    report = pair(tmp_path, dense(), dynamic(three)).report()
    assert not report.read
    assert report.diagnoses == ()


def test_float_weights_are_not_quantised(tmp_path: Path) -> None:
    path = write_keras1(dense(), tmp_path / "n.h5")
    network = load_network(path, image_shape=SHAPE, classes=10)
    report = compare_weights(network, network, images())
    assert [each.id for each in report.diagnoses] == ["nothing-quantised"]


def test_a_contract_that_both_obey_is_no_fault_and_one_that_one_obeys_is(tmp_path: Path) -> None:
    levels, first = input_options(input_scale="255"), dense().layers[0]
    small = (first.weights / np.float32(255)).astype(np.float32)
    of_levels = Dense((replace(first, weights=small), *dense().layers[1:]))
    made = pair(tmp_path, dense(), dynamic(of_levels))
    assert made.names() == ["input-scale"]
    told = load_network(
        made.quantised.path, image_shape=SHAPE, classes=10, layout="hwc", inputs=levels
    )
    assert replace(made, quantised=told).names() == []


def test_corrected_biases_are_no_fault_and_large_changes_are(tmp_path: Path) -> None:
    network, found = dense(), []
    for layer in network.layers:
        held, scales = codes(layer.weights.T.astype(np.float64))
        lost = (held * scales[:, None] - layer.weights.T) @ np.full(len(layer.weights), 0.5)
        found.append(replace(layer, bias=(layer.bias - lost).astype(np.float32)))
    assert pair(tmp_path, network, dynamic(Dense(tuple(found)))).names() == []
    moved = [replace(la, bias=la.bias + np.float32(3)) for la in network.layers]
    names = pair(tmp_path, network, dynamic(Dense(tuple(moved)))).names()
    assert set(names) == {"changed-bias"}


def test_weights_clipped_by_a_percentile_and_narrow_codes_are_roundings(tmp_path: Path) -> None:
    def clipped(file: plant.Lite) -> None:
        for number, layer in enumerate(dense().layers):
            weights = layer.weights.T.astype(np.float64)
            scales = (0.8 * np.abs(weights).max(axis=1) / 127).astype(np.float32)
            held = np.clip(np.rint(weights / scales[:, None]), -127, 127)
            file.put(number, 1, held.astype(np.int8))
            file.put_scales(number, 1, scales)

    report = pair(tmp_path, dense(), plant.lite(dynamic(dense()), clipped)).report()
    assert report.diagnoses == ()
    assert all(row["saturated"] > 0.01 for row in report.layers)


def test_the_report_is_json_and_counts_dead_and_saturated_weights(tmp_path: Path) -> None:
    report = pair(tmp_path, dense(), dynamic(dense(), bits=4)).report()
    (row, *_) = report.json()["layers"]
    weights = dense().layers[0].weights.T.astype(np.float64)
    held, scales = codes(weights, 4)
    assert row["dead"] == pytest.approx((held == 0).mean(), abs=1e-6)
    assert row["largest_error"] == pytest.approx(
        np.abs(held - weights / scales[:, None])[np.abs(held) < 7].max(), abs=1e-3
    )
    assert row["scheme"] == "int8 per channel"


def test_ranges_that_were_calibrated_on_the_images_hold_them(tmp_path: Path) -> None:
    report = pair(tmp_path, dense(), int8(dense(), images())).report()
    assert len(report.activations) == 5
    for each in report.activations:
        assert each.reference is not None
        assert each.reference[1] <= each.high + 2 * each.scale
        assert each.beyond == 0.0


REAL = {
    "mlp_dynamic_wi4.tflite": ("mlp.keras", ()),
    "mlp_static_wi8_ai8.tflite": ("mlp.onnx", ()),
    "mlp_static_wi8_ai16.tflite": ("mlp_float.tflite", ()),
    "mlp_wo_wi8.tflite": ("mlp.keras", ()),
    "mlp_nbits_4.onnx": ("mlp.keras", ()),
    "mlp_dyn.onnx": ("mlp.onnx", ()),
    "mlp_qdq_u8s8.onnx": ("mlp.keras", ()),
    "mlp_qdq_w4.onnx": ("mlp.onnx", ()),
    "mlp_qop_u8s8.onnx": ("mlp.onnx", ()),
    "mnist_quantized.tflite": ("conv_fc_mnist.tflite", ()),
    "conv_fc_mnist_srq_a8w8.tflite": ("conv_fc_mnist.tflite", ("another-network",)),
}


@pytest.mark.parametrize("name", REAL)
def test_files_that_people_deploy(name: str) -> None:
    other, expected = REAL[name]
    noise = np.random.default_rng(1).random((8, 784), dtype=np.float32) * np.float32(0.3)
    one, two = (
        load_network(
            shared_data(f"quantised_formats/{file}"),
            image_shape=(28, 28, 1),
            classes=10,
            more_classes=True,
        )
        for file in (other, name)
    )
    report = compare_weights(one, two, noise)
    assert report.read
    found = {each.id for each in report.diagnoses}
    assert found - {"calibration", "saturated-activations"} == set(expected)
    if not expected:
        assert all(row["largest_error"] <= 0.501 for row in report.layers)


def test_a_residual_network_of_three_formats() -> None:
    levels = input_options(input_scale="255")
    quantised = shared_data("mlperf_tiny/pretrainedResnet_quant.tflite")
    noise = np.random.default_rng(1).random((2, 3072), dtype=np.float32)
    for name in ("pretrainedResnet.h5", "pretrainedResnet.tflite"):
        one, two = (
            load_network(path, image_shape=(32, 32, 3), classes=10, inputs=levels)
            for path in (shared_data(f"mlperf_tiny/{name}"), quantised)
        )
        report = compare_weights(one, two, noise)
        assert len(report.layers) == 10
        assert all(row["beyond_rounding"] == 0 for row in report.layers)
        assert all(row["biases_beyond_rounding"] == 0 for row in report.layers)


def test_the_authors_pair_is_rounded_half_away_and_its_other_layout_is_told() -> None:
    reference = load_network(
        shared_data("duncan2020/cifar10_weights_keras1.h5"), image_shape=(32, 32, 3), classes=10
    )
    path = shared_data("duncan2020/converted_model_cifar.tflite")
    for layout, expected in (("chw", []), ("hwc", ["layout"])):
        quantised = load_network(path, image_shape=(32, 32, 3), classes=10, layout=layout)
        report = compare_weights(reference, quantised, np.zeros((1, 3072), np.float32))
        assert [each.id for each in report.diagnoses] == expected
        assert all(row["largest_error"] <= 0.501 for row in report.layers)


@pytest.mark.parametrize(("bits", "per_channel"), [(4, False), (8, False), (4, True)])
def test_float_weights_on_a_grid_are_quantised(
    tmp_path: Path, bits: int, per_channel: bool
) -> None:
    found = []
    for layer in dense().layers:
        held, scales = codes(layer.weights.T.astype(np.float64), bits, per_channel)
        weights = (held.astype(np.float32) * scales[:, None]).T
        found.append(replace(layer, weights=weights))
    simulated = Dense(tuple(found))
    path = write_keras1(simulated, tmp_path / "q.h5")
    network = load_network(path, image_shape=SHAPE, classes=10)
    other = load_network(write_keras1(dense(), tmp_path / "r.h5"), image_shape=SHAPE, classes=10)
    report = compare_weights(other, network, images())
    assert report.diagnoses == ()
    assert not nothing_quantised(network)
    assert nothing_quantised(other)
    assert "simulated" in report.layers[0]["scheme"]


def test_a_few_values_that_are_no_multiples_are_no_grid() -> None:
    values = np.random.default_rng(2).choice([-1.0, 0.3, 0.41], (20, 20))
    layer = Weighted("layer", "dense", values, (20,), "float32", 1)
    assert on_grid(layer) is layer
    assert on_grid(replace(layer, values=np.sign(values) * 0.25)).scheme == "simulated per tensor"
