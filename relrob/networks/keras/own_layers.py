"""Layers that relrob adds to Keras, registered, so that Keras loads files that hold them in safe
mode."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import ops

from relrob.networks.keras import quantisers
from relrob.networks.keras.own import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class ImageStandardisation(keras.layers.Layer):
    """Each image with mean 0 and deviation 1: (x - mean) / max(deviation, 1 / sqrt(d)), over its d
    values.

    The floor keeps an image of one colour finite, as in `tf.image.per_image_standardization`.
    The inner maximum keeps the gradient finite. The outer one stands between root and division:
    TensorFlow would merge the two into an inverse root, whose last bits depend on the place of an
    image in its batch. Images (n, H, W, C) to the same shape.
    """

    def call(self, inputs: Any) -> Any:
        """The standardised images."""
        axes = tuple(range(1, len(inputs.shape)))
        size = 1
        for axis in axes:
            size *= inputs.shape[axis]
        centred = inputs - ops.mean(inputs, axis=axes, keepdims=True)
        variance = ops.mean(centred * centred, axis=axes, keepdims=True)
        deviation = ops.sqrt(ops.maximum(variance, 1.0 / size))
        return centred / ops.maximum(deviation, size**-0.5)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape


@keras.saving.register_keras_serializable(package=PACKAGE)
class ChannelPadding(keras.layers.Layer):
    """Channels of zeros around those of the input: the shortcut without weights of He et al. 2016,
    section 3.3, option A.

    `before` and `after`: numbers of channels, 0 or more. (n, H, W, C) to
    (n, H, W, before + C + after). Raises ValueError.
    """

    def __init__(self, before: int, after: int, **options: Any) -> None:
        super().__init__(**options)
        for count in (before, after):
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1 << 16:
                raise ValueError(f"ChannelPadding of {count!r} channels, not a number from 0 on")
        self.before, self.after = before, after

    def call(self, inputs: Any) -> Any:
        """The padded images."""
        return ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (self.before, self.after)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(n, H, W, before + C + after)."""
        *rest, channels = input_shape
        return (*rest, self.before + channels + self.after)

    def get_config(self) -> dict[str, Any]:
        """The settings, for a file."""
        return {**super().get_config(), "before": self.before, "after": self.after}


# All layers of ours by the name in files, as `keras.saving.load_model` takes them.
LAYERS: Final[dict[str, Any]] = {
    **quantisers.LAYERS,
    **{f"{PACKAGE}>{layer.__name__}": layer for layer in (ImageStandardisation, ChannelPadding)},
}
