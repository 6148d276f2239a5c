"""Training of a reference network with Keras on TensorFlow, on the CPU, repeatable to the byte."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import relrob_datasets
from relrob.domain.arrays import Ints
from relrob.domain.events import Event, Listener, silent
from relrob.errors import DatasetError
from relrob.system.files import write_atomic
from relrob.system.quiet import quiet_native
from relrob.training.architectures import Architecture, check_training
from relrob.training.models import models

# Images in one step of evaluation.
CHUNK = 4096
# Number of batches between two events.
EVERY = 20


def train(
    arch: str,
    dataset: str,
    output: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
    listener: Listener = silent,
) -> None:
    """Train `arch` on the training split of `dataset` and write a `.keras` file: Input (H, W, C),
    Flatten, Dense..., logits.

    Pixels are levels/255. The last twelfth of the training images, 5,000 at most, only measures
    progress, and the test split is never read. `limit` keeps the first images only.

    The same arguments give the same bytes on the same machine. The file appears whole at the end or
    not at all. Cost: 1 to 3 s an epoch of MNIST on two cores. Raises UsageError, DatasetError,
    StoreError.
    """
    architecture = check_training(arch, output, seed, epochs, limit)
    total_epochs = architecture.epochs if epochs is None else epochs
    data = relrob_datasets.load_guarded(dataset, "train", whole=True)
    images, labels = data.images[:limit], data.labels[:limit]
    held = min(5000, max(1, len(images) // 12))
    if len(images) - held < 1:
        raise DatasetError(f"{dataset} has {len(images)} training images", "two or more")
    # TensorFlow prints that it looks for a GPU, the first time.
    with quiet_native():
        tf.config.list_logical_devices()
    with tf.device("/CPU:0"):
        model = _fit(
            architecture, (images, labels), held, data.classes, seed, total_epochs, listener
        )
        write_atomic(output, saved(model))


@dataclass(frozen=True)
class Scaling:
    """The scaling of pixels in training, to (pixel - mean)/deviation, which `fold` moves into the
    weights of the saved network.

    `full`: the stored value of white, 255 or 1. `mean` and `deviation`: over all pixels of the
    training images, in [0, 1].
    """

    full: float
    mean: float
    deviation: float

    @staticmethod
    def of(images: Any, standardise: bool) -> Scaling:
        """The scaling of these images: uint8 levels or float32 in [0, 1]; without `standardise`,
        pixels stay in [0, 1]."""
        full = 255.0 if images.dtype == np.uint8 else 1.0
        if not standardise:
            return Scaling(full, 0.0, 1.0)
        return Scaling(
            full,
            float(images.mean(dtype=np.float64)) / full,
            float(images.std(dtype=np.float64)) / full or 1.0,
        )

    def apply(self, stored: Any) -> Any:
        """Scaled float32 tensor of stored pixels, any shape."""
        return (tf.cast(stored, tf.float32) / self.full - self.mean) / self.deviation

    def fold(self, dense: Any) -> None:
        """Change the first dense layer from one of scaled pixels to the same function of pixels."""
        weights, bias = (value.astype(np.float64) for value in dense.get_weights())
        weights = weights / self.deviation
        dense.set_weights(
            [
                weights.astype(np.float32),
                (bias - self.mean * weights.sum(axis=0)).astype(np.float32),
            ]
        )


def _fit(
    architecture: Architecture,
    data: tuple[Any, Ints],
    held: int,
    classes: int,
    seed: int,
    epochs: int,
    listener: Listener,
) -> Any:
    """The trained inference model; events after every few batches, one line of text an epoch."""
    (images, labels), count = data, len(data[0]) - held
    batch = min(architecture.batch, count)
    steps = count // batch
    scaling = Scaling.of(images[:count], architecture.standardise)
    training, inference = models(architecture, images.shape[1:], classes, seed)
    optimiser = _optimiser(architecture, epochs * steps)
    step = _step(training, scaling, (images[:count], labels[:count]), optimiser)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(count)[: steps * batch].astype(np.int32).reshape(steps, batch)
        loss = 0.0
        for number, chosen in enumerate(order, start=1):
            loss += float(step(tf.constant(chosen)))
            if number % EVERY == 0 and number < steps:
                listener(Event("train", "", epoch * steps + number, epochs * steps))
        accuracy = float(np.mean(_labels(inference, scaling, images[count:]) == labels[count:]))
        text = (
            f"epoch {epoch + 1}/{epochs}: loss {loss / steps:.4f}, validation accuracy "
            f"{accuracy:.4f}"
        )
        listener(Event("train", text, (epoch + 1) * steps, epochs * steps))
    scaling.fold(inference.layers[1])
    return inference


def _optimiser(architecture: Architecture, steps: int) -> Any:
    """The optimiser of a recipe."""
    if architecture.optimiser == "rmsprop":
        return keras.optimizers.RMSprop(architecture.rate)
    schedule: Any = keras.optimizers.schedules.CosineDecay(architecture.rate, steps)
    return keras.optimizers.Adam(schedule)


def _step(
    model: Any, scaling: Scaling, data: tuple[Any, Ints], optimizer: Any
) -> Callable[[Any], Any]:
    """One compiled step of the optimiser on the images of the given indices. The whole training set
    stays in memory."""
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = tf.constant(data[0]), tf.constant(data[1])

    def step(chosen: Any) -> Any:
        with tf.GradientTape() as tape:
            loss: Any = loss_of(
                tf.gather(labels, chosen),
                model(scaling.apply(tf.gather(images, chosen)), training=True),
            )
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    compiled: Callable[[Any], Any] = tf.function(step)
    return compiled


def _labels(model: Any, scaling: Scaling, images: Any) -> Ints:
    """First index of the largest logit, image by image."""
    parts = [
        model(scaling.apply(images[at : at + CHUNK])).numpy() for at in range(0, len(images), CHUNK)
    ]
    found: Ints = np.concatenate(parts).argmax(axis=1).astype(np.int64)
    return found


def saved(model: Any) -> bytes:
    """The bytes of the model's `.keras` file, with no clock and no memory address in them."""
    with tempfile.TemporaryDirectory(prefix="relrob-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(
        _renumbered(json.loads(members["config.json"]), {})
    ).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)
    return target.getvalue()


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    """The configuration with shared objects counted in order of appearance. Keras names them by
    their memory address."""
    if isinstance(value, list):
        return [_renumbered(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _renumbered(item, numbers) for key, item in value.items()}
    if "shared_object_id" in value:
        changed["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers))
    return changed
