"""Pairs whose quantised network holds normalisations in the weights behind them, for
`planted_faults.py`: a CNN that rescales levels and normalises behind its ReLUs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.planted_cases import BOTH_LEVELS, Case, Planter, planted
from relrob.system.quiet import quiet_native
from relrob_datasets import load as load_images
from tests import planted_pairs as plant
from tests.make_networks import convert, keras, save

_IMAGES: Final = 20_000


def folded(at: Planter) -> Iterator[Case]:
    """The faithful file, faults in it, and files of other states of the network."""
    train = load_images("mnist", "train")
    images = train.images[:_IMAGES].reshape(-1, 28, 28, 1).astype(np.float32)
    labels, some = np.asarray(train.labels[:_IMAGES]), images[:200]
    model = _model()
    model.compile("adam", keras().losses.SparseCategoricalCrossentropy(from_logits=True))
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
    for layer in model.layers:
        if isinstance(layer, keras().layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [gamma, beta, 0.8 * mean, variance * np.linspace(0.8, 1.3, len(mean))]
            )
    # The converter folds one of three into weights, and leaves two as they are.
    yield Case(
        "other moving averages, folded CNN",
        reference,
        at.write(convert(model, "int8", some), ".tflite"),
        ("changed-weights",),
        options=BOTH_LEVELS,
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
