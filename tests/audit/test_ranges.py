"""Ranges that look like a fault and are none: those of the step behind a layer, those of values
with heavy tails, those of layers that give nothing; beside faults of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.audit.ranges import activation_faults
from relrob.audit.tails import tail
from relrob.audit.weight_report import Activation, WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.arrays import Floats
from relrob.networks.load import load_network
from tests import planted_pairs as plant
from tests.audit.pairs import Pair, dense, int8, pair
from tests.audit.stacks import SHAPE, built, normalisations
from tests.make_litert import OP
from tests.make_networks import convert, save

Edit = Callable[[plant.Lite], None]


def told(report: WeightReport) -> list[tuple[str, bool]]:
    """The names of the diagnoses, and whether they block."""
    return [(each.id, each.blocking) for each in report.diagnoses]


def quantised(
    model: Any,
    folder: Path,
    images: Floats,
    change: Edit = lambda _: None,
    audited: Floats | None = None,
) -> WeightReport:
    """The comparison of a model with its int8 file, calibrated on images (n, 6, 6, 3), in which
    something was changed. `audited`: other images (n, 6, 6, 3) on which they are compared."""
    save(model, folder / "reference.keras")
    data = plant.lite(convert(model, "int8", images), change)
    (folder / "quantised.tflite").write_bytes(data)
    one, other = (
        load_network(folder / name, image_shape=SHAPE, classes=5)
        for name in ("reference.keras", "quantised.tflite")
    )
    rows = images if audited is None else audited
    return compare_weights(one, other, rows.reshape(len(rows), -1))


def seen(count: int = 64) -> Floats:
    """Seeded images (n, 6, 6, 3)."""
    return np.random.default_rng(4).random((count, *SHAPE), dtype=np.float32)


def standing() -> Any:
    """A convolution with a ReLU, and a normalisation with factors of about 10 that stands behind
    it: the converter gives the convolution the range of the product."""
    model = built(
        lambda k: [
            *(k.Conv2D(8, 3, activation="relu"), k.BatchNormalization(), k.MaxPooling2D(2)),
            *(k.Conv2D(8, 2, padding="same", activation="relu"), k.Flatten()),
        ]
    )
    (normal,) = normalisations(model)
    gamma, beta, mean, _ = normal.get_weights()
    normal.set_weights([gamma, beta, mean, np.full(len(gamma), 0.008)])
    return model


def widened(*kinds: int) -> Edit:
    """The output of the first operator of each of these kinds on a range ten times as wide."""

    def change(file: plant.Lite) -> None:
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in file.model.operatorCodes]
        for kind in kinds:
            first = next(o for o in file.graph.operators if codes[o.opcodeIndex] == kind)
            made = file.graph.tensors[int(first.outputs[0])].quantization
            made.scale = np.asarray(made.scale, np.float32) * np.float32(10)

    return change


def test_a_range_of_the_step_behind_does_not_block(tmp_path: Path) -> None:
    report = quantised(standing(), tmp_path, seen())
    assert report.read
    assert told(report) == [("calibration", False)]
    (found,) = report.diagnoses
    assert "the range of 1 activation is that of the step behind" in found.sentence
    (share,) = found.evidence["lent"].values()
    assert 0.05 < share < 0.2
    lent = [each for each in report.activations if each.borrowed]
    assert [(each.role, each.misfit) for each in lent] == [("output", False)] * len(lent)


@pytest.mark.parametrize("kinds", [(OP.CONV_2D,), (OP.CONV_2D, OP.MUL)])
def test_a_range_that_the_step_behind_does_not_use_either_is_told(
    tmp_path: Path, kinds: tuple[int, ...]
) -> None:
    report = quantised(standing(), tmp_path, seen(), widened(*kinds))
    assert ("calibration", True) in told(report)


def test_a_largest_value_behind_a_layer_is_not_the_end_of_its_range(tmp_path: Path) -> None:
    """The converter gives the convolution the range of the minimum behind it."""
    model = built(lambda k: [k.Conv2D(8, 3, padding="same"), k.ReLU(max_value=0.3), k.Flatten()])
    assert told(quantised(model, tmp_path, seen())) == []

    def narrower(file: plant.Lite) -> None:
        file.put_scales(0, -1, file.scales(0, -1) / np.float32(2))

    found = quantised(model, tmp_path, seen(), narrower)
    assert ("saturated-activations", True) in told(found)


def mute(lost: float) -> Any:
    """A network with a convolution whose ReLU is hardly above 0, or never."""
    model = built(lambda k: [k.Conv2D(8, 3, activation="relu"), k.Flatten()])
    weights, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([weights, bias - lost])
    return model


def test_a_layer_that_gives_nothing_has_no_wrong_range(tmp_path: Path) -> None:
    """On none of the images, of the calibration or of the audit."""
    report = quantised(mute(50), tmp_path, seen())
    assert report.read
    assert [each.dead for each in report.activations if each.fused] == [True]
    # The outputs are the biases: those at the ends of their range are from equal inputs.
    assert told(report) == [("saturated-activations", False)]


def test_a_layer_that_gives_nothing_on_these_images_has_no_wrong_range(tmp_path: Path) -> None:
    """Images that are half as bright as those of the calibration."""
    report = quantised(mute(2.5), tmp_path, seen(), audited=seen() / np.float32(2))
    assert [each.dead for each in report.activations if each.fused] == [True]
    assert [each.used for each in report.activations if each.fused] == [0.0]
    assert told(report) == []


def test_a_layer_whose_range_is_too_wide_to_give_anything_is_told(tmp_path: Path) -> None:
    """Its values are all rounded to 0."""

    def huge(file: plant.Lite) -> None:
        file.put_scales(0, -1, file.scales(0, -1) * np.float32(1000))

    model = built(lambda k: [k.Conv2D(8, 3, activation="relu"), k.Flatten()])
    report = quantised(model, tmp_path, seen(), huge)
    assert [(each.used, each.dead) for each in report.activations if each.fused] == [(0.0, False)]
    (found,) = report.diagnoses
    assert (found.id, found.blocking) == ("calibration", True)
    assert found.evidence["wide"]["operator 0 CONV_2D output"] == 0.0


def tailed() -> tuple[Floats, Floats]:
    """Images (n, 108) for the calibration and for the audit, of one distribution with heavy tails.
    The largest logit is among the first, and the three smallest among the others."""
    rng = np.random.default_rng(0)
    values = np.exp(0.3 * rng.normal(0, 1, (3000, 1)) + 0.3 * rng.normal(0, 1, (3000, 108)))
    pixels = (values / values.max()).astype(np.float32)
    logits = pixels.astype(np.float64)
    for layer in dense().layers:
        logits = logits @ layer.weights + layer.bias
        logits = np.maximum(logits, 0) if layer.relu else logits
    low, high = logits.min(axis=1), logits.max(axis=1)
    few = np.argsort(low)[:3]
    rest = np.flatnonzero((high < np.quantile(high, 0.98)) & (low > np.quantile(low, 0.02)))
    wanted = high[rest].max() + low[rest].min() - low[few].min()
    top = int(np.abs(high - wanted).argmin())
    return pixels[[*rest[::3], top]], pixels[[*few, *rest[1:184:3]]]


def on_tails(folder: Path, change: Edit = lambda _: None) -> list[tuple[str, bool]]:
    """What is told of the pair that was calibrated on such images."""
    calibration, audited = tailed()
    made: Pair = pair(folder, dense(), plant.lite(int8(dense(), calibration), change))
    return told(compare_weights(made.reference, made.quantised, audited))


def test_a_few_unusual_values_are_no_wrong_zero_point(tmp_path: Path) -> None:
    assert on_tails(tmp_path) == []


@pytest.mark.parametrize(("layer", "steps"), [(1, 20), (3, 120), (3, -90)])
def test_a_zero_point_that_is_off_is_told_beside_unusual_values(
    tmp_path: Path, layer: int, steps: int
) -> None:
    assert ("changed-zero-point", True) in on_tails(tmp_path, plant.zero_point(layer, steps))


def test_the_tail_of_values() -> None:
    rng = np.random.default_rng(2)
    assert tail(rng.random((64, 10))) == 1.0
    assert tail(rng.normal(0, 1, (64, 10))) == 1.0
    # The index of a Pareto distribution is the inverse of its exponent.
    heavy = rng.pareto(1.0, (600, 1))
    assert 10 < tail(heavy) < 250
    assert tail(heavy[:29]) == 1.0
    assert tail(np.zeros((64, 3))) == 1.0


def activation(role: str, filled: float, tail: float) -> Activation:
    """One whose values fill a share of its range."""
    return Activation(
        *("layer", role, f"{role} {filled}", 0.1, -128, 0.0, 25.5, filled, 0.0, 0.0, True),
        reference=(0.0, 25.5 * filled),
        beyond=0.0,
        tail=tail,
    )


@pytest.mark.parametrize(
    ("given", "made", "expected"),
    [
        ((0.1, 1.0), (0.9, 1.0), ["calibration"]),
        ((0.1, 8.0), (0.15, 1.0), []),
        ((0.9, 1.0), (0.15, 8.0), []),
        ((0.9, 1.0), (0.15, 1.0), ["calibration"]),
        # Far wider than a calibration on more such images makes it.
        ((0.9, 8.0), (0.01, 8.0), ["calibration"]),
    ],
)
def test_a_range_for_more_values_with_heavy_tails_is_not_too_wide(
    given: tuple[float, float], made: tuple[float, float], expected: list[str]
) -> None:
    used = [activation("input", *given), activation("output", *made)]
    assert [each.id for each in activation_faults(used, ())] == expected
