"""onnxruntime at each level of optimisation: its own outputs, and bounds that hold for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from relrob.errors import UsageError
from relrob.networks.details import ONNX_LEVELS, runtime_details
from relrob.networks.enclose import enclosure_of
from relrob.networks.load import load_network
from relrob.networks.onnx.emulate import onnx_emulator
from relrob.networks.onnx.inside import tensors
from relrob.networks.open import open_network
from relrob.networks.probes import at_points, outputs_within, probed
from tests.make_networks import write_onnx
from tests.make_quantised_onnx import network as quantised
from tests.support import random_dense

SHAPE = (4, 5, 1)
IMAGES = np.random.default_rng(2).random((200, 20), dtype=np.float32)
LEVELS = {
    "onnxruntime": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "onnxruntime:disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime:basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "onnxruntime:extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


def test_every_level_is_here() -> None:
    assert set(LEVELS) == set(ONNX_LEVELS)


@pytest.mark.parametrize("runtime", LEVELS)
def test_outputs_are_those_of_a_session_at_that_level(runtime: str, tmp_path: Path) -> None:
    data = quantised(1, "qdq gemm", ["n", 20], (20, 16, 5))
    path = tmp_path / "n.onnx"
    path.write_bytes(data)
    network = load_network(path, image_shape=SHAPE, classes=5, runtime=runtime)
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[runtime]
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    alone = [np.asarray(session.run(None, {name: image[None]})[0]) for image in IMAGES]
    assert np.array_equal(open_network(network).outputs(IMAGES), np.concatenate(alone))
    assert f"graph optimisation: {ONNX_LEVELS[runtime]}," in runtime_details(network)
    # The emulator knows the graph that all optimisations leave, and no other.
    assert runtime == "onnxruntime" or onnx_emulator(network, data) is None


def test_levels_are_not_all_the_same(tmp_path: Path) -> None:
    """Or the test above says nothing."""
    path = tmp_path / "n.onnx"
    path.write_bytes(quantised(1, "qdq gemm", ["n", 20], (20, 16, 5)))
    every, none = (
        open_network(load_network(path, image_shape=SHAPE, classes=5, runtime=runtime)).outputs(
            IMAGES
        )
        for runtime in ("onnxruntime", "onnxruntime:disabled")
    )
    assert not np.array_equal(every, none)


@pytest.mark.parametrize("runtime", LEVELS)
def test_a_float_network_keeps_its_bounds(runtime: str, tmp_path: Path) -> None:
    path = write_onnx(random_dense(4, (20, 30, 12, 5)), tmp_path / "n.onnx")
    network = probed(load_network(path, image_shape=SHAPE, classes=5, runtime=runtime))
    assert (network.runtime, network.black_box) == (runtime, "")
    enclosure = enclosure_of(network)
    assert enclosure is not None
    within = outputs_within(network, enclosure, at_points(enclosure, IMAGES)[-1])
    found = open_network(network, batch=1).outputs(IMAGES)
    assert within.holds(found).all()
    assert len(tensors(network, IMAGES[0])) == 4


def test_a_level_that_does_not_exist_is_told(tmp_path: Path) -> None:
    path = write_onnx(random_dense(4, (20, 5)), tmp_path / "n.onnx")
    with pytest.raises(UsageError, match=r"'onnxruntime:none' cannot run .*onnxruntime:basic"):
        load_network(path, image_shape=SHAPE, classes=5, runtime="onnxruntime:none")
