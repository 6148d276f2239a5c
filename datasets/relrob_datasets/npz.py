"""A user's own images in a NumPy archive: the arrays `images` and `labels`, and perhaps the number
`classes`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Ints
from relrob.errors import DatasetError, RelrobError
from relrob.system.files import readable, sha256_file
from relrob_datasets.dataset import Images, outside
from relrob_datasets.integrity import reading, unsplit
from relrob_datasets.names import labels_of
from relrob_datasets.read_as import AUTO, GIVEN, ReadAs, Reading, ranged

ACCEPTED = (
    "a .npz with arrays images (n, H, W), (n, H, W, C) or (n, d) and labels (n,), "
    "or x_test and y_test as Keras names them"
)
_UNLABELLED = "--labels reference, where the reference network is to label them"


def load_npz(path: Path, split: str, read_as: ReadAs = GIVEN, whole: bool = False) -> Images:
    """The images of a .npz file: uint8 levels, or floats in [0, 1], which are rounded to float32.

    Without `classes` the largest label is that of the last class. A flat image becomes square where
    d is a square number, else (1, d, 1). An archive without splits is the split "test", and any
    other one where `whole` is True. No pickle is run. Raises DatasetError.
    """
    found = _read(path, split, read_as, whole)
    pixels, scale = ranged(found.images, read_as.range, str(path), found.others)
    shaped = shaped_images(path, pixels, read_as.layout)
    labelling = _labelling(path, found, read_as)
    return Images(
        readable(path.stem),
        found.split,
        shaped.images,
        labelling.labels,
        labelling.classes,
        sha256_file(path),
        labelling.known,
        Reading(
            class_names=labelling.names,
            named_by="classes" if read_as.classes else "data",
            labels="data" if labelling.labels is not None else "reference",
            range=scale,
            layout=shaped.layout,
            splits=found.splits,
            notes=(*shaped.notes, *labelling.notes),
        ),
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


@dataclass(frozen=True, eq=False)
class _Arrays:
    """The arrays of an archive, by what they mean. `others`: images of other splits, read where the
    range of the whole file is asked for."""

    images: NDArray[Any]
    labels: NDArray[Any] | None
    classes: NDArray[Any] | None
    split: str
    splits: tuple[str, ...]
    others: tuple[NDArray[Any], ...]


def _read(path: Path, split: str, read_as: ReadAs, whole: bool) -> _Arrays:
    """The arrays `images`, `labels` and perhaps `classes`. x_SPLIT and y_SPLIT, Keras's names,
    stand for the first two."""
    with numpy_errors(path, ACCEPTED), path.open("rb") as file:
        if file.read(2) != b"PK":
            raise DatasetError(f"{path} is no NumPy archive", ACCEPTED)
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            names: tuple[str, ...] = tuple(archive.files)
            keras = {name[2:]: name for name in names if name.startswith("x_")}
            splits = () if "images" in names else tuple(keras)
            wanted = {"images": "images", "labels": "labels", "classes": "classes"}
            if splits:
                wanted |= {"images": f"x_{split}", "labels": f"y_{split}"}
            arrays = {key: archive[name] for key, name in wanted.items() if name in names}
            also = [name for key, name in keras.items() if splits and key != split]
            others = tuple(archive[name] for name in also) if read_as.range == AUTO else ()
    if splits and split not in splits:
        raise DatasetError(
            f"{path} holds {', '.join(names)}: no split {split!r}", ", ".join(splits)
        )
    if "images" not in arrays or not all(
        isinstance(array, np.ndarray) for array in (*arrays.values(), *others)
    ):
        raise DatasetError(f"{path} holds {', '.join(names) or 'nothing'}", ACCEPTED)
    if not splits and split != "test":
        if not whole:
            raise unsplit(path, split)
        split = "test"
    if "labels" not in arrays and read_as.labels == "given":
        raise DatasetError(f"{path} holds {', '.join(names)}: no labels", ACCEPTED, _UNLABELLED)
    labels = arrays.get("labels") if read_as.labels == "given" else None
    return _Arrays(arrays["images"], labels, arrays.get("classes"), split, splits, others)


@dataclass(frozen=True, eq=False)
class Shaped:
    """Images (n, H, W, C), the layout that they had, and what is to be said of it."""

    images: NDArray[Any]
    layout: str = "hwc"
    notes: tuple[str, ...] = ()


def shaped_images(path: Path, images: NDArray[Any], layout: str = "auto") -> Shaped:
    """The images of an array (n, H, W), (n, H, W, C), (n, C, H, W) or (n, d): uint8 or float32.

    `layout`: "hwc" or "chw" for four dimensions; "auto" takes (n, C, H, W) where the second number
    is 1 or 3 and the last is not. Raises DatasetError for another type or shape, and for floats
    outside [-1, 1].
    """
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise DatasetError(
            f"{path} has images of type {images.dtype}",
            "uint8 levels, or floats in [0, 1]",
            "--range LO:HI for features" if images.dtype.kind in "iu" else "",
        )
    if images.ndim not in (2, 3, 4):
        raise DatasetError(f"{path} has images of shape {images.shape}", ACCEPTED)
    if images.dtype != np.uint8:
        if np.abs(images).max(initial=0) > 1:
            raise outside(str(path), images)
        images = images.astype(np.float32)
    if layout == "chw" and images.ndim != 4:
        raise DatasetError(f"{path} has images of shape {images.shape}", "(n, C, H, W) for chw")
    if images.ndim == 4:
        return _turned(images, layout)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        tall, wide = (side, side) if side * side == images.shape[1] else (1, images.shape[1])
        return Shaped(images.reshape(len(images), tall, wide, 1))
    return Shaped(images[..., np.newaxis])


def _turned(images: NDArray[Any], layout: str) -> Shaped:
    """Images of four dimensions, with their channels last."""
    _, second, third, last = images.shape
    if layout == "hwc" or (layout == "auto" and (second not in (1, 3) or last in (1, 3))):
        return Shaped(images)
    note = (
        f"images of shape ({second}, {third}, {last}) are read as C,H,W "
        f"({second} channels first) and turned into H,W,C"
        + ("; --images-layout hwc reads them otherwise" if layout == "auto" else "")
    )
    return Shaped(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), "chw", (note,))


@dataclass(frozen=True, eq=False)
class _Labelling:
    """Labels and classes: how many, whether that is known, their names, and what is to be said."""

    labels: Ints | None
    classes: int
    known: bool
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _labelling(path: Path, found: _Arrays, read_as: ReadAs) -> _Labelling:
    """The labels as numbers, by name where they are texts."""
    names, given = read_as.classes, _classes(path, found.classes)
    if names and given not in (None, len(names)):
        raise DatasetError(f"{path} has {given} classes, --classes {len(names)}", "equal numbers")
    least = given or len(names)
    if found.labels is None:
        return _Labelling(None, least or 1, least > 0, names)
    labels, notes = found.labels, tuple[str, ...]()
    if labels.ndim == 2 and labels.shape[1] == 1:
        # A column, as Keras has it.
        labels = labels[:, 0]
    if labels.ndim == 2 and _one_hot(labels):
        width = labels.shape[1]
        least = least or width
        notes = (f"labels are one-hot rows of {width}, read as the place of the 1",)
        labels = labels.argmax(axis=1)
    if labels.ndim == 1 and labels.dtype.kind in "US":
        return _by_text(path, labels, least, names)
    numbers = _numbers(path, labels)
    return _Labelling(
        numbers, least or max(int(numbers.max(initial=0)), 0) + 1, least > 0, names, notes
    )


def _by_text(path: Path, labels: NDArray[Any], least: int, names: tuple[str, ...]) -> _Labelling:
    """Labels that are texts."""
    with numpy_errors(path, ACCEPTED):
        if labels.dtype.kind == "S":
            labels = np.char.decode(labels, "utf-8")
        texts = [str(label).strip() for label in labels]
    read = labels_of(texts, names, lambda at: f"{path}, image {at}, has label")
    found = np.array(read.labels, dtype=np.int64)
    known = len(read.names) or least
    return _Labelling(found, known or int(found.max(initial=0)) + 1, known > 0, read.names)


def _one_hot(rows: NDArray[Any]) -> bool:
    """Does each row hold one 1 and otherwise 0?"""
    if rows.dtype.kind not in "biuf" or not rows.size:
        return False
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


def _numbers(path: Path, labels: NDArray[Any]) -> Ints:
    """The labels as (n,) integers; whole floats and truth values too."""
    fits = labels.ndim == 1 and labels.dtype.kind in "biuf"
    if fits and labels.dtype.kind == "f":
        fits = bool(np.isfinite(labels).all() and (labels == np.rint(labels)).all())
        fits = fits and bool((np.abs(labels) < 2**31).all())
    if not fits:
        given = f"{path} has labels of shape {labels.shape} and type {labels.dtype}"
        raise DatasetError(
            given,
            "one whole number an image, (n,), or exact one-hot rows",
            "labels.argmax(axis=1) turns rows of scores into numbers",
        )
    return labels if labels.dtype.kind in "iu" else labels.astype(np.int64)


def _classes(path: Path, given: NDArray[Any] | None) -> int | None:
    """The number in `classes`, if there is one."""
    if given is None:
        return None
    if given.shape != () or given.dtype.kind not in "iu":
        raise DatasetError(
            f"{path} has classes of shape {given.shape} and type {given.dtype}", "one integer"
        )
    return int(given)
