"""The order in which a file reads the pixels of an (H, W, C) raster, and the shapes of an image."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.domain.network import Layout, Network


def image_dims(dims: list[int], network: Network) -> tuple[int, ...]:
    """The shape of one image in a file whose input has these dimensions: first the batch, open
    (below 1) or 1."""
    if len(dims) < 2 or dims[0] > 1:
        raise NoRulesError("an input without a batch dimension, or with a batch of more than 1")
    image = tuple(dims[1:])
    height, width, channels = network.image_shape
    form = (
        (height, width, channels)
        if network.layout is Layout.HWC or channels == 1
        else (channels, height, width)
    )
    if any(size < 1 for size in image):
        image = _filled(image, form)
    if prod(image) != prod(form) or (len(_long(image)) > 1 and _long(image) != _long(form)):
        raise NoRulesError(
            f"an input of shape {image} for images of {network.image_shape} in "
            f"{network.layout.value}"
        )
    return image


def _filled(image: tuple[int, ...], form: tuple[int, ...]) -> tuple[int, ...]:
    """Open dimensions take the images' own."""
    fits = len(image) == len(form) and all(
        a in (b, 0, -1) for a, b in zip(image, form, strict=True)
    )
    if not fits:
        raise NoRulesError(f"an input of open shape {image}")
    return form


def completed(sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of a reshape of values of `shape`; a single size of -1 takes the rest.

    >>> completed((-1, 2), (4, 3))
    (6, 2)
    """
    if sizes.count(-1) != 1:
        return sizes
    known = prod(size for size in sizes if size != -1)
    return tuple((prod(shape) // known if known > 0 else 0) if n == -1 else n for n in sizes)


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def raster(network: Network) -> NDArray[np.int64]:
    """The pixel of the (H, W, C) raster that each value is which the network reads, in its own
    order (H*W*C,)."""
    height, width, channels = network.image_shape
    places = np.arange(height * width * channels).reshape(height, width, channels)
    return (places if network.layout is Layout.HWC else places.transpose(2, 0, 1)).reshape(-1)
