"""SVHN's cropped digits: MATLAB files with X (32, 32, 3, n) and y (n, 1). Label 10 is the digit
0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from relrob.domain.arrays import Ints, Levels
from relrob.errors import DatasetError
from relrob_datasets.integrity import reading


def read(paths: Sequence[Path], split: str) -> tuple[Levels, Ints]:
    """Images (n, 32, 32, 3) and labels (n,) in 0..9. Raises DatasetError."""
    (path,) = paths
    with reading(path), path.open("rb") as file:
        try:
            content = loadmat(file, variable_names=("X", "y"))
        except OSError:
            raise
        except Exception as error:
            # The reader raises almost anything on a broken file.
            raise DatasetError(
                f"cannot read {path}: {error or type(error).__name__}", "a MATLAB 5 file"
            ) from error
    pixels, labels = content.get("X"), content.get("y")
    accepted = "uint8 X (32, 32, 3, n) and y (n, 1)"
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape[:3] != (32, 32, 3)
        or pixels.ndim != 4
    ):
        raise DatasetError(f"{path} has no X with colour images", accepted)
    if (
        not isinstance(labels, np.ndarray)
        or labels.dtype.kind not in "iu"
        or labels.shape != (pixels.shape[3], 1)
    ):
        raise DatasetError(f"{path} has no y with one label an image", accepted)
    if labels.size and not 1 <= labels.min() <= labels.max() <= 10:
        raise DatasetError(
            f"{path} has labels {labels.min()}..{labels.max()}", "1..10, where 10 means the digit 0"
        )
    images = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))
    images.flags.writeable = False
    return images, labels[:, 0].astype(np.int64) % 10
