"""Training images, named by split and seed, from which a quantiser learns the ranges of
activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.domain.arrays import Floats, read_only
from relrob.errors import DatasetError, UsageError
from relrob_datasets import Dataset, Images, ReadAs, load_images_guarded

DEFAULT_COUNT = 200


@dataclass(frozen=True, eq=False)
class Calibration:
    """`images` (k, d) float32 in [0, 1], flat in (H, W, C) order: those of `indices` in a split of
    a data set, drawn by `seed`. `remark`: what should be known of them, "" for nothing.

    Raises DatasetError when there are none, or as many indices as images do not agree.
    """

    dataset: str
    split: str
    indices: tuple[int, ...]
    seed: int
    images: Floats
    remark: str = ""

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
        """The name in a report, such as "mnist/train, 200 images, seed 0"."""
        remark = f" ({self.remark})" if self.remark else ""
        return f"{self.dataset}/{self.split}, {len(self.indices)} images, seed {self.seed}{remark}"


def judged(data: Dataset | Images, split: str = "train") -> bool:
    """Does calibration on a split draw the very images of `data`: the same split, or data without
    splits?"""
    return not data.reading.splits or data.split == split


def calibration_images(
    dataset: str, data: Dataset | Images, split: str = "train", memory: float | None = None
) -> Dataset | Images:
    """The images of a split of the data set from which `data` came, read in the same way; `data`
    where that has no splits. Raises DatasetError."""
    if judged(data, split):
        return data
    found = data.reading
    scale = None if found.range is None else found.range.text
    layout = found.layout if dataset.endswith(".npz") else "auto"
    read_as = ReadAs(labels="reference", range=scale, layout=layout)
    return load_images_guarded(dataset, split, memory, read_as)


def draw(
    data: Dataset | Images, count: int = DEFAULT_COUNT, seed: int = 0, own: bool = False
) -> Calibration:
    """`count` different images of a data set, in index order; all of them when it has fewer.

    `own`: they are among those that the networks are judged by, which the name then says. Raises
    UsageError.
    """
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
    remarks = [f"all there are, of {count:,} asked for"] if total < count else []
    remarks += ["images that it is judged by"] if own else []
    images = data.pixels(indices)
    return Calibration(data.name, data.split, indices, seed, images, "; ".join(remarks))
