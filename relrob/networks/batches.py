"""Batches for runtimes: flat (H, W, C) images are checked, reordered, run so many at a time, and
compared with images that run alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints
from relrob.domain.network import Layout, Network
from relrob.errors import NetworkError, ShapeError
from relrob.networks.feed import fed
from relrob.networks.shapes import raster

# Images that are fed at once, where so many or fewer run in a call.
_SLAB: Final = 256


def pixel_order(network: Network) -> Ints | None:
    """The raster index of each value that the file reads, (d,). None stands for raster order."""
    if network.layout is Layout.HWC or network.image_shape[2] == 1:
        return None
    return raster(network.layout, network.image_shape)


def check_images(images: NDArray[Any], network: Network) -> Floats:
    """The images as contiguous float32 (n, inputs). Raises ShapeError otherwise."""
    if images.ndim != 2 or images.shape[1] != network.inputs or images.dtype != np.float32:
        raise ShapeError(
            f"images of shape {images.shape} and type {images.dtype}",
            f"float32 (n, {network.inputs})",
        )
    return np.ascontiguousarray(images)


# Types whose values are float32 values too.
_EXACT: Final = (np.float32, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.bool_)


def run_in_batches(
    images: Floats,
    network: Network,
    size: int,
    run: Callable[[Floats], NDArray[Any]],
    order: Ints | None,
) -> Floats:
    """Outputs (n, classes) of images (n, d), `size` at a time, as the input contract feeds them,
    with the values in `order`.

    `run` maps up to `size` images to their rows. Raises NetworkError when it returns another number
    of values, as a graph that mixes or drops images does.
    """
    images = check_images(images, network)
    outputs = np.empty((len(images), network.classes), np.float32)
    # Many images are fed and put in order at once, because many run alone.
    slab = size * max(1, _SLAB // size)
    for first in range(0, len(images), slab):
        values = fed(images[first : first + slab], network)
        values = values if order is None else np.ascontiguousarray(values[:, order])
        for start in range(0, len(values), size):
            part = values[start : start + size]
            rows = _rows(run(part), len(part), network)
            outputs[first + start : first + start + size] = narrowed(rows)
    return outputs


def narrowed(rows: NDArray[Any]) -> Floats:
    """Rows (n, classes) of float64 or integers as float32 with the same labels.

    float32 can make one value of two, or infinity of both. Then the largest output of a row keeps
    its place: others that have come up to it are lowered by one float32. Where all are -infinity,
    nothing is lower, and the largest becomes the least finite number.

    >>> narrowed(np.array([[1.0, 1.0 + 1e-12]])).argmax(axis=1).tolist()
    [1]
    """
    with np.errstate(over="ignore"):
        narrow: Floats = rows.astype(np.float32)
    if rows.dtype in _EXACT:
        return narrow
    off = narrow.argmax(axis=1) != rows.argmax(axis=1)
    for row in np.flatnonzero(off & ~np.isnan(narrow).any(axis=1)):
        top = rows[row].argmax()
        if narrow[row, top] == -np.inf:
            narrow[row, rows[row] == rows[row, top]] = np.finfo(np.float32).min
            continue
        raised = (narrow[row] >= narrow[row, top]) & (rows[row] < rows[row, top])
        narrow[row, raised] = np.nextafter(narrow[row, top], np.float32(-np.inf))
    return narrow


def _rows(given: NDArray[Any], count: int, network: Network) -> NDArray[Any]:
    """The scores (count, classes) that a runtime gave. Raises NetworkError for another number."""
    rows = np.asarray(given)
    if network.head and rows.size == count:
        rows = two_columns(rows.reshape(-1, 1), network.head)
    if rows.size != count * network.classes:
        raise NetworkError(
            f"{network.path} gave outputs of shape {rows.shape} for {count} images",
            f"{network.classes} an image",
        )
    return rows.reshape(count, network.classes)


def two_columns(outputs: NDArray[Any], head: str) -> Floats:
    """The scores (n, 2) of two classes, of one output (n, 1): a "logit" beside 0, or a
    "probability" beside what it leaves.

    Class 1 is the label where the logit is above 0, or the probability above 1/2: 1 - p is exact
    for p from 1/2 on, and at least 1/2 below. A tie is class 0.
    """
    one = outputs.astype(np.float32, copy=False)
    if outputs.dtype == np.float64:
        # A value above the threshold stays above it.
        edge = np.float32(0.5 if head == "probability" else 0)
        above = (outputs > edge) & (one <= edge)
        one = np.where(above, np.nextafter(edge, np.float32(1)), one)
    other = np.float32(1) - one if head == "probability" else np.where(np.isnan(one), one, 0)
    return np.concatenate([other.astype(np.float32, copy=False), one], axis=1)


def probe_images(network: Network) -> Floats:
    """Three different images, to compare a batch with single images: noise, dark noise, and half
    black."""
    probes = np.random.default_rng(0).random((3, network.inputs), dtype=np.float32)
    probes[1] *= np.float32(0.2)
    probes[2, : network.inputs // 2] = 0
    return probes


def differs_in_batches(
    run: Callable[[Floats], Floats], images: Floats, alone: Floats, step: float | None
) -> str:
    """The reason not to run images (n, d) in batches, "" where there is none.

    There is none where `run` gives the outputs `alone` (n, classes) in a batch too, up to `step`
    and the rounding of floats. With `step` None the bits must be equal.
    """
    try:
        together = run(images)
    except NetworkError as error:
        return f"does not run in batches ({error})"
    if step is None:
        same = np.array_equal(together, alone, equal_nan=True)
        return "" if same else "rounds otherwise in a batch"
    # An overflow of float32 may end in NaN.
    finite = alone[np.isfinite(alone)]
    most = 1e-5 * float(np.abs(finite).max(initial=0.0)) + step
    alike = np.allclose(together, alone, rtol=0, atol=most, equal_nan=True)
    return "" if alike else "mixes the images of a batch"


def step_of_8_bits(network: Network, alone: Floats) -> float:
    """Four levels of 8 bits in the unit of outputs (n, classes). It is 0 for a float network."""
    finite = alone[np.isfinite(alone)]
    return 0.0 if network.scheme == "float32" or not len(finite) else float(np.ptp(finite)) / 64


def padded(images: Floats, size: int) -> Floats:
    """The images, and black ones after them, `size` rows in all."""
    if len(images) == size:
        return images
    return np.concatenate([images, np.zeros((size - len(images), images.shape[1]), np.float32)])


def one_line(error: BaseException) -> str:
    """The first lines of a runtime's message as one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
