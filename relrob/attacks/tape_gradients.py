"""Gradients of a TensorFlow function by GradientTape: Keras models, SavedModels, and emulations of
other files. The import takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import keras
import numpy as np
import tensorflow as tf

from relrob.attacks.pixels import Pixels
from relrob.attacks.victim import Seeds
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import padded, probe_images
from relrob.networks.content import checked_bytes
from relrob.networks.keras.runtime import (
    frozen_function,
    input_shape,
    limit_threads,
    loaded_model,
)
from relrob.networks.shapes import without_batch
from relrob.system.quiet import quiet_native

# Images in one pass: the activations of each are kept for the way back.
_CHUNK: Final = 64
_LEAST: Final = 1e-37
_PROBES: Final = 3
# The share of the largest output by which a batch may differ, where a rounding became a step.
_STEPS: Final = 0.05
# From values (n, *shape) that the file reads to logits (n, classes), or (n, 1) with a head.
Function = Callable[[Any], Any]


@final
class TapeGradients:
    """A function of TensorFlow as the model of a network. `shape`: of one image as the function
    reads it. `size`: images a call where the function fixes it. `apart`: the function treats images
    apart, even where the network is not known to."""

    def __init__(
        self,
        network: Network,
        function: Function,
        shape: tuple[int, ...],
        *,
        exact: bool,
        name: str,
        size: int = 0,
        apart: bool = False,
    ) -> None:
        self._network, self._shape, self._size = network, shape, size
        self._pixels = Pixels(network)
        self._exact, self._name = exact, name
        self._chunk = size or (_CHUNK if apart or network.apart else 1)

        def logits(values: Any) -> Any:
            rows = tf.reshape(tf.cast(function(values), tf.float32), (tf.shape(values)[0], -1))
            if network.head:
                rows = tf.concat([tf.zeros_like(rows), rows], axis=1)
            return rows

        spec = tf.TensorSpec((size or None, *shape), tf.float32)
        self._call = tf.function(logits, input_signature=[spec], autograph=False)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self._network.classes

    @property
    def exact(self) -> bool:
        """Is this the network itself?"""
        return self._exact

    @property
    def name(self) -> str:
        """The words of a report."""
        return self._name

    def logits(self, images: Floats) -> Floats:
        """Logits (n, classes) of flat images (n, d)."""
        found = np.empty((len(images), self.classes), np.float32)
        for at in range(0, len(images), self._chunk):
            part = images[at : at + self._chunk]
            found[at : at + len(part)] = self._call(self._values(part)).numpy()[: len(part)]
        return found

    def pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        """(logits (n, classes), gradients (n, d))."""
        found = np.empty((len(images), self.classes), np.float32)
        gradients = np.empty(images.shape, np.float32)
        for at in range(0, len(images), self._chunk):
            part = images[at : at + self._chunk]
            rows = slice(at, at + len(part))
            values = self._values(part)
            tape: Any = tf.GradientTape()
            with tape:
                tape.watch(values)
                logits = self._call(values)
            found[rows] = logits.numpy()[: len(part)]
            weights = padded(np.asarray(seeds(found[rows]), np.float32), len(values))
            back = tape.gradient(
                logits,
                values,
                output_gradients=tf.constant(weights),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            flat = back.numpy().reshape(len(values), -1)[: len(part)]
            gradients[rows] = self._pixels.back(flat)
        return found, gradients

    def _values(self, images: Floats) -> Any:
        values = self._pixels.values(images)
        count = self._size or len(values)
        return tf.constant(padded(values, count).reshape(count, *self._shape))


def keras_gradients(network: Network, threads: int = 1) -> TapeGradients:
    """A Keras file or SavedModel as its own model, before a softmax or sigmoid at its end.

    Raises NetworkError where Keras refuses the file.
    """
    with quiet_native():
        limit_threads(threads)
        function: Any
        if network.format == "savedmodel":
            frozen = frozen_function(network)
            shape = frozen.inputs[0].shape
            dims = shape.as_list() if shape.rank else (None, *network.image_shape)
            function, before = (lambda values: frozen(values)[0]), False
        else:
            model = loaded_model(network, checked_bytes(network))
            dims = input_shape(network, model)
            model, before = _before_end(model)
            function = lambda values: model(values, training=False)  # noqa: E731
        sizes = tuple(-1 if n is None else int(n) for n in dims)
        image, _ = without_batch((-1, *sizes[1:]), network.image_shape)
        size = max(sizes[0], 0)
        probes = padded(Pixels(network).values(probe_images(network)), size or _PROBES)
        outputs = np.asarray(function(tf.constant(probes.reshape(-1, *image))))
        if not before:
            function = _as_logits(function, network, outputs.reshape(len(probes), -1))
        apart = not size and _alike(function, probes.reshape(-1, *image))
        return TapeGradients(
            network, function, image, exact=True, name="GradientTape", size=size, apart=apart
        )


def _alike(function: Function, values: Any) -> bool:
    """Do images in a batch have the outputs that they have alone, up to roundings, which layers
    that make steps enlarge?"""
    together = np.asarray(function(tf.constant(values)))
    alone = np.concatenate([np.asarray(function(tf.constant(each[None]))) for each in values])
    return bool(np.abs(together - alone).max() <= _STEPS * np.abs(alone).max())


def _before_end(model: Any) -> tuple[Any, bool]:
    """(the model without a softmax or sigmoid at its end, was there one?)."""
    try:
        last = model.outputs[0]._keras_history.operation
        alone = len(last._inbound_nodes) == 1
    except (AttributeError, ValueError, IndexError):
        return model, False
    ends = (keras.activations.softmax, keras.activations.sigmoid)
    if not alone:
        return model, False
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input), True
    if getattr(last, "activation", None) in ends:
        last.activation = keras.activations.linear
        return model, True
    return model, False


def _as_logits(function: Function, network: Network, outputs: Floats) -> Function:
    """The logarithms of outputs that are probabilities; other functions as they are. `outputs`
    (n, k): of some images."""
    if network.head == "probability":
        return lambda values: _log(function(values)) - _log(1 - function(values))
    if network.head or (outputs < 0).any() or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return function
    return lambda values: _log(function(values))


def _log(probabilities: Any) -> Any:
    return tf.math.log(tf.maximum(probabilities, _LEAST))
