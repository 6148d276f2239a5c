"""What the stages of one worker share: networks that are open, and data sets that were read.

Opening a network costs seconds, most of them for TensorFlow's trace of it. Many stages of a study
need the same one.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final, final

from relrob.domain.arrays import Ints
from relrob.networks.deployed import labelled_outputs
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob_datasets import load
from relrob_datasets.dataset import Dataset

# Networks that stay open: as many as a study's largest matrix has rows, and some.
MOST: Final = 16


@final
class Shelf:
    """Of one worker. `most`: networks that stay open; the one that was longest not asked for goes
    first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._opened: OrderedDict[tuple[Path, str], Opened] = OrderedDict()
        self._data: dict[tuple[str, str], Dataset] = {}
        self._labels: dict[tuple[str, str, str, bytes], Ints] = {}

    def data(self, name: str, split: str = "test") -> Dataset:
        """A split of a data set. Raises DatasetError."""
        if (name, split) not in self._data:
            self._data[name, split] = load(name, split)
        return self._data[name, split]

    def opened(self, path: Path, sha256: str, data: Dataset) -> Opened:
        """The network of a file with that digest, open on its default runtime. Raises RelrobError,
        also where the file has another digest."""
        key = (path, sha256)
        if key not in self._opened:
            network = load_network(path, image_shape=data.image_shape, classes=data.classes)
            self._opened[key] = Opened(
                network, open_network(network), open_network(network, batch=1)
            )
        self._opened.move_to_end(key)
        while len(self._opened) > self._most:
            self._opened.popitem(last=False)
        return self._opened[key]

    def clean(self, opened: Opened, data: Dataset, places: Ints) -> Ints:
        """The labels (n,) that a network gives the images at these places, kept for the next set of
        examples of the same images."""
        key = (opened.network.sha256, data.name, data.split, places.tobytes())
        if key not in self._labels:
            images = data.pixels(places.tolist())
            self._labels[key] = labels(labelled_outputs(opened, images))
        return self._labels[key]
