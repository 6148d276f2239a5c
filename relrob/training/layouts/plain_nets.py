"""The networks without shortcuts: LeNet5 and CifarNet of Zhao et al. 2018, Mnist A of Shrestha and
Grossmann 2024."""

from __future__ import annotations

from typing import Any

import keras

from relrob.networks.keras.own_layers import ImageStandardisation
from relrob.training.layouts.parts import Parts, averaged, halved, he, narrow


def lenet5(shape: tuple[int, ...], classes: int, seed: int, width: float, momentum: float) -> Any:
    """LeNet5 of Caffe and of Mayo: 431,080 parameters for 28 x 28 images. Dropout stands before
    `fc1`."""
    parts = Parts(seed, narrow, width, momentum, 1e-3)
    image = keras.Input(shape, name="image")
    values = keras.layers.Rescaling(2.0, -1.0, name="rescale")(image)
    for number, filters in enumerate((20, 50)):
        name = f"conv{number}"
        values = parts.conv(values, name, parts.channels(filters), 5, padding="valid", bias=True)
        values = halved(parts.relu(values, name), f"pool{number}")
    values = parts.dropout(keras.layers.Flatten(name="flatten")(values), "dropout")
    values = parts.relu(parts.dense(values, "fc1", parts.channels(500)), "fc1")
    return keras.Model(image, parts.dense(values, "logits", classes), name="lenet5")


def mnist_a(shape: tuple[int, ...], classes: int, seed: int, width: float, momentum: float) -> Any:
    """Mnist A of ANNT with 16 filters: 414,170 parameters for 28 x 28 images."""
    parts = Parts(seed, he, width, momentum, 1e-3)
    image: Any = keras.Input(shape, name="image")
    values = image
    for number in range(4):
        name = f"conv{number}"
        values = parts.conv(values, name, parts.channels(16), bias=True)
        values = parts.relu(values, name)
        if number in (0, 2):
            values = halved(values, f"pool{number // 2}")
    values = keras.layers.Flatten(name="flatten")(values)
    values = parts.relu(parts.dense(values, "fc0", 512), "fc0")
    values = parts.dropout(values, "dropout")
    return keras.Model(image, parts.dense(values, "logits", classes), name="mnist-a")


# Filters and strides of CifarNet's convolutions.
_CIFARNET = ((64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (192, 2), (192, 1), (192, 1))


def cifarnet(shape: tuple[int, ...], classes: int, seed: int, width: float, momentum: float) -> Any:
    """CifarNet of Mayo: 1,296,074 trained parameters, 1,298,250 with the moving averages.

    The logits are a dense layer on the averaged channels, which is Mayo's convolution of 1 x 1.
    """
    parts = Parts(seed, he, width, momentum, 1e-3)
    image = keras.Input(shape, name="image")
    values = ImageStandardisation(name="standardise")(image)
    for number, (filters, stride) in enumerate(_CIFARNET):
        name, padding = f"conv{number}", "same" if number else "valid"
        values = parts.conv(values, name, parts.channels(filters), 3, stride, padding)
        values = parts.rectified(values, name)
        if number in (3, 6):
            values = parts.dropout(values, f"dropout{number}")
    return keras.Model(image, parts.dense(averaged(values), "logits", classes), name="cifarnet")
