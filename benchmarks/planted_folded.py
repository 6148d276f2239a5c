"""Pairs with normalisations that the quantised network holds in the weights behind them, or as
steps of its own, for `planted_faults.py`: CNNs that rescale levels and normalise behind ReLUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted_cases import BOTH_LEVELS, Case, Planter, planted
from relrob.system.quiet import quiet_native
from relrob_datasets import load as load_images
from tests import planted_pairs as plant
from tests.audit.stacks import normalisations
from tests.make_networks import convert, keras, save

Array = NDArray[Any]
_IMAGES: Final = 20_000
# The arrays of a batch normalisation.
_GAMMA, _BETA, _MEAN, _VARIANCE = range(4)


def folded(at: Planter) -> Iterator[Case]:
    """The faithful file, faults in it, and files of other states of the network."""
    images, labels = _levels()
    some = images[:200]
    model = _compiled(_model())
    with quiet_native():
        model.fit(images, labels, 64, 2, verbose=0)
        stale = convert(model, "int8", some)
        model.fit(images, labels, 64, 2, verbose=0)
    reference = save(model, at.folder / "folded.keras")
    right = convert(model, "int8", some)
    for scheme, content in (("int8", right), ("dynamic", convert(model, "dynamic-per-channel"))):
        path = at.write(content, ".tflite")
        yield Case(f"faithful folded CNN, {scheme}", reference, path, (), options=BOTH_LEVELS)
    rows = (
        ("one weight by 20 steps, folded CNN", plant.weight(0, 20), "changed-weights"),
        ("one weight by 3 steps, folded CNN", plant.weight(1, 3, 200), "changed-weights"),
        ("one bias by 1, folded CNN", plant.bias(1, 1.0), "changed-bias"),
        ("scale of a channel x1.5, folded CNN", plant.scale(0, 1.5, 4), "changed-scale"),
        ("zero point of hidden +20, folded CNN", plant.zero_point(1, 20), "changed-zero-point"),
        ("3 and 8, folded CNN", plant.swapped_classes(3, 8), "permuted-classes"),
    )
    yield from planted(reference, partial(at.lite, right), rows, options=BOTH_LEVELS)
    path = at.write(stale, ".tflite")
    yield Case(
        "two epochs before, folded CNN", reference, path, ("stale-weights",), options=BOTH_LEVELS
    )
    for layer in normalisations(model):
        _other_averages(layer)
    # The converter folds one of three into weights, and leaves two as they are.
    yield Case(
        "other moving averages, folded CNN",
        reference,
        at.write(convert(model, "int8", some), ".tflite"),
        ("changed-weights",),
        options=BOTH_LEVELS,
    )


def standing(at: Planter) -> Iterator[Case]:
    """Files of a CNN whose convolutions pad, so that steps before them stand as MUL and ADD: the
    faithful ones, and those in which a step is another or is left out."""
    images, labels = _levels()
    model = _compiled(_padding_model())
    with quiet_native():
        model.fit(images, labels, 64, 2, verbose=0)
    reference = save(model, at.folder / "standing.keras")
    held = model.get_weights()
    for scheme in ("int8", "float16"):
        path = at.write(convert(model, scheme, images[:200]), ".tflite")
        yield Case(f"faithful standing CNN, {scheme}", reference, path, (), options=BOTH_LEVELS)
    first, second = normalisations(model)
    faults: tuple[tuple[str, Any, int, Callable[[Array], Array]], ...] = (
        (
            "means of one normalisation x0.9, standing CNN",
            first,
            _MEAN,
            lambda values: 0.9 * values,
        ),
        (
            "variances in another order, standing CNN",
            first,
            _VARIANCE,
            lambda values: np.roll(values, 1),
        ),
        (
            "one factor x1.5 before a maximum, standing CNN",
            second,
            _GAMMA,
            lambda values: _one(values, 1.5),
        ),
        (
            "one shift gone before a maximum, standing CNN",
            second,
            _BETA,
            lambda values: _one(values, 0.0),
        ),
    )
    for name, layer, place, change in faults:
        arrays = layer.get_weights()
        arrays[place] = change(arrays[place])
        layer.set_weights(arrays)
        path = at.write(convert(model, "int8", images[:200]), ".tflite")
        model.set_weights(held)
        yield Case(name, reference, path, ("changed-weights",), options=BOTH_LEVELS)
    for layer in (first, second):
        _other_averages(layer)
    path = at.write(convert(model, "int8", images[:200]), ".tflite")
    yield Case(
        "other moving averages, standing CNN",
        *(reference, path, ("changed-weights",)),
        options=BOTH_LEVELS,
    )


def _one(values: Array, factor: float) -> Array:
    """The largest of the numbers times a factor."""
    changed = values.copy()
    changed[np.argmax(np.abs(values))] *= factor
    return changed


def _levels() -> tuple[Array, Array]:
    """MNIST images (n, 28, 28, 1) of 0 to 255, and their labels."""
    train = load_images("mnist", "train")
    images = train.images[:_IMAGES].reshape(-1, 28, 28, 1).astype(np.float32)
    return images, np.asarray(train.labels[:_IMAGES])


def _compiled(model: Any) -> Any:
    model.compile("adam", keras().losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _other_averages(layer: Any) -> None:
    """Means and variances of a batch normalisation as they may be after other batches."""
    gamma, beta, mean, variance = layer.get_weights()
    layer.set_weights([gamma, beta, 0.8 * mean, variance * np.linspace(0.8, 1.3, len(mean))])


def _padding_model() -> Any:
    """Levels of 0 to 255 to ten logits."""
    keras().utils.set_random_seed(3)
    k, same = keras().layers, {"padding": "same", "activation": "relu"}
    return keras().Sequential(
        [
            *(k.Input((28, 28, 1)), k.Rescaling(1 / 127.5, offset=-1.0)),
            *(k.Conv2D(8, 5, strides=2, **same), k.BatchNormalization()),
            *(k.Conv2D(16, 3, **same), k.BatchNormalization(), k.MaxPooling2D(2)),
            *(k.Conv2D(16, 3, **same), k.Flatten(), k.Dense(10)),
        ]
    )


def _model() -> Any:
    """Levels of 0 to 255 to ten logits."""
    keras().utils.set_random_seed(3)
    k = keras().layers
    return keras().Sequential(
        [
            *(k.Input((28, 28, 1)), k.Rescaling(1 / 127.5, offset=-1.0)),
            *(k.Conv2D(8, 5, strides=2, activation="relu"), k.BatchNormalization()),
            *(k.Conv2D(16, 3, strides=2, activation="relu"), k.BatchNormalization()),
            *(k.Flatten(), k.Dense(32, activation="relu"), k.BatchNormalization()),
            k.Dense(10),
        ]
    )
