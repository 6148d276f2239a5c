"""Files whose weights are right and whose activations are rounded too coarsely; beside files that
compute something else with right weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.judge import diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.pair_report import PairReport
from relrob.audit.weights import compare_weights
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob_datasets.dataset import Dataset
from tests.audit.stacks import SHAPE, built, normalisations
from tests.make_networks import convert, save


def leaky(pooling: str = "MaxPooling2D") -> Any:
    """A LeakyReLU before a normalisation that stands: the converter gives it the range of the
    product, of which it uses a tenth."""
    model = built(
        lambda k: [
            *(k.Conv2D(8, 3), k.LeakyReLU(), k.BatchNormalization(), getattr(k, pooling)(2)),
            *(k.Conv2D(16, 2, padding="same", activation="relu"), k.GlobalAveragePooling2D()),
            k.Dense(12, activation="relu"),
        ]
    )
    (normal,) = normalisations(model)
    gamma, beta, mean, _ = normal.get_weights()
    normal.set_weights([gamma, beta, mean, np.full(len(gamma), 0.01)])
    return model


def compared(reference: Any, quantised: Any, folder: Path) -> tuple[PairReport, list[Diagnosis]]:
    """A model against the int8 file of another one, on 400 seeded images."""
    levels = np.random.default_rng(4).integers(0, 256, (400, *SHAPE)).astype(np.uint8)
    pixels = levels.astype(np.float32) / np.float32(255)
    save(reference, folder / "reference.keras")
    (folder / "quantised.tflite").write_bytes(convert(quantised, "int8", pixels[:100]))
    one, other = (
        load_network(folder / name, image_shape=SHAPE, classes=5)
        for name in ("reference.keras", "quantised.tflite")
    )
    flat = pixels.reshape(400, -1)
    right = labels(open_network(one).outputs(flat))
    runs = compare_pair(one, other, Dataset("noise", "test", levels, right, 5, ""))
    return runs, list(diagnose(runs, compare_weights(one, other, flat[:64])))


def test_logits_that_ranges_alone_make_wrong_are_a_calibration(tmp_path: Path) -> None:
    runs, (found,) = compared(leaky(), leaky(), tmp_path)
    assert runs.agreement < 0.95
    assert [each.id for each in runs.candidates] == ["another-network"]
    assert runs.candidates[0].evidence["in_reals"]["noise"] < 0.1
    assert (found.id, found.blocking) == ("calibration", True)
    assert "where this file rounds no activations" in found.sentence


def test_another_pooling_is_wrong_in_reals_as_well(tmp_path: Path) -> None:
    runs, found = compared(leaky(), leaky("AveragePooling2D"), tmp_path)
    assert runs.candidates[0].evidence["in_reals"]["noise"] > 0.5
    assert any(each.blocking for each in found)
    assert all("rounds no activations" not in each.sentence for each in found)
