"""The shape of a network's input against (H, W, C) images: pixel order, and the permutation between
the two."""

from __future__ import annotations

from math import prod

import numpy as np

from relrob.domain.arrays import Ints, read_only
from relrob.domain.network import Layout
from relrob.errors import ShapeError, UsageError

Shape = tuple[int, int, int]
LAYOUTS = ("auto", "hwc", "chw")


def without_batch(dims: tuple[int, ...], image_shape: Shape) -> tuple[tuple[int, ...], bool]:
    """The shape of one image, and whether `dims` has a batch dimension. Open dimensions, below 1,
    take the images' sizes.

    >>> without_batch((-1, 3, -1, -1), (32, 32, 3))
    ((3, 32, 32), True)
    """
    whole = prod(image_shape)
    if len(dims) == 1 or (dims and dims[0] > 1 and prod(dims) == whole != prod(dims[1:])):
        return _filled(dims, image_shape), False
    return _filled(dims[1:], image_shape), True


def _filled(dims: tuple[int, ...], image_shape: Shape) -> tuple[int, ...]:
    """The dimensions with open ones replaced, where these can only be the images' own."""
    height, width, channels = image_shape
    for form in (image_shape, (channels, height, width), (prod(image_shape),)):
        if len(form) == len(dims) and all(
            n < 1 or n == size for n, size in zip(dims, form, strict=True)
        ):
            return form
    return dims


def decide_layout(
    path: str,
    dims: tuple[int, ...],
    image_shape: Shape,
    layout: str = "auto",
    inherit: Layout | None = None,
) -> Layout:
    """The pixel order of a network whose one image has shape `dims`, without a batch.

    `layout`: "auto", "hwc" or "chw". The shape decides "auto". A flat input then takes `inherit`,
    or (H, W, C) where that is None. One channel is "hwc", the same either way.

    Raises ShapeError when `dims` are not these images, UsageError when a forced layout contradicts
    them.

    >>> decide_layout("n.onnx", (3, 32, 32), (32, 32, 3)).value
    'chw'
    """
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout!r}", ", ".join(LAYOUTS))
    height, width, channels = image_shape
    if any(n < 1 for n in dims) or prod(dims) != prod(image_shape):
        raise ShapeError(
            f"{path} reads {_text(dims)} values, the images have {_text(image_shape)} = "
            f"{prod(image_shape)}",
            "a network and images of one size",
            _remedy(dims, image_shape),
        )
    if channels == 1 and _squeezed(dims) in (_squeezed(image_shape), (prod(image_shape),)):
        return Layout.HWC
    forms = {Layout.HWC: _squeezed(image_shape), Layout.CHW: _squeezed((channels, height, width))}
    fitting = [form for form, shape in forms.items() if shape == _squeezed(dims)]
    if len(_squeezed(dims)) <= 1:
        return Layout(layout) if layout != "auto" else (inherit or Layout.HWC)
    if not fitting:
        raise ShapeError(
            f"{path} reads input of shape {dims}, which is not an image of {image_shape}",
            f"{image_shape}, {(channels, height, width)} or flat",
            "another --dataset",
        )
    if layout == "auto":
        return fitting[0]
    if Layout(layout) not in fitting:
        raise UsageError(
            f"layout {layout} for {path}, whose input is {dims}", f"auto or {fitting[0].value}"
        )
    return Layout(layout)


def _remedy(dims: tuple[int, ...], image_shape: Shape) -> str:
    """What to do about images that a network of other channels or another size cannot read."""
    height, width, channels = image_shape
    asked = prod(dims) if all(n > 0 for n in dims) else 0
    if channels == 1 and asked == 3 * height * width:
        return "the network reads RGB and the images are grey: save them as RGB, or another network"
    if channels == 3 and asked == height * width:
        return (
            "the network reads grey and the images are RGB: save them as grey, or another network"
        )
    sizes = [n for n in dims if n not in (1, 3)]
    if len(sizes) == 2 and channels in dims:
        return f"images of {sizes[1]}x{sizes[0]}, or the network trained for these"
    return "another --dataset, or the network trained for it"


def raster(layout: Layout, image_shape: Shape) -> Ints:
    """The (H, W, C) raster index of each value that the network reads, in its own order, (H*W*C,).

    >>> raster(Layout.CHW, (1, 2, 2)).tolist()
    [0, 2, 1, 3]
    """
    indices = np.arange(prod(image_shape), dtype=np.int64).reshape(image_shape)
    return read_only(
        indices.transpose(2, 0, 1).reshape(-1) if layout is Layout.CHW else indices.reshape(-1)
    )


def _squeezed(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Without the dimensions of length one."""
    return tuple(n for n in dims if n != 1)


def _text(dims: tuple[int, ...]) -> str:
    """28x28x1; an open dimension is "?"."""
    return "x".join(str(n) if n > 0 else "?" for n in dims) or "no"
