"""The checker's reader of fixed-point `.npz` files: accepted arrays and refused ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.certificates.checking.deployed import NoRulesError, read_deployed
from relrob.networks.fixed.file import fixed_bytes
from tests.networks.fixed.test_network import random_network
from tests.reading_cases import described, hostile_images, ranges


def test_fixed_point_files(tmp_path: Path) -> None:
    network = random_network(3, 8, (16, 6, 3))
    path = tmp_path / "n.npz"
    path.write_bytes(fixed_bytes(network))
    asked: dict[str, Any] = {"kind": "fixed", "runtime": "fixed", "arithmetic": "integer"}
    found = read_deployed(described(path, **asked))
    images = hostile_images(16)
    low, high = ranges(found, images)
    outputs = network.outputs(images)
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    with np.load(io.BytesIO(path.read_bytes())) as held:
        arrays = dict(held)
    changes: tuple[tuple[str, Callable[[Any], object]], ...] = (
        ("more", lambda a: a.update(more=np.array([1]))),
        ("less", lambda a: a.pop("bias_0")),
        ("floats", lambda a: a.update(bias_0=a["bias_0"].astype(np.float64))),
        ("another version", lambda a: a["relrob_fixed"].__setitem__(0, 2)),
        ("large", lambda a: a["weights_0"].__setitem__((0, 0), 2**61)),
        ("shift", lambda a: a["form_0"].__setitem__(1, 63)),
        ("a row less", lambda a: a.update(weights_1=a["weights_1"][1:])),
    )
    for name, change in changes:
        spoilt = {key: value.copy() for key, value in arrays.items()}
        change(spoilt)
        np.savez_compressed(path, **spoilt)
        with pytest.raises(NoRulesError):
            read_deployed(described(path, **asked))
            pytest.fail(name)
