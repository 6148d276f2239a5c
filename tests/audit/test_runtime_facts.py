"""Three published files whose labels depend on the runtime, on the test images of their data
sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relrob.api.compare import compare_runtimes
from relrob.report.audit.runtimes import text
from tests.support import shared_data


def cifar10(folder: Path) -> str:
    """The 10,000 test images as a user's own file."""
    with np.load(shared_data("cifar10/cifar10_test.npz")) as held:
        path = folder / "cifar10.npz"
        np.savez(path, images=held["x_test"], labels=held["y_test"].ravel())
    return str(path)


def test_weights_that_tflm_dequantises_by_one_scale() -> None:
    """Google's weight-only MNIST file is 96.1 % right on LiteRT."""
    pytest.importorskip("tflite_micro")
    file = shared_data("quantised_formats/mnist_quantized.tflite")
    found = compare_runtimes(file, images="0:1000")
    assert found.accuracy == {"xnnpack": 0.961, "builtin": 0.961, "reference": 0.961, "tflm": 0.238}
    assert found.row("xnnpack", "builtin").differing == 0
    worst = found.worst
    assert worst is not None and "tflm" in worst.names and worst.differing == 760
    printed = text(found)
    assert "96.10 % right of 1,000 images" in printed and "23.80 % right of 1,000 images" in printed


def test_the_published_cifar_file_has_41_other_labels_on_reference_kernels(tmp_path: Path) -> None:
    file = shared_data("duncan2020/converted_model_cifar.tflite")
    names = ("xnnpack", "builtin", "reference")
    found = compare_runtimes(
        file, dataset=cifar10(tmp_path), runtimes=names, layout="chw", sample="all"
    )
    row = found.row("xnnpack", "reference")
    assert (row.images, row.differing, row.ties) == (10_000, 41, 0)
    assert found.row("builtin", "reference").differing == 0


@pytest.mark.slow
def test_resnet8_of_mlperf_tiny_has_200_other_labels_without_xnnpack(tmp_path: Path) -> None:
    """Its input grid says that it reads levels 0..255."""
    file = shared_data("mlperf_tiny/pretrainedResnet_quant.tflite")
    found = compare_runtimes(file, dataset=cifar10(tmp_path), runtimes="xnnpack,builtin,reference")
    row = found.row("xnnpack", "builtin")
    assert (row.images, row.differing, row.ties) == (10_000, 200, 88)
    assert row.accuracy == (0.8697, 0.8702)
    slow = next(run for run in found.runs if run.name == "reference")
    assert (slow.images, slow.sampled) == (1000, True)
    assert "A sample: 1,000 of 10,000 images (seed 0), for runtimes above 1 ms" in text(found)
