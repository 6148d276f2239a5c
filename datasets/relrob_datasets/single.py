"""One image from a file of its own: a picture, a NumPy array, or a witness of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.errors import DatasetError
from relrob.system.files import readable, sha256_file
from relrob_datasets.dataset import Dataset
from relrob_datasets.integrity import reading
from relrob_datasets.npz import numpy_errors, shaped_images
from relrob_datasets.pictures import SUFFIXES, read_picture
from relrob_datasets.read_as import GIVEN, ReadAs, Reading, ranged

NAMES: Final = ("image", "original", "images")
ACCEPTED: Final = (
    "a picture, a .npy of one image, or a .npz with an array image or original, or images of one"
)


def load_image(path: Path, read_as: ReadAs = GIVEN) -> Dataset:
    """The image of a file, as a data set of one image with label 0.

    Arrays are (H, W), (H, W, C) or flat (d,): uint8 levels, or floats in [0, 1], which are rounded
    to float32. A .npz may be the witness of a run: its `original` is read. Raises DatasetError.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        values: NDArray[Any] = read_picture(path)[np.newaxis]
    elif suffix in (".npy", ".npz"):
        values = _array(path)
    else:
        raise DatasetError(f"{path} is not an image", ACCEPTED)
    with reading(path):
        pixels, scale = ranged(values, read_as.range, str(path))
        shaped = shaped_images(path, pixels, read_as.layout)
    how = Reading(range=scale, layout=shaped.layout, notes=shaped.notes)
    labels = np.zeros(1, dtype=np.int64)
    return Dataset(
        readable(path.name), "file", shaped.images, labels, 1, sha256_file(path), reading=how
    )


def _array(path: Path) -> NDArray[Any]:
    """(1, H, W, C) or another shape that `shaped_images` takes. Runs no pickle."""
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
    return array[np.newaxis]
