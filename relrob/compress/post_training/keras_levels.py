"""Post-training quantisation to a Keras file: fixed point Q(w, p), DoReFa and APoT. The weights of
the file are quantised numbers, and its activations pass layers of ours.

Fixed point is that of Zhao et al. 2018 as it stands. DoReFa and APoT are methods of training whose
layers have no scale of their own, or one that is trained. After training, the levels of each layer
are fitted instead: those of weights by a factor of least square error, those of activations by the
range of least square error on calibration images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relrob.compress.calibration import Calibration
from relrob.compress.graph import Graph, plain_graph, rewired
from relrob.compress.in_training.weight_levels import grid_behind
from relrob.compress.post_training.keras_model import from_dense, from_file
from relrob.compress.source import in_keras
from relrob.compress.weights import (
    apot_weights,
    dorefa_scale,
    dorefa_weights,
    eight_bits,
    fitted_alpha,
)
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.formats import FixedFormat, power_levels
from relrob.domain.network import Network
from relrob.errors import QuantiseError
from relrob.networks.feed import fed
from relrob.networks.keras.quantisers import APoT, DoReFa
from relrob.networks.shapes import Shape, raster, without_batch
from relrob.training.saving import saved

# The most values of one activation that fit its range.
_FITTED: Final = 100_000


def quantise(
    reference: Network, scheme: str, calibration: Calibration | None, image_shape: Shape
) -> bytes:
    """The `.keras` bytes of the quantised network, scheme "q:W:P", "dorefa:K" or "apot:B". It reads
    what its reference reads. Raises QuantiseError."""
    kind, *numbers = scheme.split(":")
    with tf.device("/CPU:0"):
        if kind == "q":
            return fixed(reference, FixedFormat(int(numbers[0]), int(numbers[1])))
        graph = graph_of(reference, scheme, image_shape)
        if calibration is None:
            raise QuantiseError("calibration images are missing", "a Calibration")
        images = arranged(calibration.images, reference, graph.model.input_shape, image_shape)
        return saved(_fitted(graph, kind, int(numbers[0]), images))


def graph_of(reference: Network, how: str, image_shape: Shape) -> Graph:
    """The graph of a network's Keras model: of its file, or rebuilt from plain dense layers. `how`:
    what is made of it, for messages. Raises QuantiseError."""
    if reference.dense is not None and in_keras(reference):
        model = from_dense(reference.dense, reference.layout, image_shape)
    else:
        model = from_file(reference)
    try:
        return Graph(plain_graph(model))
    except QuantiseError as error:
        raise QuantiseError(f"{reference.path} as {how}: {error}") from error


def arranged(images: Floats, reference: Network, dims: Any, image_shape: Shape) -> Floats:
    """Flat (H, W, C) images as the network reads them: (k, *shape)."""
    shape, _ = without_batch(tuple(-1 if n is None else n for n in dims), image_shape)
    values = fed(images, reference)
    return values[:, raster(reference.layout, image_shape)].reshape(len(images), *shape)


def fixed(
    reference: Network, form: FixedFormat, weights: bool = True, activations: bool = True
) -> bytes:
    """The `.keras` bytes of the network with kernels and biases in the format (`weights`), and
    every ReLU (`activations`); images and logits as they are. Raises QuantiseError."""
    with tf.device("/CPU:0"):
        words = f"q:{form.width}:{form.point}"
        graph = graph_of(reference, words, reference.image_shape)
        made = rewired(graph.model, after=grid_behind(graph, form) if activations else None)
        for layer in graph.kernels if weights else ():
            _put(made, layer, [form.quantised(value) for value in layer.get_weights()])
        return saved(made)


def _fitted(graph: Graph, kind: str, bits: int, images: Floats) -> Any:
    """DoReFa or APoT, fitted. As in training, the first and the last layer keep float weights, or 8
    bits, and float inputs."""
    inner = [layer.name for layer in graph.inner]
    if not inner:
        raise QuantiseError(
            f"{kind} of a network of {len(graph.kernels)} layers with weights, of which it leaves "
            "the first and the last alone",
            "three or more",
            "the scheme q:8:2",
        )
    ranges = _ranges(graph, kind, bits, images)
    if kind == "dorefa":
        return _dorefa(graph, bits, ranges)
    made = rewired(graph.model, {name: APoT(bits, name=f"{name}_input") for name in inner})
    for layer in graph.kernels:
        kernel, *rest = layer.get_weights()
        alpha = fitted_alpha(kernel, power_levels(bits - 1)) if layer.name in inner else 0.0
        new = apot_weights(kernel, bits, alpha) if alpha else eight_bits(kernel)
        _put(made, layer, [new, *rest])
    for name in inner:
        made.get_layer(f"{name}_input").set_weights([np.float32(ranges[name])])
    return made


def _dorefa(graph: Graph, bits: int, ranges: Mapping[str, float]) -> Any:
    after = {name: DoReFa(bits, scale=most, name=f"{name}_levels") for name, most in ranges.items()}
    made = rewired(graph.model, after=after)
    for layer in graph.inner:
        kernel, *rest = layer.get_weights()
        _put(made, layer, [dorefa_scale(kernel, bits) * dorefa_weights(kernel, bits), *rest])
    return made


def _ranges(graph: Graph, kind: str, bits: int, images: Floats) -> dict[str, float]:
    """The range of each activation that is quantised, by the name of its layer."""
    if kind == "dorefa":
        names = [n for n in graph.rectified if graph.origin(n) and not graph.only_last(n)]
        tensors = [graph.model.get_layer(name).output for name in names]
        levels: Doubles = np.linspace(0.0, 1.0, 2**bits)
    else:
        names = [layer.name for layer in graph.inner]
        tensors = [graph.model.get_layer(name).input for name in names]
        levels = power_levels(bits)
    outputs = keras.Model(graph.model.inputs[0], tensors)(tf.constant(images), training=False)
    return {
        name: fitted_alpha(_thinned(value.numpy()), levels)
        for name, value in zip(names, outputs, strict=True)
    }


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """At most `_FITTED` of the values above 0, evenly spaced."""
    live = values[values > 0].reshape(-1)
    return live[:: max(1, len(live) // _FITTED)]


def _put(made: Any, layer: Any, values: list[Any]) -> None:
    """Give the copy of a layer other weights."""
    made.get_layer(layer.name).set_weights([np.asarray(each, np.float32) for each in values])
