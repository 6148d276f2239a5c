"""Layers that quantise or mask activations, with straight-through gradients: a rounding passes a
gradient on as it is, a clip where its value lies inside.

They are registered with Keras, so that files that hold them load in safe mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from relrob.domain.formats import FixedFormat, middles, power_levels
from relrob.networks.keras.own import PACKAGE

# Float32 holds the codes of formats of up to so many bits.
_SINGLE: Final = 24
_MOST_BITS: Final = 16
HALVES: Final = ("even", "up")


def fixed_point(values: Any, form: FixedFormat, halves: str = "even") -> Any:
    """A float32 tensor in a fixed-point format. `halves`: where a value half-way between two codes
    goes, "even" as in Zhao et al. 2018 or "up" as in integers on the runtime `fixed`.

    The gradient is 1 inside the representable range and 0 outside.
    """

    @tf.custom_gradient  # type: ignore[misc, untyped-decorator, unused-ignore]
    def straight(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        kind = tf.float32 if form.width <= _SINGLE else tf.float64
        scaled = tf.cast(x, kind) * 2.0**form.fraction
        whole = tf.round(scaled) if halves == "even" else _up(scaled)
        codes = tf.clip_by_value(whole, float(form.lowest), float(form.highest))
        inside = (x >= form.lowest * form.step) & (x <= form.highest * form.step)
        made = tf.cast(codes * form.step, tf.float32)
        return made, lambda upstream: tf.where(inside, upstream, tf.zeros_like(upstream))

    return straight(values)


def _up(scaled: Any) -> Any:
    """Whole numbers, halves up. The half is never added, which could round."""
    floor = tf.floor(scaled)
    return tf.where(scaled - floor >= 0.5, floor + 1, floor)


def uniform_levels(values: Any, bits: int, scale: float = 1.0) -> Any:
    """DoReFa's activations: a float32 tensor clipped to [0, `scale`], at the nearest of 2^bits
    levels. The gradient is 1 inside the clip and 0 outside."""

    @tf.custom_gradient  # type: ignore[misc, untyped-decorator, unused-ignore]
    def straight(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        steps = float(2**bits - 1)
        shares = tf.clip_by_value(x / scale, 0.0, 1.0)
        made = tf.round(shares * steps) / steps * scale
        inside = (x >= 0.0) & (x <= scale)
        return made, lambda upstream: tf.where(inside, upstream, tf.zeros_like(upstream))

    return straight(values)


def power_of_two_levels(values: Any, bits: int, alpha: Any) -> Any:
    """APoT's activations: a float32 tensor clipped to [0, `alpha`], at the nearest level.

    Gradients are those of Li et al. 2020, equation 8: to the values 1 up to `alpha` and 0 beyond;
    to `alpha` 1 beyond it, and (Q - x) / alpha inside.
    """
    levels = power_levels(bits).astype(np.float32)

    @tf.custom_gradient  # type: ignore[misc, untyped-decorator, unused-ignore]
    def straight(x: Any, scale: Any) -> tuple[Any, Callable[[Any], Any]]:
        shares = tf.clip_by_value(x / scale, 0.0, 1.0)
        made = scale * tf.gather(levels, places(shares, levels))
        beyond = x > scale

        def gradients(upstream: Any) -> tuple[Any, Any]:
            inside = tf.where(beyond, tf.zeros_like(upstream), upstream)
            slope = tf.where(beyond, tf.ones_like(x), (made - x) / scale)
            return inside, tf.reduce_sum(upstream * slope)

        return made, gradients

    return straight(values, alpha)


def places(shares: Any, levels: Any) -> Any:
    """The number of the nearest of some float32 levels for each share, the lower one where two are
    as near."""
    between = np.nextafter(middles(levels.astype(np.float64)).astype(np.float32), np.float32(2))
    return tf.raw_ops.Bucketize(input=shares, boundaries=between.tolist())


@keras.saving.register_keras_serializable(package=PACKAGE)
class FixedPoint(keras.layers.Layer):
    """Activations in fixed point Q(`width`, `point`): Zhao et al. 2018, section 4.2.

    Any shape, to the same shape. Raises UsageError for another format, ValueError for other
    `halves`.
    """

    def __init__(self, width: int, point: int, halves: str = "even", **options: Any) -> None:
        super().__init__(**options)
        if halves not in HALVES:
            raise ValueError(f"FixedPoint with halves {halves!r}, not {' or '.join(HALVES)}")
        self.form, self.halves = FixedFormat(width, point), halves

    def call(self, inputs: Any) -> Any:
        """The quantised activations."""
        return fixed_point(inputs, self.form, self.halves)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The settings, for a file."""
        own = {"width": self.form.width, "point": self.form.point, "halves": self.halves}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class DoReFa(keras.layers.Layer):
    """Activations at 2^`bits` levels of [0, `scale`]: Zhou et al. 2016, section 2.4, whose scale is
    1. Any shape, to the same shape. Raises ValueError."""

    def __init__(self, bits: int, scale: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= _MOST_BITS:
            raise ValueError(f"DoReFa of {bits!r} bits, not 1 to {_MOST_BITS}")
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"DoReFa with scale {scale!r}, not above 0")
        self.bits, self.scale = bits, float(scale)

    def call(self, inputs: Any) -> Any:
        """The quantised activations."""
        return uniform_levels(inputs, self.bits, self.scale)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The settings, for a file."""
        return {**super().get_config(), "bits": self.bits, "scale": self.scale}


@keras.saving.register_keras_serializable(package=PACKAGE)
class APoT(keras.layers.Layer):
    """Activations at levels that are sums of powers of two, up to a weight `alpha` that is trained:
    Li et al. 2020. Any shape, to the same shape. Raises UsageError."""

    def __init__(self, bits: int, **options: Any) -> None:
        super().__init__(**options)
        power_levels(bits)
        self.bits = bits

    def build(self, input_shape: Any) -> None:
        """The weight starts at 8, as the authors' code does on CIFAR-10."""
        start = keras.initializers.Constant(8.0)
        self.alpha = self.add_weight(shape=(), initializer=start, name="alpha")

    def call(self, inputs: Any) -> Any:
        """The quantised activations."""
        return power_of_two_levels(inputs, self.bits, tf.convert_to_tensor(self.alpha))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The settings, for a file."""
        return {**super().get_config(), "bits": self.bits}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Mask(keras.layers.Layer):
    """Activations times a mask of 0 and 1 in the shape of one output, which no training changes:
    Matachana et al. 2020, section 3. It starts with all ones."""

    def build(self, input_shape: Any) -> None:
        """The mask, a weight that is not trained."""
        self.kept = self.add_weight(
            shape=tuple(input_shape[1:]), initializer="ones", trainable=False, name="mask"
        )

    def call(self, inputs: Any) -> Any:
        """The masked activations."""
        return inputs * tf.convert_to_tensor(self.kept)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape


# All layers of this module by the name in files, as `keras.saving.load_model` takes them.
LAYERS: Final[dict[str, Any]] = {
    f"{PACKAGE}>{layer.__name__}": layer for layer in (FixedPoint, DoReFa, APoT, Mask)
}
