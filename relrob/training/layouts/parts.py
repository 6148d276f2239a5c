"""Pieces that the networks share: seeded layers with stable names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import keras
import numpy as np

# A new initialiser from a seed.
Start = Callable[[int], Any]
# No network here draws more.
_SEEDS: Final = 256


def he(seed: int) -> Any:
    """Variance scaling of 2 over the inputs (He et al. 2015)."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def he_outwards(seed: int) -> Any:
    """Variance scaling of 2 over the outputs, from a plain normal distribution."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed)


def torch_default(seed: int) -> Any:
    """Uniform in +-1/sqrt(inputs), the default of PyTorch's convolutions."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed)


def narrow(seed: int) -> Any:
    """Truncated normal of deviation 0.09, as Mayo starts LeNet5."""
    return keras.initializers.TruncatedNormal(stddev=0.09, seed=seed)


@final
class Parts:
    """Layers of one network, seeded in the order in which they are made.

    A ReLU is a layer of its own, `NAME_relu`, and so is a normalisation, `NAME_bn`.
    """

    def __init__(self, seed: int, start: Start, width: float, momentum: float, epsilon: float):
        self._seeds = iter(np.random.SeedSequence(seed).generate_state(_SEEDS).tolist())
        self._start, self._width = start, width
        self._momentum, self._epsilon = momentum, epsilon

    def channels(self, count: int) -> int:
        """A number of filters, times the width."""
        return max(1, round(count * self._width))

    def conv(
        self,
        tensor: Any,
        name: str,
        filters: int,
        size: int = 3,
        stride: int = 1,
        padding: str = "same",
        bias: bool = False,
    ) -> Any:
        """A convolution of `filters` filters, as they are given."""
        return keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding=padding,
            use_bias=bias,
            kernel_initializer=self._start(next(self._seeds)),
            name=name,
        )(tensor)

    def normed(self, tensor: Any, name: str) -> Any:
        """The normalisation `NAME_bn`."""
        return keras.layers.BatchNormalization(
            momentum=self._momentum, epsilon=self._epsilon, name=f"{name}_bn"
        )(tensor)

    def relu(self, tensor: Any, name: str) -> Any:
        """The ReLU `NAME_relu`."""
        return keras.layers.ReLU(name=f"{name}_relu")(tensor)

    def rectified(self, tensor: Any, name: str) -> Any:
        """Normalisation, then ReLU."""
        return self.relu(self.normed(tensor, name), name)

    def dense(self, tensor: Any, name: str, units: int) -> Any:
        """A dense layer with bias."""
        return keras.layers.Dense(
            units, kernel_initializer=self._start(next(self._seeds)), name=name
        )(tensor)

    def dropout(self, tensor: Any, name: str, rate: float = 0.5) -> Any:
        """Dropout, which is an identity when the network is asked."""
        return keras.layers.Dropout(rate, seed=next(self._seeds), name=name)(tensor)


def halved(tensor: Any, name: str) -> Any:
    """The largest of each 2 x 2 values."""
    return keras.layers.MaxPooling2D(2, name=name)(tensor)


def averaged(tensor: Any) -> Any:
    """The mean over the image, a value a channel."""
    return keras.layers.GlobalAveragePooling2D(name="average")(tensor)
