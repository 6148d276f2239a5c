"""Changes of training images, drawn anew at each step from its number: a resumed training draws the
same ones."""

from __future__ import annotations

from typing import Any, Final

import tensorflow as tf

# Black pixels around an image, of which a crop takes a part.
_PAD: Final = 4
# Strengths of the colour distortion of Mayo and of TensorFlow's slim.
_BRIGHTNESS: Final = 32 / 255
_HUE: Final = 0.2
_AROUND_ONE: Final = (0.5, 1.5)


def augmented(images: Any, words: tuple[str, ...], seed: Any, neutral: tuple[float, ...]) -> Any:
    """Pixels (n, H, W, C) in [0, 1], cropped, flipped, recoloured and cut out as `words` say, each
    image by a draw of its own.

    `seed`: int32 (2,). `neutral`: the colour of what is cut out.
    """
    if "crop" in words:
        images = _cropped(images, _fold(seed, 1))
    if "flip" in words:
        images = _flipped(images, _fold(seed, 2))
    if "colours" in words:
        images = _recoloured(images, _fold(seed, 3))
    if "cutout" in words:
        images = _cut_out(images, _fold(seed, 4), neutral)
    return images


def mixed(images: Any, labels: Any, seed: Any) -> tuple[Any, Any, Any]:
    """Mixup (Zhang et al. 2018): lambda x_i + (1 - lambda) x_j, the labels of all j, and lambda,
    uniform in [0, 1], which is Beta(1, 1); one for the batch."""
    share = tf.random.stateless_uniform((), _fold(seed, 5))
    count: Any = tf.shape(images)[0]
    order = tf.argsort(tf.random.stateless_uniform((count,), _fold(seed, 6)))
    return (
        share * images + (1.0 - share) * tf.gather(images, order),
        tf.gather(labels, order),
        share,
    )


def _fold(seed: Any, number: int) -> Any:
    """A seed of its own for each draw."""
    return tf.random.fold_in(seed, number)


def _cropped(images: Any, seed: Any) -> Any:
    """Moved by up to four pixels each way, black where nothing was (He et al. 2016, section
    4.2)."""
    count: Any = tf.shape(images)[0]
    height, width = images.shape[1:3]
    around = tf.pad(images, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)))
    moves = tf.random.stateless_uniform((2, count, 1), seed, 0, 2 * _PAD + 1, tf.int32)
    rows = tf.gather(around, moves[0] + tf.range(height)[None], axis=1, batch_dims=1)
    return tf.gather(rows, moves[1] + tf.range(width)[None], axis=2, batch_dims=1)


def _flipped(images: Any, seed: Any) -> Any:
    """Half of the images, left to right."""
    count: Any = tf.shape(images)[0]
    turned = tf.random.stateless_uniform((count, 1, 1, 1), seed) < 0.5
    return tf.where(turned, images[:, :, ::-1], images)


def _recoloured(images: Any, seed: Any) -> Any:
    """Brightness, saturation, hue and contrast of each image, clipped to [0, 1]."""
    count: Any = tf.shape(images)[0]
    draws = tf.random.stateless_uniform((count, 4), seed)

    def one(pair: tuple[Any, Any]) -> Any:
        image, draw = pair
        low, high = _AROUND_ONE
        image = image + _BRIGHTNESS * (2.0 * draw[0] - 1.0)
        image = tf.image.adjust_saturation(image, low + (high - low) * draw[1])
        image = tf.image.adjust_hue(image, _HUE * (2.0 * draw[2] - 1.0))
        return tf.image.adjust_contrast(image, low + (high - low) * draw[3])

    return tf.clip_by_value(tf.map_fn(one, (images, draws), tf.float32), 0.0, 1.0)


def _cut_out(images: Any, seed: Any, neutral: tuple[float, ...]) -> Any:
    """A square of half the side around a pixel of the image, which may lie across its border
    (DeVries and Taylor 2017)."""
    count: Any = tf.shape(images)[0]
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform((2, count, 1), seed)
    inside = []
    for draw, size in ((draws[0], height), (draws[1], width)):
        start = tf.cast(draw * size, tf.int32) - size // 4
        places = tf.range(size)[None]
        inside.append((places >= start) & (places < start + size // 2))
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return tf.where(hole, tf.constant(neutral, tf.float32), images)
