"""The reference network of a data set, trained once and then kept in the user's cache directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import relrob_datasets
from relrob.domain.events import Event, Listener, silent
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.system.files import cache_dir
from relrob.training.architectures import RECIPE, find_architecture
from relrob.training.asked import Training


def trainer() -> Any:
    """The function `relrob.training.train.train`. Its first import takes about four seconds
    (TensorFlow), and is silent."""
    return load_on_tensorflow("relrob.training.train:train")


def cache_name(dataset: str, arch: str, seed: int) -> str:
    """File name of a cached network. A data set given by its path is named by its stem and the
    digest of its training split."""
    label = dataset
    if dataset not in (row.name for row in relrob_datasets.catalogue()):
        data = relrob_datasets.load_guarded(dataset, "train", whole=True)
        label = f"{Path(dataset).stem}-{data.sha256[:16]}"
    return f"{arch}-{label}-seed{seed}-recipe{RECIPE}.keras"


def cached_reference(dataset: str, arch: str, seed: int = 0, listener: Listener = silent) -> Path:
    """Path of the trained network. Training takes seconds to minutes where the cache lacks it. An
    interrupted one leaves its state, and no network.

    Raises UsageError, DatasetError, StoreError.
    """
    find_architecture(arch)
    path = cache_dir() / "networks" / cache_name(dataset, arch, seed)
    if not path.is_file():
        listener(
            Event("note", f"training {arch} on {dataset}, seed {seed}, once; it is kept as {path}")
        )
        trainer()(Training(arch, dataset, seed), path, listener)
    return path
