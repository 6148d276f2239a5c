"""Apply examples of some networks to others, as `relrob transfer` does."""

from __future__ import annotations

import logging
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
from relrob.attacks.parameters import whole_number
from relrob.attacks.selection import Filter
from relrob.attacks.set_file import read_set
from relrob.attacks.transfer import Cell, cell, filter_of, scenarios
from relrob.domain.arrays import Bools, Floats, Ints
from relrob.domain.contract import InputContract, constant, contract_of_text, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Layout, Network
from relrob.errors import (
    ClassCountError,
    DatasetError,
    ShapeError,
    UsageError,
    capped,
    how_many,
    printable,
)
from relrob.networks.deployed import deployed_outputs
from relrob.networks.evaluator import labels as labels_of
from relrob.networks.open import Opened
from relrob.study.options import spelled
from relrob.study.pool import leave_unguarded
from relrob_datasets.dataset import Dataset, Images

log = logging.getLogger(__name__)

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
    most = None if keep is None else whole_number("keep", keep, 1, "--keep 1000")
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
    known = [_identity(each.network) for each in found.opened]
    made_by = [_made_by(each) for each in found.sets]
    columns = tuple(known.index(each) if each in known else -1 for each in made_by)
    cells = tuple(found.cells(wanted, most))
    return TransferResult(
        tuple(each.network for each in found.opened),
        found.accuracies,
        tuple(found.sets),
        columns,
        cells,
        scenarios(cells, columns, 0) if full else (),
        time.perf_counter() - begin,
        found.class_names,
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """Sets of examples, open targets, the share of clean images that each target labels rightly,
    and `right[target][set]` (n,): which of the clean images of a set a target labels rightly.
    `class_names`: of images that were attacked now."""

    sets: Sequence[AdversarialSet]
    opened: Sequence[Opened]
    accuracies: tuple[float, ...]
    right: Sequence[Sequence[Bools]]
    class_names: tuple[str, ...] = ()

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
    _check_alike(sets)
    for found in sets:
        filter_of(wanted, found)
    contracts = {found.origin.contract for found in sets}
    orders = {found.origin.layout for found in sets}
    made_with = contract_of_text(contracts.pop()) if len(contracts) == 1 else None
    order = orders.pop() if len(orders) == 1 else None
    opened = _opened(networks, data_of_set(sets[0]), how, made_with, order)
    right = []
    for each in opened:
        listener(Event("note", f"{each.network.path}: {how_many(sum(map(len, sets)), 'example')}"))
        right.append([_right_of(each, found) for found in sets])
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
    return _Found(sets, opened, tuple(shares), right, shown.reading.class_names)


def _asked(crafting: Mapping[str, Any], choice: Choice) -> Asked:
    """The attack of some options. Raises UsageError."""
    options = given(dict(crafting))
    if "attack" not in options:
        raise UsageError("no attack", "--attack NAME, relrob attacks lists them", "--attack fgsm")
    asked = Asked.of(options.pop("attack"), options.pop("seed", 0), **options)
    choice.refuse_fit(asked)
    return asked


def _check_alike(sets: Sequence[AdversarialSet]) -> None:
    """Refuse sets whose images or labels mean different things. Raises ShapeError, DatasetError."""
    shapes = sorted({found.shape for found in sets})
    if len(shapes) > 1:
        raise ShapeError(f"sets of images of {shapes}", "sets of one image shape")
    ranges = sorted({found.origin.range or "pixels" for found in sets})
    if len(ranges) > 1:
        raise DatasetError(f"sets of values {' and '.join(ranges)}", "sets of one range")
    classes = sorted({found.origin.classes for found in sets if found.origin.classes_known})
    if len(classes) > 1:
        raise DatasetError(f"sets of {' and '.join(map(str, classes))} classes", "sets of one data")


def _right_of(opened: Opened, found: AdversarialSet) -> Bools:
    """Which clean images (n,) of a set the network labels rightly. One warning says where it gives
    others of the labels that it gave when the set was made. Raises ClassCountError."""
    network, most = opened.network, int(found.labels.max())
    if most >= network.classes:
        raise ClassCountError(
            f"{network.path} has {network.classes} outputs, a set has the label {most}",
            "an output a class",
        )
    said = labels_of(deployed_outputs(opened, found.images))
    others = int((said != found.clean).sum())
    if others and (network.sha256, network.runtime) == (found.origin.sha256, found.origin.runtime):
        log.warning(
            "%s made a set, and gives %s of its %s clean images other labels now: it read them "
            "otherwise, in the order %s, with %s; try: the same options",
            network.path,
            f"{others:,}",
            f"{len(found):,}",
            found.origin.layout.value,
            printable(capped(found.origin.contract)) or "no option of the input contract",
        )
    return np.asarray(said == found.labels)


def _identity(network: Network) -> tuple[str, ...]:
    """The file, who executes it, and how pixels become the values that it reads."""
    return network.sha256, network.runtime, network.contract.text(), network.layout.value


def _made_by(found: AdversarialSet) -> tuple[str, ...]:
    """The same of the source of a set."""
    origin = found.origin
    return origin.sha256, origin.runtime, origin.contract, origin.layout.value


def _right(opened: Opened, images: Floats, truth: Ints) -> Bools:
    return np.asarray(labels_of(deployed_outputs(opened, images)) == truth)


def _opened(
    paths: Sequence[str],
    data: Images | Dataset,
    how: HowRead,
    contract: InputContract | None = None,
    order: Layout | None = None,
) -> list[Opened]:
    """The networks; those after the first take its pixel order and input contract where nothing
    else says them, and the first one takes `contract` and `order`."""
    found: list[Opened] = []
    for path in paths:
        like = found[0].network if found else None
        found.append(opened_file(path, data, how, like, contract, order))
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
