"""The network that a stage made, as a path and open on its runtime."""

from __future__ import annotations

from pathlib import Path

from relrob.networks.open import Opened
from relrob.study.pipeline.work import Input, Job
from relrob_datasets.dataset import Dataset


def opened_network(job: Job, role: str, data: Dataset) -> Opened:
    """The network of an input, open on its default runtime. Raises RelrobError."""
    source = job.inputs[role]
    path = network_of(source)
    return job.shelf.opened(path, source.sha256[path.name], data)


def network_of(source: Input) -> Path:
    """The file of the network that a stage made. Raises RelrobError."""
    suffixes = (".keras", ".tflite", ".onnx", ".npz")
    return source.only(next(s for s in suffixes if any(n.endswith(s) for n in source.files)))
