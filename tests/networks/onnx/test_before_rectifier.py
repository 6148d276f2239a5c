"""Steps before a rectifier and a Flatten, as steps of the columns that a dense layer reads, against
onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks.onnx.test_before import BATCHES, NORMALISED, floats, node, run, written

BEHIND: dict[str, list[Any]] = {
    "a rectifier, then flat": [node("Relu", ["s"], ["a"]), node("Flatten", ["a"], ["f"])],
    "flat, then a rectifier": [node("Flatten", ["s"], ["a"]), node("Relu", ["a"], ["f"])],
    "flat, then columns": [
        *(node("Flatten", ["s"], ["a"]), node("Add", ["a", "d"], ["t"])),
        node("Relu", ["t"], ["f"]),
    ],
}


@pytest.mark.parametrize("name", BEHIND)
def test_steps_before_a_rectifier_are_of_the_columns_of_a_dense_layer(
    tmp_path: Path, name: str
) -> None:
    """In the order of a raster, (H, W, C), as its weights are where it reads the image."""
    nodes = [BATCHES, *BEHIND[name], node("Gemm", ["f", "w", "b"], ["y"])]
    held = {"w": floats(48, 6) - 1, "b": floats(6), "d": floats(48), **NORMALISED}
    held["mean"] = floats(3) * 3
    layer = written(tmp_path / "n.onnx", nodes, held, False)
    assert layer.traced
    ((step, _),) = layer.earlier
    image = floats(1, 3, 4, 4) * 6 - 4
    read = np.maximum(image[0].transpose(1, 2, 0).ravel() * step.factor + step.shift, 0)
    assert 0 < (read == 0).mean() < 1
    found = layer.values @ read + layer.bias
    np.testing.assert_allclose(found, run(tmp_path / "n.onnx", image), rtol=1e-4, atol=1e-4)
