"""From the options that choose images and an attack to an adversarial set: what `relrob attack` and
`relrob transfer` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.subjects import HowRead, chosen_images, read_data
from relrob.attacks.adversarial_set import AdversarialSet, Origin, set_of
from relrob.attacks.craft import Asked, Crafted, crafted
from relrob.attacks.goal import Goal
from relrob.attacks.selection import Filter, drawn, targets_of
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.deployed import deployed_outputs
from relrob.networks.evaluator import labels as labels_of
from relrob.networks.open import Opened
from relrob.study.data import labelled
from relrob.study.options import spelled
from relrob.system.version import VERSION
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.read_as import ReadAs

# Images that are attacked where none are named.
IMAGES = "0:100"


@dataclass(frozen=True)
class Choice:
    """The options that choose images, as given, None where they were not.

    `dataset`, `split`, `images`, `sample`: which are attacked; `target_label`: the label that they
    shall get; `fit_images`, `fit_split`: those that a universal perturbation is fitted on;
    `classes`, `labels`, `range`, `images_layout`: how data are read (docs/data.md).
    """

    dataset: str | Path | None = None
    split: str | None = None
    images: str | Sequence[int] | None = None
    sample: int | None = None
    target_label: str | int | None = None
    fit_images: str | Sequence[int] | None = None
    fit_split: str | None = None
    classes: str | Path | None = None
    labels: str | None = None
    range: str | None = None
    images_layout: str | None = None

    @property
    def fits(self) -> bool:
        """Are there images of their own to fit on?"""
        return self.fit_images is not None or self.fit_split is not None

    def refuse_fit(self, asked: Asked) -> None:
        """Refuse images to fit on, for an attack that fits nothing. Raises UsageError."""
        names = [
            spelled(name) for name in ("fit_images", "fit_split") if getattr(self, name) is not None
        ]
        if names and not asked.universal:
            raise UsageError(
                f"{', '.join(names)} with {asked.text}, which fits no universal perturbation",
                "an attack that does, relrob attacks",
                f"leave out {', '.join(names)}",
            )

    def read(self, how: HowRead, listener: Listener) -> Images:
        """The images of data set and split. Raises DatasetError, UsageError."""
        read_as = ReadAs((), self.labels or "given", self.range, self.images_layout or "auto")
        name = "mnist" if self.dataset is None else str(self.dataset)
        return read_data(name, self.split or "test", read_as, self.classes, how.memory, listener)


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


def task_of(
    choice: Choice,
    asked: Asked,
    chosen: Filter,
    shown: Images,
    network: Network,
    how: HowRead,
    listener: Listener,
) -> Task:
    """The task on images that were read. `network`: it labels images that have no labels. Raises
    DatasetError, UsageError."""
    data = labelled(shown, network)
    images = IMAGES if choice.images is None else choice.images
    fit = None
    if choice.fits:
        others = replace(choice, split=choice.fit_split or choice.split).read(how, silent)
        fitted = labelled(others, network)
        wanted = "all" if choice.fit_images is None else choice.fit_images
        fit = fitted, chosen_images(fitted, wanted, listener)
    return Task(
        asked,
        chosen,
        data,
        chosen_images(data, images, listener),
        choice.sample,
        None if choice.target_label is None else str(choice.target_label),
        fit,
    )


def source_filter(text: str) -> Filter:
    """The filter of a command that crafts. Raises UsageError, also for one that needs a target."""
    found = Filter.of(text)
    if found is Filter.BOTH_CORRECT:
        raise UsageError(
            "filter both_correct without a network that examples are applied to",
            "none, source_correct",
            "relrob transfer --filter both_correct",
        )
    return found


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
    outputs = deployed_outputs(opened, data.pixels(task.places.tolist()))
    right = np.asarray(labels_of(outputs) == data.labels[task.places])
    taken = np.flatnonzero(task.filter.kept(right, right))
    if not len(taken):
        raise UsageError(
            f"{network.path} labels none of {len(right):,} images rightly",
            "images that it labels rightly",
            "--filter none, or the options of the input contract",
        )
    if task.sample is not None:
        taken = drawn(taken, task.sample, asked.seed)
    indices = task.places[taken]
    images, goal = data.pixels(indices.tolist()), _goal(task, data.labels[indices], outputs[taken])
    listener(Event("note", f"{asked.text} on {network.path}: {len(indices):,} images"))
    found = crafted(asked, opened, images, goal, _fit(task, opened))
    delta = None if found.fitted is None else found.fitted.perturbation
    origin = _origin(task, network)
    samples = set_of(found.attacked, origin, network, indices, goal.targets, delta)
    return Made(samples, found, right)


def _goal(task: Task, truth: Ints, outputs: Floats) -> Goal:
    if task.target is None:
        return Goal(truth)
    least = outputs.argmin(axis=1).astype(np.int64)
    return Goal(truth, targets_of(task.target, truth, outputs.shape[1], least, task.asked.seed))


def _fit(task: Task, opened: Opened) -> tuple[Floats, Goal] | None:
    if task.fit is None:
        return None
    data, places = task.fit
    images = data.pixels(places.tolist())
    return images, _goal(task, data.labels[places], deployed_outputs(opened, images))


def _origin(task: Task, network: Network) -> Origin:
    asked, data, fitted = task.asked, task.data, ""
    if task.fit is not None:
        fitted = f"{len(task.fit[1])} images of {task.fit[0].name} {task.fit[0].split}"
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
    )


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of some options that are not None."""
    return {name: value for name, value in options.items() if value is not None}
