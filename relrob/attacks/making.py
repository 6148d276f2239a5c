"""An attack on an open network, on the images of a data set that a task takes: an adversarial set
and the run behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.attacks.adversarial_set import AdversarialSet, Origin, set_of
from relrob.attacks.craft import Asked, Crafted, crafted
from relrob.attacks.goal import Goal
from relrob.attacks.selection import Filter, drawn, sample_size, targets_of
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.events import Event, Listener
from relrob.domain.network import Network
from relrob.errors import UsageError, how_many
from relrob.networks.deployed import deployed_outputs, labelled_outputs
from relrob.networks.evaluator import labels as labels_of
from relrob.networks.open import Opened
from relrob.system.version import VERSION
from relrob_datasets.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Task:
    """What is crafted: the attack; of the images `places` (k,) of `data` those that `filter` keeps,
    or `sample` of them; `target`: as `targets_of`, None for any label. `fit`: data and places that
    a universal perturbation is fitted on, None for the attacked images."""

    asked: Asked
    filter: Filter
    data: Dataset
    places: Ints
    sample: int | None = None
    target: str | None = None
    fit: tuple[Dataset, Ints] | None = None

    @property
    def most(self) -> int:
        """The most images that it can take. Raises UsageError for a sample that is no number."""
        if self.sample is None:
            return len(self.places)
        return min(sample_size(self.sample), len(self.places))


@dataclass(frozen=True, eq=False)
class Made:
    """A set, the run behind it, and which of the clean images (k,) that were chosen the source
    labels rightly."""

    samples: AdversarialSet
    crafted: Crafted
    right: Bools


def made_set(task: Task, opened: Opened, listener: Listener) -> Made:
    """Attack an open network on the images that the task takes. Raises UsageError where none is
    left."""
    asked, network, data = task.asked, opened.network, task.data
    # The least likely label takes the bits of each image alone, a label does not.
    run = deployed_outputs if task.target == "least" else labelled_outputs
    outputs = run(opened, data.pixels(task.places.tolist()))
    right = np.asarray(labels_of(outputs) == data.labels[task.places])
    taken = np.flatnonzero(task.filter.kept(right, right))
    if not len(taken):
        raise UsageError(
            f"{network.path} labels none of {how_many(len(right), 'image')} rightly",
            "images that it labels rightly",
            "--filter none, or the options of the input contract",
        )
    if task.sample is not None:
        taken = drawn(taken, task.sample, asked.seed)
    indices = task.places[taken]
    images, goal = data.pixels(indices.tolist()), _goal(task, data.labels[indices], outputs[taken])
    listener(Event("note", f"{asked.text} on {network.path}: {how_many(len(indices), 'image')}"))
    found = crafted(asked, opened, images, goal, _fit(task, opened))
    delta = None if found.fitted is None else found.fitted.perturbation
    origin = _origin(task, network)
    samples = set_of(found.attacked, origin, network, indices, goal.targets, delta)
    return Made(samples, found, right)


def _goal(task: Task, truth: Ints, outputs: Floats) -> Goal:
    if task.target is None:
        return Goal(truth)
    least = outputs.argmin(axis=1).astype(np.int64)
    names, seed = task.data.reading.class_names, task.asked.seed
    return Goal(truth, targets_of(task.target, truth, outputs.shape[1], least, seed, names))


def _fit(task: Task, opened: Opened) -> tuple[Floats, Goal] | None:
    if task.fit is None:
        return None
    data, places = task.fit
    images = data.pixels(places.tolist())
    return images, _goal(task, data.labels[places], deployed_outputs(opened, images))


def _origin(task: Task, network: Network) -> Origin:
    asked, data, fitted = task.asked, task.data, ""
    if task.fit is not None:
        fitted = f"{how_many(len(task.fit[1]), 'image')} of {task.fit[0].name} {task.fit[0].split}"
    elif asked.universal:
        fitted = "the attacked images"
    return Origin(
        attack=asked.text,
        norm=asked.attack.norm,
        seed=asked.seed,
        network=network.path,
        sha256=network.sha256,
        runtime=network.runtime,
        scheme=network.scheme,
        contract=network.contract.text(),
        dataset=data.name,
        split=data.split,
        data_sha256=data.sha256,
        classes=data.classes,
        classes_known=data.classes_known,
        filter=task.filter,
        version=VERSION,
        range="" if data.reading.range is None else data.reading.range.text,
        fitted_on=fitted,
        layout=network.layout,
    )
