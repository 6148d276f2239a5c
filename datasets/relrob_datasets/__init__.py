"""Data sets for relrob: the embedded MNIST, manifests of what can be fetched, and loaders for a
user's own images.

>>> from relrob_datasets import load, select
>>> test = load("mnist")
>>> len(test), test.image_shape, test.classes, select(test, "per-class:1")
(10000, (28, 28, 1), 10, (0, 1, 2, 3, 4, 7, 8, 11, 18, 61))
"""

from __future__ import annotations

from relrob_datasets.catalogue import Listing, catalogue, load, load_images, load_known
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.fetch import fetch
from relrob_datasets.first import check, load_guarded, load_images_guarded
from relrob_datasets.read_as import ReadAs
from relrob_datasets.select import select

__all__ = [
    "Dataset",
    "Images",
    "Listing",
    "ReadAs",
    "catalogue",
    "check",
    "fetch",
    "load",
    "load_guarded",
    "load_images",
    "load_images_guarded",
    "load_known",
    "select",
]
