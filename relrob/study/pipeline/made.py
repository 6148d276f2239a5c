"""The network that a stage made, as a path and open on its runtime."""

from __future__ import annotations

from pathlib import Path

from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.study.pipeline.work import Input
from relrob_datasets.dataset import Dataset


def opened_network(path: Path, data: Dataset) -> Opened:
    """The network of a file, open on its default runtime."""
    network = load_network(path, image_shape=data.image_shape, classes=data.classes)
    return Opened(network, open_network(network), open_network(network, batch=1))


def network_of(source: Input) -> Path:
    """The file of the network that a stage made. Raises RelrobError."""
    suffixes = (".keras", ".tflite", ".onnx", ".npz")
    return source.only(next(s for s in suffixes if any(n.endswith(s) for n in source.files)))
