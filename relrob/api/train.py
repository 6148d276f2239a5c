"""Train a reference network, as `relrob train` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from relrob.api.quantise import shown_accuracy
from relrob.domain.events import Event, Listener, silent
from relrob.networks.load import load_network
from relrob.study.pool import leave_unguarded
from relrob.system.files import readable
from relrob.training.architectures import check_training, default_architecture
from relrob.training.reference import trainer
from relrob_datasets.first import load_guarded


def train(
    output: str | Path,
    *,
    arch: str | None = None,
    dataset: str = "mnist",
    seed: int = 0,
    epochs: int | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Train a reference network and write it as `output` (.keras); returns the document of
    `relrob train --json`.

    `arch`: the paper's for the data set when None; `epochs`: the architecture's when None. Imports
    TensorFlow. Raises RelrobError.
    """
    leave_unguarded()
    started, path, name = time.monotonic(), Path(output), arch or default_architecture(dataset)
    check_training(name, path, seed, epochs)
    test = load_guarded(dataset, "test")
    if not test.reading.splits:
        listener(Event("note", f"{dataset} has no splits: the accuracy is of the training images"))
    listener(
        Event(
            "note",
            f"training {name} on {dataset}, seed {seed}; TensorFlow takes a few seconds to load",
        )
    )
    trainer()(name, dataset, path, seed=seed, epochs=epochs, listener=listener)
    network = load_network(
        path,
        image_shape=test.image_shape,
        classes=test.classes,
        more_classes=not test.classes_known,
    )
    return {
        "path": readable(path),
        "sha256": network.sha256,
        "arch": name,
        "dataset": dataset,
        "seed": seed,
        "accuracy": shown_accuracy(network, test),
        "images": len(test),
        "runtime": network.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }
