"""Train a network, as `relrob train` does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relrob.api.compressing import shown_accuracy
from relrob.compress.in_training.asked import asked_method
from relrob.domain.events import Event, Listener, silent
from relrob.networks.load import load_network
from relrob.study.pool import leave_unguarded
from relrob.system.files import readable
from relrob.training.architectures import default_architecture
from relrob.training.asked import Training
from relrob.training.reference import trainer
from relrob_datasets.first import load_guarded


def train(
    output: str | Path,
    *,
    arch: str | None = None,
    dataset: str = "mnist",
    seed: int = 0,
    profile: str = "quick",
    epochs: int | None = None,
    limit: int | None = None,
    patience: int | None = None,
    augment: Sequence[str] = (),
    start: str | Path | None = None,
    compress: str = "",
    listener: Listener = silent,
) -> dict[str, Any]:
    """Train a network and write it as `output` (.keras); returns the document of `relrob train
    --json`.

    `arch`: the paper's for the data set when None. `profile`: "quick" or "full". `epochs`, `limit`
    (training images) and `patience` (epochs without a better validation loss): the recipe's when
    None. `augment`: words such as "mixup", beside the recipe's own. `start`: a `.keras` file of the
    same architecture, to train on from. `compress`: such as "dorefa:2". Imports TensorFlow. Raises
    RelrobError.
    """
    leave_unguarded()
    started, path = time.monotonic(), Path(output)
    asked = Training(
        arch or default_architecture(dataset),
        dataset,
        seed,
        profile,
        epochs,
        limit,
        patience,
        tuple(augment),
        None if start is None else Path(start),
        asked_method(compress),
    )
    asked.check_output(path)
    test = load_guarded(dataset, "test")
    asked.architecture.check_images(test.image_shape, dataset)
    if not test.reading.splits:
        listener(Event("note", f"{dataset} has no splits: the accuracy is of the training images"))
    listener(Event("note", f"{asked}; TensorFlow takes a few seconds to load"))
    trainer()(asked, path, listener)
    network = load_network(
        path,
        image_shape=test.image_shape,
        classes=test.classes,
        more_classes=not test.classes_known,
    )
    return {
        "path": readable(path),
        "sha256": network.sha256,
        "arch": asked.arch,
        "dataset": dataset,
        "seed": seed,
        "profile": profile,
        "compress": asked.method,
        "epochs": asked.recipe.epochs,
        "accuracy": shown_accuracy(network, test),
        "images": len(test),
        "runtime": network.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }
