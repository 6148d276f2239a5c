"""The named training images from which a quantiser learns the ranges of activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.domain.arrays import Floats, read_only
from relrob.errors import DatasetError, UsageError
from relrob_datasets import Dataset

DEFAULT_COUNT = 200


@dataclass(frozen=True, eq=False)
class Calibration:
    """`images` (k, d) float32 in [0, 1], flat in (H, W, C) order: those of `indices` in a split of
    a data set, drawn by `seed`.

    Raises DatasetError when there are none, or as many indices as images do not agree.
    """

    dataset: str
    split: str
    indices: tuple[int, ...]
    seed: int
    images: Floats

    def __post_init__(self) -> None:
        images = np.asarray(self.images, dtype=np.float32)
        if images.ndim != 2 or len(images) != len(self.indices) or not len(images):
            raise DatasetError(
                f"calibration images {images.shape} for {len(self.indices)} indices",
                "(k, d), one an index",
            )
        if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
            raise DatasetError("calibration images have pixels outside [0, 1]", "float32 in [0, 1]")
        object.__setattr__(self, "images", read_only(images))

    @property
    def name(self) -> str:
        """What a report calls it: "mnist/train, 200 images, seed 0"."""
        return f"{self.dataset}/{self.split}, {len(self.indices)} images, seed {self.seed}"


def draw(data: Dataset, count: int = DEFAULT_COUNT, seed: int = 0) -> Calibration:
    """`count` different images of a data set, in index order; all of them when it has fewer. Raises
    UsageError."""
    if count < 1:
        raise UsageError(
            f"calibration with {count} images",
            "a whole number above 0",
            f"--calibration {DEFAULT_COUNT}",
        )
    if seed < 0:
        raise UsageError(f"seed {seed}", "a whole number, 0 or more", "--seed 0")
    total = len(data.images)
    chosen = np.random.default_rng(seed).choice(total, size=min(count, total), replace=False)
    indices = tuple(sorted(int(index) for index in chosen))
    return Calibration(data.name, data.split, indices, seed, data.pixels(indices))
