"""The selection of images: `0:100`, `3,17,4`, `all`, `per-class:10`."""

from __future__ import annotations

import re

import numpy as np

from relrob.errors import DatasetError
from relrob_datasets.dataset import Dataset, Images

ACCEPTED = "a slice 0:100 or 0:100:10, a list 3,17,4, all, or per-class:10"
_NUMBER = r"-?[0-9]{1,18}"
_SLICE = re.compile(rf"({_NUMBER})?:({_NUMBER})?(?::({_NUMBER})?)?")
_LIST = re.compile(rf"{_NUMBER}(,{_NUMBER})*")
_PER_CLASS = re.compile(r"per-class:([0-9]{1,18})")


def select(dataset: Dataset | Images, text: str) -> tuple[int, ...]:
    """Indices of the images that `text` names. A list keeps its order; a slice is clipped to the
    set, as in Python.

    Raises DatasetError: another text, no image left, an index outside the set or named twice, a
    class with too few images.
    """
    words = "".join(text.split())
    if words == "all":
        return tuple(range(len(dataset)))
    if match := _PER_CLASS.fullmatch(words):
        return _per_class(dataset, int(match[1]), text)
    if match := _SLICE.fullmatch(words):
        start, stop, step = (int(part) if part else None for part in match.groups())
        return _slice(dataset, slice(start, stop, step), text)
    if _LIST.fullmatch(words):
        return _list(dataset, tuple(int(part) for part in words.split(",")), text)
    raise DatasetError(f"image selection {text!r}", ACCEPTED)


def clipped(dataset: Dataset | Images, text: str) -> str:
    """A sentence where a slice asks for more images than there are, else "".

    >>> from relrob_datasets import load
    >>> clipped(load("mnist"), "9990:20000")
    'images 9990:20000: the set has 10,000, 10 are taken'
    """
    words = "".join(text.split())
    match = _SLICE.fullmatch(words)
    ends = [int(end) for end in match.groups()[:2] if end] if match else []
    size = len(dataset)
    if all(-size <= end <= size for end in ends):
        return ""
    return f"images {words}: the set has {size:,}, {len(select(dataset, text)):,} are taken"


def _slice(dataset: Dataset | Images, part: slice, text: str) -> tuple[int, ...]:
    """The indices of a forward slice. Raises DatasetError for another one, or an empty one."""
    if part.step is not None and part.step < 1:
        raise DatasetError(f"image selection {text!r} has step {part.step}", "a step of 1 or more")
    chosen = tuple(range(len(dataset))[part])
    if not chosen:
        raise DatasetError(f"image selection {text!r} is empty: {_size(dataset)}", ACCEPTED)
    return chosen


def _list(dataset: Dataset | Images, chosen: tuple[int, ...], text: str) -> tuple[int, ...]:
    """The indices as given. Raises DatasetError for one outside the set or named twice."""
    outside = [index for index in chosen if not 0 <= index < len(dataset)]
    if outside:
        raise DatasetError(
            f"image {outside[0]} in selection {text!r}: {_size(dataset)}", f"0..{len(dataset) - 1}"
        )
    if len(set(chosen)) < len(chosen):
        twice = next(index for place, index in enumerate(chosen) if index in chosen[:place])
        raise DatasetError(f"image {twice} twice in selection {text!r}", "each index once")
    return chosen


def _per_class(dataset: Dataset | Images, count: int, text: str) -> tuple[int, ...]:
    """The first `count` images of each class, ascending. Raises DatasetError where a class has
    fewer."""
    if count < 1:
        raise DatasetError(f"image selection {text!r} is empty", "per-class:1 or more")
    if dataset.labels is None:
        raise DatasetError(
            f"image selection {text!r} of images whose labels are the reference's",
            "a slice, a list, or all",
        )
    sizes = np.bincount(dataset.labels, minlength=dataset.classes)
    if count > sizes.min():
        raise DatasetError(
            f"image selection {text!r}: class {sizes.argmin()} has {sizes.min()} images "
            f"in {dataset.name!r}",
            f"per-class:{sizes.min()} at most" if sizes.min() else "a slice or a list",
        )
    labels = dataset.labels
    firsts = [np.flatnonzero(labels == label)[:count] for label in range(dataset.classes)]
    return tuple(int(index) for index in np.sort(np.concatenate(firsts)))


def _size(dataset: Dataset | Images) -> str:
    return f"{dataset.name!r} ({dataset.split}) has {len(dataset)} images"
