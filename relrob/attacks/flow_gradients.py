"""The steps of a network's file as a TensorFlow function, with straight-through gradients. The
import takes seconds."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
import tensorflow as tf

from relrob.attacks.chain_gradients import SLACK
from relrob.attacks.tape_gradients import TapeGradients
from relrob.domain.network import Network
from relrob.networks.flow import (
    Affine,
    Clip,
    Convolution,
    Flow,
    Mean,
    Padded,
    Pool,
    Product,
    Rounded,
    RowRounded,
    Shaped,
    Step,
    Sum,
)
from relrob.networks.keras.runtime import limit_threads
from relrob.system.quiet import quiet_native


def flow_gradients(network: Network, flow: Flow, name: str, threads: int = 1) -> TapeGradients:
    """The model of a network that the steps of its file are."""

    def function(values: Any) -> Any:
        found = [values]
        for step in flow.steps:
            found.append(_taken(step, found))
        return found[-1]

    with quiet_native():
        limit_threads(threads)
        return TapeGradients(
            network, function, flow.dims, exact=not flow.rounds, name=name, apart=True
        )


def _taken(step: Step, values: list[Any]) -> Any:
    """The value that a step gives."""
    x = values[step.source]
    match step:
        case Product():
            x = tf.reshape(x, (tf.shape(x)[0], -1)) if step.flat else x
            return tf.linalg.matmul(x, step.weights) + step.bias
        case Convolution():
            return _last(x, step.first, lambda each: _convolved(each, step))
        case Pool():
            return _last(x, step.first, lambda each: _pooled(each, step))
        case Mean():
            axes = [axis + 1 for axis in step.axes]
            return tf.reduce_mean(x, axis=axes, keepdims=step.keep)
        case Sum():
            return x + values[step.other]
        case Affine():
            return x * step.factor + step.shift
        case Clip():
            # Gradients of ReLU are 0 at 0, as those of NumPy's models are.
            x = tf.nn.relu(x - step.least) + step.least if step.least > -np.inf else x
            return x if step.most == np.inf else step.most - tf.nn.relu(step.most - x)
        case Rounded():
            return _rounded(x, step)
        case RowRounded():
            return x + tf.stop_gradient(_by_rows(x, step.symmetric) - x)
        case Shaped():
            x = tf.transpose(x, (0, *(axis + 1 for axis in step.turn))) if step.turn else x
            return tf.reshape(x, (tf.shape(x)[0], *step.dims))
        case Padded():
            return tf.pad(x, ((0, 0), *step.pads))
        case _:
            assert_never(step)


def _last(x: Any, first: bool, function: Any) -> Any:
    """A function of images with channels last, on images with channels first."""
    if not first:
        return function(x)
    return tf.transpose(function(tf.transpose(x, (0, 2, 3, 1))), (0, 3, 1, 2))


def _convolved(x: Any, step: Convolution) -> Any:
    x = tf.pad(x, ((0, 0), *step.pads, (0, 0)))
    height, width, depth, outputs = step.kernel.shape
    if step.groups == 1:
        return (
            tf.nn.conv2d(x, step.kernel, step.strides, "VALID", dilations=step.dilations)
            + step.bias
        )
    if depth == 1 and step.strides[0] == step.strides[1]:
        kernel = step.kernel.reshape(height, width, step.groups, outputs // step.groups)
        strides = (1, *step.strides, 1)
        found = tf.nn.depthwise_conv2d(x, kernel, strides, "VALID", dilations=step.dilations)
        return found + step.bias
    kernels = np.split(step.kernel, step.groups, axis=3)
    images = tf.split(x, step.groups, axis=3)
    parts = [
        tf.nn.conv2d(each, kernel, step.strides, "VALID", dilations=step.dilations)
        for each, kernel in zip(images, kernels, strict=True)
    ]
    return tf.concat(parts, axis=3) + step.bias


def _pooled(x: Any, step: Pool) -> Any:
    pads = ((0, 0), *step.pads, (0, 0))
    padded = any(sum(pad) for pad in step.pads)
    if step.largest:
        x = tf.pad(x, pads, constant_values=-np.inf) if padded else x
        return tf.nn.max_pool2d(x, step.window, step.strides, "VALID")
    found = tf.nn.avg_pool2d(tf.pad(x, pads), step.window, step.strides, "VALID")
    if step.padding or not padded:
        return found
    ones = tf.pad(tf.ones_like(x[:1, :, :, :1]), pads)
    return found / tf.nn.avg_pool2d(ones, step.window, step.strides, "VALID")


def _rounded(x: Any, step: Rounded) -> Any:
    """The nearest reals with a code; halves go up."""
    codes = step.codes
    scale, zero = np.float32(codes.scale), np.float32(codes.zero)
    exact = x / scale + zero
    inside = (exact >= codes.least - SLACK) & (exact <= codes.most + SLACK)
    places = tf.clip_by_value(tf.floor(exact + 0.5), float(codes.least), float(codes.most))
    found = (places - zero) * scale
    way = x if step.end else x * tf.cast(inside, tf.float32)
    return way + tf.stop_gradient(found - way)


def _by_rows(x: Any, symmetric: bool) -> Any:
    """Each image on a grid of its own."""
    axes = list(range(1, len(x.shape)))
    if symmetric:
        scale = tf.maximum(tf.reduce_max(tf.abs(x), axes, keepdims=True) / 127, 1e-30)
        return tf.round(x / scale) * scale
    least = tf.minimum(tf.reduce_min(x, axes, keepdims=True), 0)
    most = tf.maximum(tf.reduce_max(x, axes, keepdims=True), 0)
    scale = tf.maximum((most - least) / 255, 1e-30)
    zero = tf.round(-128 - least / scale)
    return (tf.clip_by_value(tf.round(x / scale) + zero, -128, 127) - zero) * scale
