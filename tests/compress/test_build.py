"""The light half of quantisation: names, calibration images, and refusals before anything heavy is
imported."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.compress.build import default_runtime, needs_calibration, quantised_bytes, suffix
from relrob.compress.calibration import Calibration, draw
from relrob.compress.table import QUANTISERS
from relrob.domain.network import Network
from relrob.errors import DatasetError, QuantiseError, RelrobError, ShapeError, UsageError
from relrob_datasets import Dataset
from tests.support import ROOT, random_dense

SHAPE = (4, 4, 1)
NETWORK = Network(
    "net.keras", "0" * 64, "keras", "onnxruntime", 16, 3, SHAPE, dense=random_dense(0, (16, 8, 3))
)
PIXELS = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
DATA = Dataset("dots", "train", PIXELS, np.arange(30) % 3, 3, "")


@pytest.mark.parametrize(
    ("scheme", "ending", "runtime", "calibrated"),
    [
        ("dynamic", ".tflite", "xnnpack", False),
        ("dynamic-per-channel", ".tflite", "xnnpack", False),
        ("float16", ".tflite", "xnnpack", False),
        ("int8", ".tflite", "xnnpack", True),
        ("int8-per-tensor", ".tflite", "xnnpack", True),
        ("int16x8", ".tflite", "xnnpack", True),
        ("qdq", ".onnx", "onnxruntime", True),
    ],
)
def test_schemes(scheme: str, ending: str, runtime: str, calibrated: bool) -> None:
    assert (suffix(scheme), default_runtime(scheme), needs_calibration(scheme)) == (
        ending,
        runtime,
        calibrated,
    )
    assert scheme in {entry.name for entry in QUANTISERS}


@pytest.mark.parametrize(
    ("network", "scheme", "calibration", "shape", "error", "words"),
    [
        (NETWORK, "int3", None, SHAPE, UsageError, "dynamic, dynamic-per-channel, int8"),
        (NETWORK, "int8", None, SHAPE, UsageError, "without calibration images"),
        (
            replace(NETWORK, scheme="qdq"),
            "int8",
            draw(DATA),
            SHAPE,
            QuantiseError,
            "quantised already (qdq)",
        ),
        (NETWORK, "dynamic", None, (2, 8, 1), ShapeError, "(4, 4, 1)"),
        (
            NETWORK,
            "int8",
            Calibration("d", "train", (0,), 0, np.zeros((1, 9), np.float32)),
            SHAPE,
            ShapeError,
            "16 values",
        ),
    ],
)
def test_refusals_before_any_work(
    network: Network,
    scheme: str,
    calibration: Calibration | None,
    shape: tuple[int, int, int],
    error: type[RelrobError],
    words: str,
) -> None:
    with pytest.raises(error) as caught:
        quantised_bytes(network, scheme, calibration, shape)
    assert words in str(caught.value)


def test_nothing_heavy_is_imported_by_the_light_modules() -> None:
    heavy = "{'tensorflow', 'keras', 'onnx', 'onnxruntime', 'ai_edge_litert', 'scipy'}"
    code = (
        "import sys, relrob.compress.build, relrob.compress.calibration, "
        "relrob.training.reference, relrob.training.architectures;"
        f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", "datasets"])}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_a_draw_names_its_images_and_repeats() -> None:
    drawn = draw(DATA, 12, seed=5)
    assert drawn.name == "dots/train, 12 images, seed 5"
    assert drawn.indices == draw(DATA, 12, seed=5).indices != draw(DATA, 12, seed=6).indices
    assert len(set(drawn.indices)) == 12 and list(drawn.indices) == sorted(drawn.indices)
    exact = PIXELS[list(drawn.indices)].reshape(12, -1) / 255
    assert drawn.images.dtype == np.float32 and np.array_equal(
        drawn.images, exact.astype(np.float32)
    )
    assert not drawn.images.flags.writeable


def test_a_draw_takes_all_there_is_and_no_fewer_than_one() -> None:
    assert draw(DATA).indices == tuple(range(30))
    for count, seed in ((0, 0), (-3, 0), (5, -1)):
        with pytest.raises(UsageError):
            draw(DATA, count, seed)


@pytest.mark.parametrize(
    "bad", [np.zeros((0, 4)), np.zeros((2, 4)), np.full((1, 4), 1.5), np.full((1, 4), np.nan)]
)
def test_calibration_images_are_images(bad: np.ndarray) -> None:
    with pytest.raises(DatasetError):
        Calibration("d", "train", (0,), 0, bad.astype(np.float32))


def test_a_changed_file_is_not_quantised(tmp_path: Path) -> None:
    path = tmp_path / "black.keras"
    path.write_bytes(b"PK other bytes than those that were loaded")
    with pytest.raises(RelrobError, match="has changed since it was loaded"):
        quantised_bytes(
            replace(NETWORK, path=str(path), runtime="keras", dense=None), "dynamic", None, SHAPE
        )
