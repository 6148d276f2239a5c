"""Training of a network with Keras on TensorFlow, on the CPU, repeatable to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import relrob_datasets
from relrob.domain.events import Listener, silent
from relrob.errors import DatasetError, ShapeError
from relrob.networks.batches import one_line
from relrob.networks.keras.own_layers import LAYERS
from relrob.system.files import sha256_bytes, sha256_file, write_atomic
from relrob.system.quiet import quiet_native
from relrob.training.architectures import RECIPE
from relrob.training.asked import Training
from relrob.training.fit import fit
from relrob.training.models import models
from relrob.training.saving import saved
from relrob.training.scaling import Scaling
from relrob.training.state import StateFile
from relrob.training.step import Learner


def train(
    asked: Training, output: Path, listener: Listener = silent, state: Path | None = None
) -> None:
    """Train on the training split and write a `.keras` file that reads pixels in [0, 1] and ends in
    logits.

    The last twelfth of the training images, 5,000 at most, only measures progress, and the test
    split is never read.

    The same arguments give the same bytes on the same machine. The file appears whole at the end or
    not at all. A `state`, "OUTPUT.training" beside it by default, is written after each epoch and
    removed at the end: the same call goes on from it.

    Raises UsageError, DatasetError, ShapeError, StoreError, TrainingError.
    """
    asked.check_output(output)
    recipe, architecture = asked.recipe, asked.architecture
    data = relrob_datasets.load_guarded(asked.dataset, "train", whole=True)
    architecture.check_images(data.image_shape, asked.dataset)
    images, labels = data.images[: recipe.images], data.labels[: recipe.images]
    held = min(5000, max(1, len(images) // 12))
    count = len(images) - held
    if count < 1:
        raise DatasetError(f"{asked.dataset} has {len(images)} training images", "two or more")
    place = output.with_name(f"{output.name}.training") if state is None else state
    file = StateFile(place, _key(asked, data.sha256))
    # TensorFlow prints that it looks for a GPU, the first time.
    with quiet_native():
        tf.config.list_logical_devices()
    with tf.device("/CPU:0"):
        learner, inference = _learner(asked, data.classes, images[:count])
        fit(
            learner,
            (images[:count], labels[:count]),
            (images[count:], labels[count:]),
            asked.seed,
            file,
            listener,
        )
        if learner.compression is not None:
            learner.compression.baked(learner.model)
            inference = learner.model
        elif architecture.standardise:
            learner.scaling.fold(inference.layers[1])
        write_atomic(output, saved(inference))
        file.remove()


def _key(asked: Training, sha256: str) -> str:
    """The digest of all that decides the bytes of a trained network, on one machine."""
    start = "" if asked.start is None else sha256_file(asked.start)
    facts = [asked.arch, asked.recipe, asked.seed, asked.method, start, sha256, RECIPE]
    return sha256_bytes(repr([*facts, tf.__version__, keras.__version__]).encode())


def _learner(asked: Training, classes: int, images: Any) -> tuple[Learner, Any]:
    """The model that learns, and the model to save."""
    architecture = asked.architecture
    compression = None if asked.compress is None else asked.compress.compression()
    changed = compression is not None or asked.start is not None
    training, inference = models(
        architecture,
        asked.recipe,
        images.shape[1:],
        classes,
        asked.seed,
        apart=compression is not None,
        closed=compression is not None and compression.closes_units,
    )
    if asked.start is not None:
        _begin(training, asked.start)
    if compression is not None:
        training = compression.prepared(training)
    # Weights of a file read pixels as they are, and so do quantised ones.
    scaling = Scaling.of(images, architecture.standardise and not changed)
    learner = Learner(training, asked.recipe, scaling, architecture.neutral, compression)
    return learner, inference


def _begin(model: Any, start: Path) -> None:
    """Give the model the weights of a file, layer by layer of the same name. Raises ShapeError."""
    try:
        source: Any = keras.saving.load_model(
            start, custom_objects=LAYERS, compile=False, safe_mode=True
        )
    # Keras raises errors of any class on a file that it cannot read.
    except Exception as error:
        raise ShapeError(
            f"Keras cannot load {start}: {one_line(error)}", "a .keras file"
        ) from error
    theirs = {layer.name: layer.get_weights() for layer in source.layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        found = [array.shape for array in theirs.get(layer.name, [])]
        wanted = [tuple(variable.shape) for variable in layer.weights]
        if found != wanted:
            raise ShapeError(
                f"{start} has weights {found} for layer {layer.name!r}",
                f"{wanted}, as of {model.name}",
                "the file of a network of the same --arch and --profile",
            )
        layer.set_weights(theirs[layer.name])
