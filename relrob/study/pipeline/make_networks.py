"""Stages that make networks, trained or compressed, and look at their values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from relrob.networks.accuracy import accuracy
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.store.stage_document import Row
from relrob.study.pipeline.made import network_of, opened_network
from relrob.study.pipeline.methods import split_method, training_of
from relrob.study.pipeline.work import Job
from relrob.system.files import sha256_file, write_atomic
from relrob.training.reference import trainer

# The file of a network.
NETWORK: Final = "net.keras"
# The file of distributions.
CURVES: Final = "cdf.json"


# The file of what was asked for, in words.
_RECIPE: Final = "recipe.txt"
# The file of a training that was not finished.
_STATE: Final = "net.training"


def train(job: Job) -> list[Row]:
    """Train a network, from given weights on where there is a start. A training that was killed
    goes on from its state in the stage's folder."""
    options, start = job.options, job.inputs.get("start")
    asked = training_of(options, None if start is None else network_of(start))
    output = job.folder / NETWORK
    if not output.exists():
        trainer()(asked, output, job.listener, job.folder / _STATE)
    write_atomic(job.folder / _RECIPE, f"{asked}\n{asked.recipe!r}\n")
    return [measured(job, output)]


def compress(job: Job) -> list[Row]:
    """Quantise a network after training: "q:W:P", or "q:W:P:weights" and "q:W:P:activations" for
    one of the two alone (Zhao et al. 2018, section 4.2)."""
    scheme, part = split_method(job.options["method"])
    data = job.shelf.data(job.options["dataset"])
    network = opened_network(job, "source", data).network
    made: bytes = load_on_tensorflow("relrob.compress.post_training.keras_levels:fixed")(
        network, scheme, part in ("", "weights"), part in ("", "activations")
    )
    write_atomic(job.folder / NETWORK, made)
    return [measured(job, job.folder / NETWORK)]


def distribution(job: Job) -> list[Row]:
    """The values of the source: weights, and activations on images drawn at random (Z: ten)."""
    data = job.shelf.data(job.options["dataset"])
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(len(data.labels), job.options["images"], replace=False))
    images = data.pixels(places.tolist()).reshape(-1, *data.image_shape)
    target = "relrob.compress.distribution:"
    found = load_on_tensorflow(f"{target}distributions")(network_of(job.inputs["source"]), images)
    curves = {"grid": load_on_tensorflow(f"{target}GRID").tolist()}
    curves |= {
        name: [round(float(v), 6) for v in load_on_tensorflow(f"{target}cumulative")(values)]
        for name, values in found.items()
    }
    write_atomic(job.folder / CURVES, json.dumps(curves) + "\n")
    row: Row = {}
    for name, values in found.items():
        figures = load_on_tensorflow(f"{target}figures")(values)
        row |= {f"{name}_{key}": value for key, value in figures.items()}
    return [row]


def measured(job: Job, path: Path) -> Row:
    """The clean accuracy of a network on the whole test split, its parameters, and its density: the
    share of its kernels' weights that are not 0."""
    data = job.shelf.data(job.options["dataset"])
    opened = job.shelf.opened(path, sha256_file(path), data)
    found = accuracy(opened.evaluator, data.images, data.labels)
    counted = load_on_tensorflow("relrob.compress.distribution:counted")(path)
    return {"accuracy": round(found, 6), "images": len(data.labels), **counted}
