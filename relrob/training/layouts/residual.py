"""The networks with shortcuts: ResNet-18 for images of 32 x 32 (Matachana et al. 2020) and ResNet20
(Shrestha and Grossmann 2024)."""

from __future__ import annotations

from typing import Any, Final

import keras

from relrob.networks.keras.own_layers import ChannelPadding
from relrob.training.layouts.parts import Parts, averaged, he_outwards, torch_default

# Mean and deviation of the channels of CIFAR-10, which ResNet-18 subtracts and divides by.
CIFAR_MEAN: Final = (0.4914, 0.4822, 0.4465)
CIFAR_DEVIATION: Final = (0.2023, 0.1994, 0.2010)


def resnet18(shape: tuple[int, ...], classes: int, seed: int, width: float, momentum: float) -> Any:
    """ResNet-18 with a first convolution of 3 x 3 and no pooling behind it: 11,173,962 trained
    parameters.

    Convolutions of stride 2 pad both sides by one, as PyTorch does.
    """
    parts = Parts(seed, torch_default, width, momentum, 1e-5)
    image = keras.Input(shape, name="image")
    values = keras.layers.Normalization(
        mean=CIFAR_MEAN, variance=[d * d for d in CIFAR_DEVIATION], name="normalise"
    )(image)
    values = parts.rectified(parts.conv(values, "conv0", parts.channels(64)), "conv0")
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            values = _block(parts, values, f"stage{stage}_{block}", parts.channels(filters), stride)
    return keras.Model(image, parts.dense(averaged(values), "logits", classes), name="resnet18")


def _block(parts: Parts, values: Any, name: str, filters: int, stride: int) -> Any:
    """ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut): the basic block of He et al. 2016."""
    inner = values
    if stride == 2:
        inner = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(inner)
    padding = "same" if stride == 1 else "valid"
    inner = parts.conv(inner, f"{name}_conv1", filters, 3, stride, padding)
    inner = parts.conv(parts.rectified(inner, f"{name}_conv1"), f"{name}_conv2", filters)
    inner = parts.normed(inner, f"{name}_conv2")
    beside = values
    if stride == 2:
        beside = parts.conv(beside, f"{name}_shortcut", filters, 1, stride, "valid")
        beside = parts.normed(beside, f"{name}_shortcut")
    return parts.relu(keras.layers.Add(name=f"{name}_sum")([inner, beside]), name)


def resnet20(
    shape: tuple[int, ...], classes: int, seed: int, width: float, momentum: float, closed: bool
) -> Any:
    """ResNet20 of tensorpack, with normalisations before the convolutions (He et al. 2016b):
    269,722 trained parameters, 270,394 where units are `closed`.

    `closed`: the second convolution of a unit has a normalisation and a ReLU behind it, as ANNT
    needs where it quantises activations.
    """
    parts = Parts(seed, he_outwards, width, momentum, 1e-5)
    image = keras.Input(shape, name="image")
    values = parts.rectified(parts.conv(image, "conv0", parts.channels(16)), "conv0")
    for group, filters in enumerate((16, 32, 64), start=1):
        for unit in range(3):
            rising = group > 1 and unit == 0
            first = (group, unit) == (1, 0)
            values = _unit(
                parts,
                values,
                f"group{group}_{unit}",
                parts.channels(filters),
                rising,
                first,
                closed,
            )
    values = averaged(parts.rectified(values, "last"))
    return keras.Model(image, parts.dense(values, "logits", classes), name="resnet20")


def _unit(
    parts: Parts, values: Any, name: str, filters: int, rising: bool, first: bool, closed: bool
) -> Any:
    """conv(ReLU(BN(conv(ReLU(BN(x)))))) + shortcut, in the first unit without the inner ReLU(BN).

    Where the number of channels rises, the shortcut takes means of 2 x 2 and adds channels of
    zeros on both sides.
    """
    inner = values if first else parts.rectified(values, f"{name}_before")
    inner = parts.conv(inner, f"{name}_conv1", filters, 3, 2 if rising else 1)
    inner = parts.conv(parts.rectified(inner, f"{name}_conv1"), f"{name}_conv2", filters)
    if closed:
        inner = parts.rectified(inner, f"{name}_conv2")
    beside = values
    if rising:
        more = filters - values.shape[-1]
        beside = keras.layers.AveragePooling2D(2, name=f"{name}_average")(beside)
        beside = ChannelPadding(more // 2, more - more // 2, name=f"{name}_widen")(beside)
    return keras.layers.Add(name=f"{name}_sum")([inner, beside])
