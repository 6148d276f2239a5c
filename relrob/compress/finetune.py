"""A few epochs of training of a Keras model under a method of compression. The import takes seconds
(Keras)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from relrob.domain.arrays import Floats, Ints
from relrob.domain.events import Event, Listener
from relrob.errors import QuantiseError
from relrob.training.compression import Compression

# SGD with momentum, as for activation pruning: Matachana et al. 2020 name no other budget.
RATE: Final = 1e-3
MOMENTUM: Final = 0.9
BATCH: Final = 128
# Batches between two events.
_EVERY: Final = 20


def finetuned(
    model: Any,
    method: Compression,
    read: Callable[[Ints], Floats],
    labels: Ints,
    epochs: int,
    seed: int,
    listener: Listener,
) -> Any:
    """The model after `epochs` passes over training images, its compressed weights baked in.

    `read`: the images of some indices as the model reads them, (k, *shape). `labels` (n,). The same
    arguments give the same weights on the same machine. `epochs` 0 only compresses. Raises
    QuantiseError.
    """
    made = method.prepared(model)
    method.after_epoch(made, 0)
    variables = method.trained(made)
    optimiser: Any = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
    optimiser.build(variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=not _normalised(made))

    def step(images: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            loss: Any = loss_of(wanted, method.logits(made, images, True))
        optimiser.apply(tape.gradient(loss, variables), variables)
        return loss

    compiled: Callable[..., Any] = tf.function(step, reduce_retracing=True)
    rng, count = np.random.default_rng(seed), len(labels)
    steps = count // min(BATCH, max(count, 1))
    if epochs and not count:
        raise QuantiseError("training without images", "a data set with a training split")
    for epoch in range(epochs):
        order = rng.permutation(count)[: steps * BATCH].reshape(steps, -1)
        loss = 0.0
        for number, chosen in enumerate(order, start=1):
            loss += float(compiled(tf.constant(read(chosen)), tf.constant(labels[chosen])))
            if method.every_step:
                method.after_step(made, epoch * steps + number)
            if number % _EVERY == 0 and number < steps:
                listener(Event("train", "", epoch * steps + number, epochs * steps))
        method.after_epoch(made, epoch + 1)
        text = f"epoch {epoch + 1}/{epochs}: loss {loss / steps:.4f}"
        listener(Event("train", text, (epoch + 1) * steps, epochs * steps))
    method.baked(made)
    return made


def _normalised(model: Any) -> bool:
    """Does the model end in a softmax?"""
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    return type(last).__name__ == "Softmax" or activation == "softmax"
