"""One image from a file of its own: a picture, a NumPy array, or a witness of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from relrob.domain.arrays import Floats, Levels
from relrob.errors import DatasetError
from relrob.system.files import readable, sha256_file
from relrob_datasets.dataset import Dataset
from relrob_datasets.integrity import reading
from relrob_datasets.npz import images_of, numpy_errors
from relrob_datasets.pictures import SUFFIXES, read_picture

NAMES: Final = ("image", "original", "images")
ACCEPTED: Final = (
    "a picture, a .npy of one image, or a .npz with an array image or original, or images of one"
)


def load_image(path: Path) -> Dataset:
    """The image of a file, as a data set of one image with label 0.

    Arrays are (H, W), (H, W, C) or flat (d,): uint8 levels, or floats in [0, 1], which are rounded
    to float32. A .npz may be the witness of a run: its `original` is read. Raises DatasetError.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        images: Levels | Floats = read_picture(path)[np.newaxis]
    elif suffix in (".npy", ".npz"):
        images = _array(path)
    else:
        raise DatasetError(f"{path} is not an image", ACCEPTED)
    labels = np.zeros(1, dtype=np.int64)
    return Dataset(readable(path.name), "file", images, labels, 1, sha256_file(path))


def _array(path: Path) -> Levels | Floats:
    """(1, H, W, C), uint8 or float32. Runs no pickle."""
    with numpy_errors(path, ACCEPTED), path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        names: tuple[str, ...] = getattr(loaded, "files", ("image",))
        name = next((each for each in NAMES if each in names), "")
        array = loaded if isinstance(loaded, np.ndarray) else loaded[name] if name else None
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path} holds {', '.join(names) or 'nothing'}", ACCEPTED)
    if name == "images":
        if len(array.shape) < 2 or len(array) != 1:
            raise DatasetError(f"{path} has images of shape {array.shape}", ACCEPTED)
        array = array[0]
    if array.ndim not in (1, 2, 3):
        raise DatasetError(f"{path} has an image of shape {array.shape}", ACCEPTED)
    with reading(path):
        return images_of(path, array[np.newaxis])
