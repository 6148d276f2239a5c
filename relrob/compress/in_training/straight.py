"""Compressed weights as tensors with straight-through gradients. The import takes seconds
(TensorFlow)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from relrob.domain.formats import power_levels
from relrob.networks.keras.quantisers import places, uniform_levels


def dorefa(weights: Any, bits: int) -> Any:
    """`relrob.compress.weights.dorefa_weights` of a float32 tensor. The gradient of 1 bit is that
    of the identity; that of more flows through tanh and its maximum."""
    if bits == 1:
        scale = tf.stop_gradient(tf.reduce_mean(tf.abs(weights)))
        signs = tf.where(weights < 0, -tf.ones_like(weights), tf.ones_like(weights))
        return replaced(weights, signs * scale)
    turned = tf.tanh(weights)
    most = tf.maximum(tf.reduce_max(tf.abs(turned)), np.finfo(np.float32).tiny)
    return 2 * uniform_levels(turned / (2 * most) + 0.5, bits) - 1


def replaced(weights: Any, made: Any) -> Any:
    """The tensor `made`, whose gradient goes to `weights` as it is."""

    @tf.custom_gradient  # type: ignore[misc, untyped-decorator, unused-ignore]
    def straight(x: Any, y: Any) -> Any:
        return tf.identity(y), lambda upstream: (upstream, None)

    return straight(weights, tf.stop_gradient(made))


def apot(weights: Any, bits: int, alpha: Any) -> Any:
    """`relrob.compress.weights.apot_weights` of a float32 tensor after its normalisation, of which
    mean and deviation are constants.

    Li et al. 2020, equation 8: the gradient to the normalised weights is 1 everywhere, that to
    `alpha` the sign of a weight beyond it, and (Q - w) / alpha inside.
    """
    mean = tf.stop_gradient(tf.reduce_mean(weights))
    count = tf.cast(tf.size(weights), tf.float32)
    square = tf.reduce_sum(tf.square(weights - mean)) / (count - 1)
    level = power_levels(bits - 1).astype(np.float32)

    @tf.custom_gradient  # type: ignore[misc, untyped-decorator, unused-ignore]
    def straight(x: Any, scale: Any) -> Any:
        shares = tf.minimum(tf.abs(x) / scale, 1.0)
        made = scale * tf.sign(x) * tf.gather(level, places(shares, level))
        slope = tf.where(tf.abs(x) > scale, tf.sign(x), (made - x) / scale)
        return made, lambda upstream: (upstream, tf.reduce_sum(upstream * slope))

    return straight((weights - mean) / tf.stop_gradient(tf.sqrt(square)), alpha)


def eight_bits(weights: Any) -> Any:
    """`relrob.compress.weights.eight_bits` of a float32 tensor; the gradient of the identity."""
    most = tf.reduce_max(weights)
    safe = tf.where(most > 0, most, tf.ones_like(most))
    return replaced(
        weights, tf.where(most > 0, tf.round(weights / safe * 127) / 127 * most, weights)
    )
