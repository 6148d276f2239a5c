"""A labelled set of images as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints, Levels, read_only
from relrob.errors import DatasetError
from relrob_datasets.read_as import AS_IT_IS, Reading


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    `images` (n, H, W, C): uint8 levels k, which mean k/255, or float32 in [0, 1]. `labels` (n,):
    int64 in 0..classes-1. `classes_known` is False where `classes` is only the largest label and
    one. `sha256` is of the source: its files' bytes in reading order, the .npz, or the names and
    bytes in a directory. `reading`: how they were read. Raises DatasetError: wrong shapes or types,
    no images, values outside [0, 1], NaN, labels out of range.

    >>> white = np.full((1, 1, 1, 1), 255, dtype=np.uint8)
    >>> Dataset("dots", "test", white, np.array([1]), 2, "").pixels([0])
    array([[1.]], dtype=float32)
    """

    name: str
    split: str
    images: Levels | Floats
    labels: Ints
    classes: int
    sha256: str
    classes_known: bool = True
    reading: Reading = AS_IT_IS

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        where = f"data set {self.name!r}"
        _check_images(images, where)
        _check_labels(labels, len(images), self.classes, where)
        object.__setattr__(self, "images", read_only(images))
        object.__setattr__(self, "labels", read_only(labels.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return _shape(self.images)

    def pixels(self, indices: Sequence[int]) -> Floats:
        """The images of those indices, flat in (H, W, C) order: (k, H*W*C) float32 in [0, 1],
        nearest to the exact k/255.

        Raises DatasetError for an index outside 0..n-1.
        """
        return _pixels(self, indices)


@dataclass(frozen=True, eq=False)
class Images:
    """Images as they were read, before their labels are settled.

    `labels`: those that came with them, None where the reference network is to give them.
    `classes`: the number that is known so far. The rest is as in `Dataset`, and so are the errors.
    """

    name: str
    split: str
    images: Levels | Floats
    labels: Ints | None
    classes: int
    sha256: str
    classes_known: bool = True
    reading: Reading = AS_IT_IS

    def __post_init__(self) -> None:
        where = f"data set {self.name!r}"
        images = np.asarray(self.images)
        _check_images(images, where)
        object.__setattr__(self, "images", read_only(images))
        if self.labels is not None:
            labels = np.asarray(self.labels)
            _check_labels(labels, len(images), self.classes, where)
            object.__setattr__(self, "labels", read_only(labels.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return _shape(self.images)

    def pixels(self, indices: Sequence[int]) -> Floats:
        """As `Dataset.pixels`."""
        return _pixels(self, indices)

    def dataset(self) -> Dataset:
        """With their own labels. Raises DatasetError where they have none."""
        if self.labels is None:
            raise DatasetError(
                f"data set {self.name!r} has no labels", "labels", "--labels reference"
            )
        return self._labelled(self.labels, self.classes, self.classes_known)

    def labelled(self, labels: Ints, classes: int) -> Dataset:
        """With the labels (n,) that the reference network gives, of its `classes`."""
        return self._labelled(labels, classes, True)

    def _labelled(self, labels: Ints, classes: int, known: bool) -> Dataset:
        return Dataset(
            self.name, self.split, self.images, labels, classes, self.sha256, known, self.reading
        )


def _pixels(data: Dataset | Images, indices: Sequence[int]) -> Floats:
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    beyond = wanted[(wanted < 0) | (wanted >= len(data))]
    if len(beyond):
        raise DatasetError(f"image {beyond[0]} of data set {data.name!r}", f"0..{len(data) - 1}")
    flat = data.images.reshape(len(data), -1)[wanted]
    if flat.dtype == np.uint8:
        return flat.astype(np.float32) / np.float32(255)
    return flat.astype(np.float32, copy=False)


def _shape(images: Levels | Floats) -> tuple[int, int, int]:
    _, height, width, channels = images.shape
    return height, width, channels


def _check_images(images: NDArray[Any], where: str) -> None:
    """Raise DatasetError unless the images are (n, H, W, C) without a 0, and uint8 or float32 in
    [0, 1]."""
    if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
        raise DatasetError(
            f"{where} has images of shape {images.shape} and type {images.dtype}",
            "(n, height, width, channels), uint8 or float32",
        )
    if not images.size:
        raise DatasetError(
            f"{where} is empty: shape {images.shape}", "at least one image of at least one pixel"
        )
    if images.dtype == np.uint8:
        return
    low, high = float(images.min()), float(images.max())
    if np.isnan(low) or np.isnan(high):
        raise DatasetError(f"{where} has NaN pixels", "float pixels in [0, 1]")
    if low < 0 or high > 1:
        raise outside(where, images)


def outside(where: str, values: NDArray[Any]) -> DatasetError:
    """The error for floats beyond [0, 1], with the remedy that their values suggest."""
    low, high = float(values.min()), float(values.max())
    levels = low >= 0 and high <= 255 and bool((values == np.rint(values)).all())
    return DatasetError(
        f"{where} has float pixels in [{low:g}, {high:g}]",
        "float pixels in [0, 1]",
        "store levels 0..255 as uint8, or --range 0:255 where the network itself reads 0..255"
        if levels
        else f"--range {low:g}:{high:g} or wider for features; pixels in [0, 1] with "
        "--input-scale, --mean and --std for a network that reads other units",
    )


def _check_labels(labels: NDArray[Any], count: int, classes: int, where: str) -> None:
    """Raise DatasetError unless there is an integer label in 0..classes-1 for each image."""
    if labels.shape != (count,):
        raise DatasetError(
            f"{where} has {count} images and labels of shape {labels.shape}",
            f"labels of shape ({count},)",
        )
    if labels.dtype.kind not in "iu":
        raise DatasetError(f"{where} has labels of type {labels.dtype}", "integer labels from 0 on")
    if classes < 1:
        raise DatasetError(f"{where} has {classes} classes", "at least one class")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DatasetError(
            f"{where} has label {labels[wrong[0]]} at image {wrong[0]}",
            f"0..{classes - 1} ({classes} classes)",
        )
