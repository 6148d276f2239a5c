"""Apply examples of some networks to others, as `relrob transfer` does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.attack_results import TransferResult
from relrob.api.crafting import Choice, given, source_filter, task_of
from relrob.api.subjects import HowRead, data_of_set, opened_file
from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.craft import Asked
from relrob.attacks.making import made_set
from relrob.attacks.selection import Filter
from relrob.attacks.set_file import read_set
from relrob.attacks.transfer import Cell, cell, filter_of, scenarios
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.contract import constant, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.errors import ShapeError, UsageError
from relrob.networks.deployed import deployed_outputs
from relrob.networks.evaluator import labels as labels_of
from relrob.networks.open import Opened
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob_datasets.dataset import Dataset, Images

Paths = str | Path | Sequence[str | Path]


def transfer(
    *,
    source: Paths = (),
    target: Paths = (),
    samples: Paths = (),
    reference: str | Path | None = None,
    attack: str | None = None,
    dataset: str | Path | None = None,
    split: str | None = None,
    images: str | Sequence[int] | None = None,
    sample: int | None = None,
    filter: str | None = None,
    keep: int | None = None,
    target_label: str | int | None = None,
    seed: int | None = None,
    fit_images: str | Sequence[int] | None = None,
    fit_split: str | None = None,
    runtime: str | None = None,
    layout: str = "auto",
    classes: str | Path | None = None,
    labels: str | None = None,
    range: str | None = None,
    images_layout: str | None = None,
    input_scale: Any = None,
    mean: Any = None,
    std: Any = None,
    channels: str | None = None,
    output: str | None = None,
    memory: float | None = None,
    listener: Listener = silent,
    **parameters: Any,
) -> TransferResult:
    """The examples of every source on every target.

    `samples`: files of `relrob.attack`, applied to the targets. Without them `source` names the
    networks that `attack` is run on, and options that choose images are those of `relrob.attack`;
    the targets are the sources and those of `target`. `reference`: the full-precision network,
    which comes first; it and every target attack too, for the three scenarios of Zhao et al. 2018.
    `filter`: "none", "source_correct" or "both_correct", which looks at each pair; `keep`: the
    first so many of these. `runtime`,
    `layout`, `input_scale` and so on hold for all networks; those after the first take its pixel
    order and input contract where nothing else says them.

    Raises RelrobError; UsageError for options that the samples have settled.
    """
    leave_unguarded()
    begin = time.perf_counter()
    reads = input_options(constant(input_scale), constant(mean), constant(std), channels, output)
    how = HowRead(reads, layout, runtime, memory)
    choice = Choice(
        dataset,
        split,
        images,
        sample,
        target_label,
        fit_images,
        fit_split,
        classes,
        labels,
        range,
        images_layout,
    )
    full, kept = [] if reference is None else [str(reference)], _listed(samples)
    wanted = None if filter is None else Filter.of(filter)
    if keep is not None and keep < 1:
        raise UsageError(f"keep {keep}", "a whole number, 1 or more", "--keep 1000")
    sources, others = [*full, *_listed(source)], _listed(target)
    crafting = {"attack": attack, "seed": seed, **parameters}
    if kept:
        _refuse({"source": _listed(source) or None, **vars(choice), **crafting})
        found = _applied(kept, _once([*full, *others]), how, wanted, listener)
    elif not sources:
        raise UsageError("no source", "networks to attack, or --samples", "--source NET")
    else:
        asked = _asked(crafting, choice)
        attacking = _once([*sources, *(others if full else [])])
        targets = _once([*sources, *others])
        found = _crafted(asked, choice, attacking, targets, how, wanted, listener)
    known = [(each.network.sha256, each.network.runtime) for each in found.opened]
    made_by = [(each.origin.sha256, each.origin.runtime) for each in found.sets]
    columns = tuple(known.index(each) if each in known else -1 for each in made_by)
    cells = tuple(found.cells(wanted, keep))
    return TransferResult(
        tuple(each.network for each in found.opened),
        found.accuracies,
        tuple(found.sets),
        columns,
        cells,
        scenarios(cells, columns, 0) if full else (),
        time.perf_counter() - begin,
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """Sets of examples, open targets, the share of clean images that each target labels rightly,
    and `right[target][set]` (n,): which of the clean images of a set a target labels rightly."""

    sets: Sequence[AdversarialSet]
    opened: Sequence[Opened]
    accuracies: tuple[float, ...]
    right: Sequence[Sequence[Bools]]

    def cells(self, wanted: Filter | None, most: int | None) -> list[Cell]:
        """By source, then target. Raises UsageError."""
        return [
            cell(column, row, found, each, self.right[row][column], filter_of(wanted, found), most)
            for column, found in enumerate(self.sets)
            for row, each in enumerate(self.opened)
        ]


def _applied(
    paths: Sequence[str],
    networks: Sequence[str],
    how: HowRead,
    wanted: Filter | None,
    listener: Listener,
) -> _Found:
    """Sets that were kept, on networks. Raises UsageError, DatasetError, and ShapeError for sets of
    other images."""
    if not networks:
        raise UsageError("no target", "networks to apply the examples to", "--target NET")
    sets = [read_set(path, how.memory) for path in paths]
    shapes = sorted({found.shape for found in sets})
    if len(shapes) > 1:
        raise ShapeError(f"sets of images of {shapes}", "sets of one image shape")
    for found in sets:
        filter_of(wanted, found)
    opened = _opened(networks, data_of_set(sets[0]), how)
    right = []
    for each in opened:
        listener(Event("note", f"{each.network.path}: {sum(map(len, sets)):,} examples"))
        right.append([_right(each, found.images, found.labels) for found in sets])
    shares = tuple(float(np.concatenate(row).mean()) for row in right)
    return _Found(sets, opened, shares, right)


def _crafted(
    asked: Asked,
    choice: Choice,
    sources: Sequence[str],
    targets: Sequence[str],
    how: HowRead,
    wanted: Filter | None,
    listener: Listener,
) -> _Found:
    """Sets that are crafted now on `sources`, which are among the targets. Raises RelrobError."""
    by_source = None if wanted is Filter.BOTH_CORRECT else wanted
    chosen = source_filter(by_source or Filter.SOURCE_CORRECT)
    shown = choice.read(how, listener)
    opened = _opened(targets, shown, how)
    attacked = [opened[targets.index(path)] for path in sources]
    for each in attacked:
        asked.model(each.network)
    task = task_of(choice, asked, chosen, shown, opened[0].network, how, listener)
    sets = [made_set(task, each, listener).samples for each in attacked]
    images, truth = task.data.pixels(task.places.tolist()), task.data.labels[task.places]
    right, shares = [], []
    for each in opened:
        everywhere = np.zeros(len(task.data), np.bool_)
        everywhere[task.places] = _right(each, images, truth)
        right.append([everywhere[found.indices] for found in sets])
        shares.append(float(everywhere[task.places].mean()))
    return _Found(sets, opened, tuple(shares), right)


def _asked(crafting: Mapping[str, Any], choice: Choice) -> Asked:
    """The attack of some options. Raises UsageError."""
    options = given(dict(crafting))
    if "attack" not in options:
        raise UsageError("no attack", "--attack NAME, relrob attacks lists them", "--attack fgsm")
    asked = Asked.of(options.pop("attack"), options.pop("seed", 0), **options)
    choice.refuse_fit(asked)
    return asked


def _right(opened: Opened, images: Floats, truth: Ints) -> Bools:
    return np.asarray(labels_of(deployed_outputs(opened, images)) == truth)


def _opened(paths: Sequence[str], data: Images | Dataset, how: HowRead) -> list[Opened]:
    """The networks; those after the first take its pixel order and input contract where nothing
    else says them."""
    found: list[Opened] = []
    for path in paths:
        found.append(opened_file(path, data, how, found[0].network if found else None))
    return found


def _listed(paths: Paths) -> list[str]:
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]


def _once(paths: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(paths))


def _refuse(options: Mapping[str, Any]) -> None:
    """Refuse options that samples have settled. Raises UsageError."""
    names = [spelled(name) for name in given(dict(options)) if name != "source"]
    names = [*(["--source"] if options["source"] else []), *names]
    if names:
        raise UsageError(
            f"{', '.join(names)} with --samples, which hold the images and their examples",
            "--samples and --target alone, or --source with an attack",
            f"leave out {', '.join(names)}",
        )
