"""Labels and accuracy of a network on a whole data set, in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints
from relrob.networks.evaluator import Evaluator, labels

CHUNK = 4096


def as_floats(pixels: NDArray[Any]) -> Floats:
    """Flat float32 images (n, d) of images (n, ...). A uint8 level k becomes the float32 nearest to
    k/255.

    >>> as_floats(np.array([[[[255]]]], np.uint8))
    array([[1.]], dtype=float32)
    """
    flat = pixels.reshape(len(pixels), -1)
    values = flat.astype(np.float32)
    return values / np.float32(255) if flat.dtype == np.uint8 else values


def clean_labels(
    evaluator: Evaluator,
    pixels: NDArray[Any],
    chunk: int = CHUNK,
    progress: Callable[[int], None] | None = None,
) -> Ints:
    """Labels (n,) of unperturbed images (n, H, W, C) or (n, d), uint8 levels or float32.

    `progress` receives the number of images done.
    """
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(pixels), chunk):
        part = pixels[start : start + chunk]
        parts.append(labels(evaluator.outputs(as_floats(part))))
        if progress is not None:
            progress(start + len(part))
    return np.concatenate(parts)


def accuracy(
    evaluator: Evaluator, pixels: NDArray[Any], truth: NDArray[Any], chunk: int = CHUNK
) -> float:
    """Share of images whose label is the true one. It is 0 for no images."""
    return float(np.mean(clean_labels(evaluator, pixels, chunk) == truth)) if len(pixels) else 0.0
