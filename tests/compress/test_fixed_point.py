"""Fixed point of B bits: against the float network that it stands for, its own ranges, and the
command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.compress.build import default_runtime, needs_calibration, quantised_bytes, suffix
from relrob.compress.calibration import Calibration
from relrob.compress.table import scheme
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer, Network
from relrob.errors import QuantiseError, UsageError
from relrob.networks.fixed.file import parse_fixed
from relrob.networks.fixed.network import FixedNetwork
from tests.cli_case import Case, relrob_command
from tests.support import NumpyEvaluator, random_dense

SHAPE = (5, 5, 1)
IMAGES = (np.random.default_rng(3).integers(0, 256, (300, 25)) / 255).astype(
    np.float32
)  # on the grid of the codes


def network(dense: Dense) -> Network:
    return Network("m.onnx", "0" * 64, "onnx", "numpy", 25, dense.classes, SHAPE, dense=dense)


def drawn(images: Floats) -> Calibration:
    return Calibration("own", "train", tuple(range(len(images))), 0, images)


def made(dense: Dense, bits: int, images: Floats = IMAGES) -> FixedNetwork:
    return parse_fixed(
        "q.npz", quantised_bytes(network(dense), f"fixed:{bits}", drawn(images), SHAPE)
    )


@pytest.mark.parametrize("sizes", [(25, 4), (25, 16, 4), (25, 16, 12, 4)])
def test_more_bits_come_closer_to_the_float_network(sizes: tuple[int, ...]) -> None:
    dense = random_dense(4, sizes)
    exact = NumpyEvaluator(dense).outputs(IMAGES)
    errors, agreed = [], []
    for bits in (4, 6, 8, 12, 16):
        outputs = made(dense, bits).outputs(IMAGES)
        unit = float((outputs * exact).sum() / (outputs * outputs).sum())
        errors.append(float(np.abs(unit * outputs - exact).max()))
        agreed.append(float((outputs.argmax(axis=1) == exact.argmax(axis=1)).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 50
    assert agreed[-1] > 0.99


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_every_number_has_the_bits_that_were_asked_for(bits: int) -> None:
    found = made(random_dense(7, (25, 10, 3)), bits)
    signed = 2 ** (bits - 1)
    for layer in found.layers:
        assert layer.weights.min() >= -signed
        assert layer.weights.max() < signed
        assert layer.bias.min() >= -signed
        assert layer.bias.max() < signed
    assert [(layer.low, layer.high) for layer in found.layers] == [
        (0, 2**bits - 1),
        (-signed, signed - 1),
    ]
    assert (found.low, found.high, found.pixel_scale) == (0, 255, 255)


def test_calibrated_outputs_hardly_saturate_and_use_half_of_their_range() -> None:
    found = made(random_dense(5, (25, 10, 3)), 8)
    outputs = found.evaluate(found.codes(IMAGES))
    assert 64 <= np.abs(outputs).max() <= 128


def test_layers_of_zeros_and_of_large_numbers_are_quantised() -> None:
    zeros = Dense((Layer(np.zeros((25, 3), np.float32), np.zeros(3, np.float32), relu=False),))
    assert (made(zeros, 6).outputs(IMAGES) == 0).all()
    huge = Dense(
        (Layer(np.full((25, 3), 1000, np.float32), np.array([0, 1e6, 3], np.float32), relu=False),)
    )
    assert (made(huge, 6).outputs(IMAGES).argmax(axis=1) == 1).all()


def test_the_same_network_gives_the_same_bytes() -> None:
    dense = random_dense(1, (25, 6, 3))
    one, two = (quantised_bytes(network(dense), "fixed:6", drawn(IMAGES), SHAPE) for _ in range(2))
    assert one == two


def test_what_the_scheme_is() -> None:
    assert (suffix("fixed:8"), default_runtime("fixed:8"), needs_calibration("fixed:8")) == (
        ".npz",
        "fixed",
        True,
    )
    for name in (
        "fixed",
        "fixed:",
        "fixed:B",
        "fixed:1",
        "fixed:17",
        "fixed:-4",
        "fixed:8.0",
        "fixed:٤",
    ):
        with pytest.raises(UsageError, match="fixed:2 to fixed:16"):
            scheme(name)


def test_a_black_box_is_refused() -> None:
    box = replace(network(random_dense(1, (25, 3))), dense=None)
    with pytest.raises(QuantiseError, match="a float MLP"):
        quantised_bytes(box, "fixed:8", drawn(IMAGES), SHAPE)


@pytest.mark.parametrize(
    "region", [("ladder", "--radius", "3", "--step", "1/2"), ("linf", "--radius", "1/100")]
)
def test_a_run_on_fixed_point_and_its_certificates(
    case: Case, tmp_path: Path, region: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    shape = ("--features", "8", "--axes", "3") if region[0] == "ladder" else ()
    arguments = [
        "verify",
        str(case.reference),
        "--dataset",
        str(case.data),
        "--quantise",
        "fixed:8",
        "--images",
        "0:4",
    ]
    more = [
        "--region",
        *region,
        *shape,
        "--certificates",
        "--workers",
        "1",
        "--out",
        str(out),
        "--json",
    ]
    done = relrob_command([*arguments, *more], tmp_path)
    summary = json.loads(done.stdout)
    assert summary["quantised"]["runtime"] == "fixed"
    assert summary["quantised"]["arithmetic"] == "integer"
    assert summary["region"]["kind"] == region[0]
    certificates = sorted((out / "certificates").glob("*-quantised.json"))
    assert certificates
    checked = relrob_command(["check", *map(str, certificates)], tmp_path)
    assert checked.stdout.count(": valid") == len(certificates)
