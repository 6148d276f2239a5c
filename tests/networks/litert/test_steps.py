"""The steps that the reader of `.tflite` weights tells: put together by their formula, the layers
give what the runtime gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.lib.stride_tricks import sliding_window_view

from relrob.domain.arrays import Doubles
from relrob.networks.litert.flat import NotModelledError, Tensor
from relrob.networks.load import load_network
from relrob.networks.weighted import Affine, Weighted, weights_of
from tests.audit.stacks import SHAPE, Stack, built
from tests.make_networks import convert

# Stacks of layers over 6x6 places, all of which pad, and how many steps stand in their files.
STACKS: dict[str, tuple[Stack, int]] = {
    "a normalisation on the image": (
        lambda k: [
            k.BatchNormalization(),
            *(k.Conv2D(8, 3, padding="same", activation="relu"), k.Flatten()),
        ],
        2,
    ),
    "normalisations and other steps": (
        lambda k: [
            *(k.Rescaling(2.0, offset=-1.0), k.Conv2D(8, 3, padding="same"), k.ReLU()),
            *(k.BatchNormalization(), k.Rescaling(0.5, offset=0.25)),
            *(k.DepthwiseConv2D(3, padding="same", activation="relu"), k.Flatten()),
        ],
        6,
    ),
    "steps behind the last layer": (
        lambda k: [k.Conv2D(8, 3, padding="same", activation="relu"), k.Flatten(), k.Dense(7)],
        0,
    ),
}


def stepped(value: Doubles, step: Affine) -> Doubles:
    """A step on the channels of (n, ..., channels); it is written out for each column or row."""
    factor, shift = (each.ravel()[: value.shape[-1]] for each in step)
    made: Doubles = value * factor + shift
    return made


def given_by(layer: Weighted, value: Doubles) -> Doubles:
    """What a layer gives, by the formula `behind(weights(before(value)) + bias)`."""
    for step in layer.before:
        value = stepped(value, step)
    if layer.kind == "dense":
        made = value.reshape(len(value), -1) @ layer.values.T
    else:
        height, width = layer.window[:2]
        ends = [(0, 0), *(((side - 1) // 2, side // 2) for side in (height, width)), (0, 0)]
        # (n, rows, columns, channels, height, width).
        seen = sliding_window_view(np.pad(value, ends), (height, width), axis=(1, 2))
        kernel = layer.values.reshape(-1, *layer.window)
        axes = "nrcihw,ohwi->nrco" if layer.kind == "conv" else "nrcohw,ohwi->nrco"
        made = np.einsum(axes, seen, kernel)
    if layer.bias is not None:
        made = made + layer.bias
    for step in layer.after:
        made = stepped(made, step)
    return np.maximum(made, 0.0) if layer.relu else made


@pytest.mark.parametrize("name", STACKS)
def test_layers_and_steps_make_the_network(tmp_path: Path, name: str) -> None:
    stack, count = STACKS[name]
    data = convert(built(stack))
    (tmp_path / "float.tflite").write_bytes(data)
    network = load_network(tmp_path / "float.tflite", image_shape=SHAPE, classes=5)
    layers = weights_of(network)
    assert all(layer.known for layer in layers)
    assert sum(len(layer.before) + len(layer.after) for layer in layers) == count
    images = np.random.default_rng(6).random((5, *SHAPE), dtype=np.float32)
    value = images.astype(np.float64)
    for layer in layers:
        value = given_by(layer, value)
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for image, ours in zip(images, value, strict=True):
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        np.testing.assert_allclose(interpreter.get_tensor(result["index"])[0], ours, atol=1e-4)


def test_constants_of_16_bits_are_read_for_comparisons_alone() -> None:
    """No modelled kernel reads them, and their bytes must fit their shape."""

    def tensor(data: bytes) -> Tensor:
        return Tensor(7, "INT16", (3,), None, data, None, None, 0, "")

    whole = tensor(np.array([-3, 300, -32768], "<i2").tobytes())
    assert whole.values(every=True).tolist() == [-3, 300, -32768]
    with pytest.raises(NotModelledError, match="tensor 7 is not a constant of a known type"):
        whole.values()
    for data in (b"12345", b"12345678"):
        with pytest.raises(NotModelledError, match="bytes for shape"):
            tensor(data).values(every=True)
