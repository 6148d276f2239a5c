"""What a quantiser wrote is read back and checked, property by property; the small parts of
training."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.compress.post_training.tflite_file import Contents, Weights
from relrob.domain.network import Layout
from relrob.errors import QuantiseError
from relrob.registry import load
from tests import make_networks
from tests.support import random_dense

ENDS = {"int8": "int8", "int8-per-tensor": "int8"}
READS = {"int8": "int8", "int8-per-tensor": "int8", "int16x8": "int16"}


def right(scheme: str, outputs: int = 3) -> Weights:
    """Weights that a scheme may hold."""
    tensor = scheme in ("dynamic", "int8-per-tensor")
    half = scheme == "float16"
    values = np.ones((outputs, 4), np.float16 if half else np.int8)
    scales = np.ones(0 if half else 1 if tensor else outputs, np.float32)
    return Weights(
        "w", values, scales, READS.get(scheme, "float32"), outputs, scheme == "dynamic-per-channel"
    )


def verdict(
    scheme: str, *weights: Weights, ends: str | None = None, last: str | None = None
) -> str:
    """The message, "" when the file is accepted."""
    end = ends or ENDS.get(scheme, "float32")
    try:
        load("relrob.compress.post_training.litert:check")(
            Contents((end,), (last or end,), weights), scheme, "a.tflite"
        )
    except QuantiseError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


SCHEMES = ("dynamic", "dynamic-per-channel", "int8", "int8-per-tensor", "int16x8", "float16")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_property_of_a_scheme_is_checked(scheme: str) -> None:
    good = right(scheme)
    assert verdict(scheme, good) == verdict(scheme, good, right(scheme, 5)) == ""
    assert f"nothing was quantised as {scheme}" in verdict(scheme)
    assert "input and output are" in verdict(
        scheme, good, ends="int8" if scheme not in ENDS else "float32"
    )
    assert "input and output are" in verdict(scheme, good, last="uint8")
    other = replace(good, activations="int8" if good.activations != "int8" else "float32")
    assert f"w reads {other.activations}; accepted: {good.activations}" in verdict(
        scheme, good, other
    )
    if scheme != "float16":
        more = replace(good, scales=np.ones(len(good.scales) + 1, np.float32))
        assert f"w has {len(more.scales)} scales; accepted: {len(good.scales)}" in verdict(
            scheme, more
        )
        assert "w has 0 scales" in verdict(scheme, replace(good, scales=good.scales[:0]))
        for bad in (np.nan, np.inf):
            assert "scales" in verdict(scheme, replace(good, scales=good.scales * np.float32(bad)))
    zero_point = verdict(scheme, replace(good, asymmetric=True))
    assert ("has a zero point at run time; accepted: symmetric inputs" in zero_point) is (
        scheme == "dynamic"
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_that_stayed_float(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """Refused by schemes that promise all; dynamic range leaves small tensors alone, and warns of
    large ones."""
    for size, warned in ((1023, False), (1024, True)):
        left = Weights(
            "v", np.ones((size, 1), np.float32), np.ones(0, np.float32), "float32", 1, False
        )
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="relrob"):
            said = verdict(scheme, right(scheme), left)
        partial = scheme.startswith("dynamic")
        assert said == "" if partial else "v stayed float32; accepted: " in said
        assert ("left v in float" in caplog.text) is (partial and warned)
        alone = verdict(scheme, left)
        assert f"nothing was quantised as {scheme}" in alone
        assert ("1,024 elements" in alone) is partial


def graph(
    axis: int | None, scales: int, kind: int = TensorProto.INT8, rank: int = 2
) -> onnx.ModelProto:
    """One DequantizeLinear of a constant of 4 x 6 (or 6)."""
    held = np.ones((4, 6)[2 - rank :], np.int8)
    weights = numpy_helper.from_array(held.astype(helper.tensor_dtype_to_np_dtype(kind)), "w")
    steps = numpy_helper.from_array(np.ones(scales, np.float32), "s")
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"], **attributes)
    return helper.make_model(helper.make_graph([node], "g", [], [], [weights, steps]))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph(0, 4), ""),
        (graph(1, 6), ""),
        (graph(None, 6), ""),
        (graph(None, 4), "w has 4 scales; accepted: 6"),
        (graph(0, 1), "w has 1 scales; accepted: 4"),
        (graph(1, 4), "w has 4 scales; accepted: 6"),
        (graph(0, 4, TensorProto.UINT8), "nothing was quantised as qdq"),
        (graph(0, 6, rank=1), "nothing was quantised as qdq"),
    ],
)
def test_qdq_weights_have_a_scale_a_channel(model: onnx.ModelProto, words: str) -> None:
    verify = load("relrob.compress.post_training.onnx_qdq:_verify")
    if not words:
        verify(model, "qdq", "a.onnx")
        return
    with pytest.raises(QuantiseError, match=words) as caught:
        verify(model, "qdq", "a.onnx")
    assert str(caught.value).startswith("a.onnx")


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("softmax", [False, True])
def test_weights_become_a_keras_model_in_the_files_own_order(layout: Layout, softmax: bool) -> None:
    dense = random_dense(2, (12, 5, 3), softmax)
    model = load("relrob.compress.post_training.keras_model:from_dense")(dense, layout, (2, 2, 3))
    images = np.random.default_rng(0).random((7, 2, 2, 3), dtype=np.float32)
    given = images.transpose(0, 3, 1, 2) if layout is Layout.CHW else images
    logits = make_networks.forward(dense, images.reshape(7, 12))
    expected = make_networks.softmax(logits) if softmax else logits
    np.testing.assert_allclose(model(given.reshape(7, 12)).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_shared_objects_are_counted_in_order_of_appearance() -> None:
    """Keras numbers them by their address in memory; equal addresses stay equal, everything else
    stays as it is."""
    renumbered: Any = load("relrob.training.saving:_renumbered")
    first, second = 140_001, 139_002

    def content(one: int, two: int) -> dict[str, Any]:
        inner = {
            "shared_object_id": two,
            "config": [{"shared_object_id": one, "rate": 0.5}, None, "text", 3],
        }
        return {"layers": [{"shared_object_id": one}, inner], "id": one}

    found = renumbered(content(first, second), {})
    assert found == {**content(0, 1), "id": first}
    assert renumbered(content(second, first), {}) == {**content(0, 1), "id": second}
    assert content(first, second)["layers"][0] == {"shared_object_id": first}


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_training_sees_scaled_pixels(standardise: bool, kind: type) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 6))
    images = levels.astype(np.uint8) if kind is np.uint8 else (levels / 255).astype(np.float32)
    scaled = load("relrob.training.scaling:Scaling").of(images, standardise).apply(images).numpy()
    exact = levels / 255
    expected = (exact - exact.mean()) / exact.std() if standardise else exact
    np.testing.assert_allclose(scaled, expected, atol=1e-5)
    assert scaled.dtype == np.float32


def test_models_share_their_layers_and_repeat_by_seed() -> None:
    architecture: Any = load("relrob.training.architectures:ARCHITECTURES")[0]
    made = [
        load("relrob.training.models:models")(architecture, architecture.quick, (2, 2, 1), 4, seed)
        for seed in (3, 3, 4)
    ]
    weights = [[np.asarray(array) for array in plain.get_weights()] for _, plain in made]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])
    training, plain = made[0]
    dense = [
        layer for layer in training.layers if layer.name in {each.name for each in plain.layers}
    ]
    assert [layer.name for layer in dense] == [layer.name for layer in plain.layers]
    assert all(a is b for a, b in zip(dense[1:], plain.layers[1:], strict=True))
    assert [a.shape for a in weights[0]][::2] == list(
        zip((4, *architecture.hidden), (*architecture.hidden, 4), strict=True)
    )
    names = [layer.name for layer in training.layers if layer.name.startswith("dropout")]
    assert names == [f"dropout_{number}" for number in range(len(architecture.hidden))]
    assert {layer.rate for layer in training.layers if layer.name in names} <= {
        architecture.dropout
    }
