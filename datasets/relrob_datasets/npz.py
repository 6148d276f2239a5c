"""A user's own images in a NumPy archive: the arrays `images` and `labels`, and perhaps the number
`classes`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.errors import DatasetError, RelrobError
from relrob.system.files import readable, sha256_file
from relrob_datasets.dataset import Dataset
from relrob_datasets.integrity import reading

ACCEPTED = (
    "a .npz with arrays images (n, H, W), (n, H, W, C) or (n, d) and labels (n,), "
    "or x_test and y_test as Keras names them"
)


def load_npz(path: Path, split: str) -> Dataset:
    """The data set of a .npz file: uint8 levels, or floats in [0, 1], which are rounded to float32.

    Without `classes` the largest label is that of the last class. A flat image becomes square where
    d is a square number, else (1, d, 1). No pickle is run. Raises DatasetError.
    """
    arrays = _read(path, split)
    images, labels = images_of(path, arrays["images"]), _labels(path, arrays["labels"])
    classes = _classes(path, arrays.get("classes"), labels)
    return Dataset(
        readable(path.stem), split, images, labels, classes, sha256_file(path), "classes" in arrays
    )


@contextmanager
def numpy_errors(path: Path, accepted: str) -> Iterator[None]:
    """Turn every failure of NumPy's readers into a DatasetError of one line.

    A broken archive raises almost anything: errors of zip, zlib, the tokenizer and the header.
    """
    with reading(path):
        try:
            yield
        except (OSError, MemoryError, RelrobError):
            raise
        except Exception as error:
            raise DatasetError(
                f"cannot read {path}: {error or type(error).__name__}", accepted
            ) from error


def _read(path: Path, split: str) -> dict[str, NDArray[Any]]:
    """The arrays `images`, `labels` and perhaps `classes`. x_SPLIT and y_SPLIT, Keras's names,
    stand for the first two."""
    wanted = {
        "images": "images",
        "labels": "labels",
        "classes": "classes",
        f"x_{split}": "images",
        f"y_{split}": "labels",
    }
    with numpy_errors(path, ACCEPTED), path.open("rb") as file:
        if file.read(2) != b"PK":
            raise DatasetError(f"{path} is no NumPy archive", ACCEPTED)
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            names: tuple[str, ...] = tuple(archive.files)
            arrays = {wanted[name]: archive[name] for name in names if name in wanted}
    if not {"images", "labels"} <= set(arrays) or not all(
        isinstance(array, np.ndarray) for array in arrays.values()
    ):
        raise DatasetError(f"{path} holds {', '.join(names) or 'nothing'}", ACCEPTED)
    return arrays


def images_of(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    """The images of an array (n, H, W), (n, H, W, C) or (n, d), as (n, H, W, C): uint8 or float32.

    Raises DatasetError for another type or shape, and for floats outside [-1, 1].
    """
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise DatasetError(
            f"{path} has images of type {images.dtype}", "uint8 levels, or floats in [0, 1]"
        )
    if images.ndim not in (2, 3, 4):
        raise DatasetError(f"{path} has images of shape {images.shape}", ACCEPTED)
    if images.dtype != np.uint8:
        if np.abs(images).max(initial=0) > 1:
            raise DatasetError(
                f"{path} has float pixels in [{images.min():g}, {images.max():g}]",
                "floats in [0, 1]",
                "store levels 0..255 as uint8, or divide them by 255",
            )
        images = images.astype(np.float32)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        tall, wide = (side, side) if side * side == images.shape[1] else (1, images.shape[1])
        return images.reshape(len(images), tall, wide, 1)
    return images if images.ndim == 4 else images[..., np.newaxis]


def _labels(path: Path, labels: NDArray[Any]) -> NDArray[Any]:
    """The labels as (n,) integers. A column (n, 1), as Keras has it, is accepted."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        given = f"{path} has labels of shape {labels.shape} and type {labels.dtype}"
        raise DatasetError(
            given,
            "one integer an image, (n,)",
            "labels.argmax(axis=1) turns one-hot rows into numbers",
        )
    return labels


def _classes(path: Path, given: NDArray[Any] | None, labels: NDArray[Any]) -> int:
    """The number in `classes`, else the largest label and one."""
    if given is None:
        return max(int(labels.max(initial=0)), 0) + 1
    if given.shape != () or given.dtype.kind not in "iu":
        raise DatasetError(
            f"{path} has classes of shape {given.shape} and type {given.dtype}", "one integer"
        )
    return int(given)
