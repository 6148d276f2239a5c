"""Attack one network, as `relrob attack` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.attack_results import AttackResult
from relrob.api.subjects import HowRead, chosen_images, opened_file, read_data
from relrob.attacks.adversarial_set import AdversarialSet, Origin, set_of
from relrob.attacks.craft import Asked, Crafted, crafted
from relrob.attacks.goal import Goal
from relrob.attacks.metrics import metrics_of
from relrob.attacks.recognition import recognition
from relrob.attacks.selection import Filter, drawn, targets_of
from relrob.attacks.set_file import write_set
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.contract import constant, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.deployed import deployed_outputs
from relrob.networks.evaluator import labels as labels_of
from relrob.networks.open import Opened
from relrob.study.data import labelled
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob.system.files import check_writable
from relrob.system.version import VERSION
from relrob_datasets.dataset import Dataset
from relrob_datasets.read_as import ReadAs

IMAGES = "0:100"


def attack(
    network: str | Path,
    attack: str,
    *,
    dataset: str = "mnist",
    split: str = "test",
    images: str | Sequence[int] = IMAGES,
    sample: int | None = None,
    filter: str = "source_correct",
    target_label: str | int | None = None,
    seed: int = 0,
    fit_images: str | Sequence[int] | None = None,
    fit_split: str | None = None,
    out: str | Path | None = None,
    runtime: str | None = None,
    layout: str = "auto",
    classes: str | Path | None = None,
    labels: str = "given",
    range: str | None = None,
    images_layout: str = "auto",
    input_scale: Any = None,
    mean: Any = None,
    std: Any = None,
    channels: str | None = None,
    output: str | None = None,
    memory: float | None = None,
    listener: Listener = silent,
    **parameters: Any,
) -> AttackResult:
    """Attack a network and replay what was found, each image alone on its runtime.

    `attack`: a name with parameters, "pgd:eps=0.1:steps=40"; `parameters`: more of these, `eps=0.1`
    (`relrob.attacks()` lists them). `images`: text as for `relrob verify`, or indices; `filter`:
    "source_correct" attacks those that the network labels rightly, "none" all; `sample`: so many of
    them, drawn by `seed`. `target_label`: the label to reach, or "next", "random", "least". A
    universal perturbation is fitted on the images `fit_images` of `fit_split`, by default on those
    that are attacked. `out`: the .npz that keeps the examples. The rest: as for
    `relrob.compare_runtimes`.

    Raises RelrobError; UsageError for a parameter that the attack does not have.
    """
    leave_unguarded()
    chosen, asked = source_filter(filter), Asked.of(attack, seed, **parameters)
    refuse_fit(asked, fit_images, fit_split)
    path = _checked(out)
    reads = input_options(constant(input_scale), constant(mean), constant(std), channels, output)
    how = HowRead(reads, layout, runtime, memory)
    read_as = ReadAs((), labels, range, images_layout)
    shown = read_data(dataset, split, read_as, classes, memory, listener)
    opened = opened_file(network, shown, how)
    asked.model(opened.network)
    data = labelled(shown, opened.network)
    task = Task(asked, chosen, sample, None if target_label is None else str(target_label))
    places = chosen_images(data, images, listener)
    fit = None
    if fit_images is not None or fit_split is not None:
        others = read_data(dataset, fit_split or split, read_as, classes, memory, silent)
        fitted = labelled(others, opened.network)
        fit = Fit(fitted, chosen_images(fitted, "all" if fit_images is None else fit_images))
    made = made_set(task, opened, data, places, fit, listener)
    if path is not None:
        write_set(path, made.samples)
    return result_of(made, opened, path)


@dataclass(frozen=True)
class Task:
    """What is crafted: the attack, `filter` and `sample` (which images), `target` (as
    `targets_of`)."""

    asked: Asked
    filter: Filter
    sample: int | None = None
    target: str | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """The images of a data set, by their places, that a universal perturbation is fitted on."""

    data: Dataset
    places: Ints


@dataclass(frozen=True, eq=False)
class Made:
    """A set, the run behind it, and the clean images: `right` (k,) of all that were chosen."""

    samples: AdversarialSet
    crafted: Crafted
    right: Bools


def made_set(
    task: Task, opened: Opened, data: Dataset, places: Ints, fit: Fit | None, listener: Listener
) -> Made:
    """Attack an open network on the images of `places` that the task takes. Raises UsageError where
    none is left."""
    asked, network = task.asked, opened.network
    outputs = deployed_outputs(opened, data.pixels(places.tolist()))
    right = np.asarray(labels_of(outputs) == data.labels[places])
    taken = np.flatnonzero(task.filter.kept(right, right))
    if not len(taken):
        raise UsageError(
            f"{network.path} labels none of {len(places):,} images rightly",
            "images that it labels rightly",
            "--filter none, or the options of the input contract",
        )
    if task.sample is not None:
        taken = drawn(taken, task.sample, asked.seed)
    indices = places[taken]
    images, goal = data.pixels(indices.tolist()), _goal(task, data.labels[indices], outputs[taken])
    listener(Event("note", f"{asked.text} on {network.path}: {len(indices):,} images"))
    found = crafted(asked, opened, images, goal, _fit(task, fit, opened))
    origin = _origin(task, network, data, fit)
    samples = set_of(found.attacked, origin, network, indices, goal.targets, found.delta)
    return Made(samples, found, right)


def result_of(made: Made, opened: Opened, path: Path | None = None) -> AttackResult:
    """The result with its metrics on the source."""
    found = made.samples
    outputs = deployed_outputs(opened, found.adversarial)
    return AttackResult(
        opened.network,
        found,
        metrics_of(found.labels, found.found, found.adversarial, found.images, found.targets),
        recognition(found.adversarial, found.images, outputs, found.labels, found.success),
        made.crafted,
        len(made.right),
        float(made.right.mean()),
        path,
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


def refuse_fit(asked: Asked, images: Any, split: str | None) -> None:
    """Refuse images to fit on, for an attack that fits nothing. Raises UsageError."""
    given = {"fit_images": images, "fit_split": split}
    names = [spelled(name) for name, value in given.items() if value is not None]
    if names and not asked.universal:
        raise UsageError(
            f"{', '.join(names)} with {asked.text}, which fits no universal perturbation",
            "uap, sgd-uap",
            f"leave out {', '.join(names)}",
        )


def _checked(out: str | Path | None) -> Path | None:
    if out is None:
        return None
    path = Path(out)
    if path.suffix != ".npz":
        raise UsageError(f"output {path}", "a file name that ends in .npz", "-o adv.npz")
    check_writable(path)
    return path


def _goal(task: Task, truth: Ints, outputs: Floats) -> Goal:
    if task.target is None:
        return Goal(truth)
    classes = outputs.shape[1]
    least = outputs.argmin(axis=1).astype(np.int64)
    return Goal(truth, targets_of(task.target, truth, classes, least, task.asked.seed))


def _fit(task: Task, fit: Fit | None, opened: Opened) -> tuple[Floats, Goal] | None:
    if fit is None:
        return None
    images = fit.data.pixels(fit.places.tolist())
    # A target by its place in the outputs, "least", asks the network.
    outputs = deployed_outputs(opened, images)
    return images, _goal(task, fit.data.labels[fit.places], outputs)


def _origin(task: Task, network: Network, data: Dataset, fit: Fit | None) -> Origin:
    asked, shown = task.asked, data.reading.range
    fitted = "" if fit is None else f"{len(fit.places)} images of {fit.data.name} {fit.data.split}"
    if asked.universal and fit is None:
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
        range="" if shown is None else shown.text,
        fitted_on=fitted,
    )
