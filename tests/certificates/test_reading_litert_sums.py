"""The checker's reader of `.tflite` files: sums of an int8 layer up to 2^31, against LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.certificates.checking.deployed import NoRulesError
from tests.make_kernels import Full, Kind, write
from tests.make_litert import GRID
from tests.reading_cases import ranges, read, run

# Two inputs of 255 levels, each times 127.
MOST = 2 * 255 * 127
# The reference kernel multiplies sums by 2^-25: no product comes near 31 bits.
OUT = Kind(GRID.scale * 2.0**16, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_that_wraps_has_no_rules(tmp_path: Path, sign: int) -> None:
    """At 2^31 - 1 LiteRT gives what the real sum rounds to, 64 steps; two more and the sign turns,
    although the product is as small."""
    about: dict[str, Any] = {
        "kind": "tflite",
        "runtime": "reference",
        "shape": (1, 2, 1),
        "classes": 2,
        "arithmetic": "integer",
    }
    images = np.array([[0, 0], [0, 1], [1, 1]], np.float32)

    def layer(most: int) -> bytes:
        """Its first sum is sign * most on the white image, and smaller on the others."""
        weights = np.array([[sign * 127] * 2, [0, 0]], np.int8)
        bias = np.array([sign * (most - MOST), 0], np.int32)
        return write(2, GRID, [Full(weights, bias, np.array([2.0**-9], np.float32), out=OUT)])

    fits, wraps = layer(2**31 - 1), layer(2**31 + 1)
    outputs = run(fits, "reference", images)
    assert outputs[:, 0].tolist() == [sign * 64 * OUT.scale] * 3
    low, high = ranges(read(fits, tmp_path, **about), images)
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    outputs = run(wraps, "reference", images)
    assert outputs[:, 0].tolist() == [sign * 64 * OUT.scale] * 2 + [-sign * 64 * OUT.scale]
    with pytest.raises(NoRulesError, match=r"an accumulator that could overflow 32 bits$"):
        read(wraps, tmp_path, **about)
