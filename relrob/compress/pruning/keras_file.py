"""A pruned Keras file from a trained network. The import takes seconds (Keras)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relrob.compress.calibration import Calibration
from relrob.compress.finetune import finetuned
from relrob.compress.graph import Graph, rewired
from relrob.compress.in_training.masked_units import MaskedUnits, mask_of
from relrob.compress.in_training.named import Trained, once, operated, plain, softened
from relrob.compress.in_training.parse import GRADIENTS
from relrob.compress.post_training.keras_levels import arranged, graph_of
from relrob.compress.pruning.activations import GRANULARITIES
from relrob.compress.pruning.asked import SCOPES, Pruning
from relrob.compress.pruning.magnitude import kept, thresholds
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.events import Listener, silent
from relrob.domain.network import Network
from relrob.errors import QuantiseError, UsageError
from relrob.networks.shapes import Shape
from relrob.training.saving import saved


@dataclass(frozen=True, eq=False)
class Lessons:
    """Images to train on: `read` gives those of some indices, flat (k, d) in (H, W, C) order;
    `labels` (n,). `seed`: of their order."""

    read: Callable[[Ints], Floats]
    labels: Ints
    seed: int = 0


def pruned(
    reference: Network,
    asked: Pruning,
    calibration: Calibration | None,
    lessons: Lessons | None,
    image_shape: Shape,
    listener: Listener = silent,
) -> bytes:
    """The `.keras` bytes of the pruned network, which reads what its reference reads.

    `calibration`: images over which the method "activations" takes means. `lessons`: for epochs of
    training. An MLP stays one of plain dense layers, which bounds can speak of. Raises
    QuantiseError, UsageError.
    """
    with tf.device("/CPU:0"):
        graph = graph_of(reference, asked.method, image_shape)
        dims = graph.model.input_shape
        if asked.epochs and lessons is None:
            raise UsageError("epochs of training without images")
        labels = np.zeros(0, np.int64) if lessons is None else lessons.labels
        seed = 0 if lessons is None else lessons.seed

        def read(chosen: Ints) -> Floats:
            flat = np.zeros((0, 1), np.float32) if lessons is None else lessons.read(chosen)
            return arranged(flat, reference, dims, image_shape)

        def trained(model: Any, method: Trained) -> Any:
            return finetuned(model, method, read, labels, asked.epochs, seed, listener)

        if asked.method != "activations":
            return saved(trained(graph.model, _method(graph, asked)))
        if calibration is None:
            raise QuantiseError("calibration images are missing", "a Calibration")
        images = arranged(calibration.images, reference, dims, image_shape)
        return saved(_masked(graph, asked, images, trained))


def _method(graph: Graph, asked: Pruning) -> Trained:
    """The method as one of training, without epochs too. Raises QuantiseError."""
    if asked.method == "soft-filter":
        return softened(asked.text, asked.share)
    if asked.method == "surgery":
        return operated(asked.text, asked.share, asked.gradients or GRADIENTS[0])

    def choose(kernels: list[NDArray[Any]]) -> list[Bools]:
        least = asked.threshold
        if least is None:
            levels = thresholds(kernels, asked.share, asked.scope or SCOPES[0])
        else:
            levels = [least] * len(kernels)
        masks = [kept(*pair) for pair in zip(kernels, levels, strict=True)]
        for layer, mask in zip(graph.kernels, masks, strict=True):
            if not mask.any():
                raise QuantiseError(
                    f"no weight would be left in layer {layer.name!r}",
                    "a larger density or a smaller threshold, or a density of each layer",
                )
        return masks

    return once(asked.text, choose)


def _masked(
    graph: Graph, asked: Pruning, images: Floats, trained: Callable[[Any, Trained], Any]
) -> Any:
    """The model with a mask behind a block; where the block is a dense layer, the same without the
    mask: the columns of masked units are 0."""
    units = MaskedUnits(asked.block or "", asked.share, asked.granularity or GRANULARITIES[0])
    block = units.found(graph)
    made = rewired(graph.model, *units.insertions(graph))
    units.look(made, images)
    made = trained(made, Trained(asked.text, plain))
    owner = _dense_of(graph, block)
    if not owner:
        return made
    bare = rewired(graph.model)
    for layer in bare.layers:
        if layer.weights:
            layer.set_weights(made.get_layer(layer.name).get_weights())
    kernel, bias = bare.get_layer(owner).get_weights()
    mask = mask_of(made).astype(np.float32)
    bare.get_layer(owner).set_weights([kernel * mask, bias * mask])
    return bare


def _dense_of(graph: Graph, block: str) -> str:
    """The dense layer with biases whose outputs, and no others, the block rectifies; "" where it is
    none."""
    owner = block if graph.is_kernel(block) else graph.feeds[block][0]
    readers = [name for name, sources in graph.feeds.items() if owner in sources]
    layer = graph.model.get_layer(owner)
    alone = owner == block or readers == [block]
    return owner if type(layer).__name__ == "Dense" and layer.use_bias and alone else ""
