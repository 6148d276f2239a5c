"""Attack one network, as `relrob attack` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.attack_results import AttackResult
from relrob.api.crafting import Choice, source_filter, task_of
from relrob.api.subjects import HowRead, opened_file
from relrob.attacks.craft import Asked
from relrob.attacks.making import Made, made_set
from relrob.attacks.metrics import metrics_of
from relrob.attacks.recognition import recognition
from relrob.attacks.set_file import most_bytes, write_set
from relrob.domain.contract import constant, input_options
from relrob.domain.events import Listener, silent
from relrob.errors import UsageError
from relrob.networks.deployed import deployed_outputs
from relrob.networks.open import Opened
from relrob.study.pool import leave_unguarded
from relrob.system.files import check_writable


def attack(
    network: str | Path,
    attack: str,
    *,
    dataset: str | Path | None = None,
    split: str | None = None,
    images: str | Sequence[int] | None = None,
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
) -> AttackResult:
    """Attack a network and replay what was found, each image alone on its runtime.

    `attack`: a name with parameters, "pgd:eps=0.1:steps=40"; `parameters`: more of these, `eps=0.1`
    (`relrob.attacks()` lists them). `images`: text as for `relrob verify` ("0:100"), or indices, of
    `split` ("test") of `dataset` ("mnist"); `filter`: "source_correct" attacks those that the
    network labels rightly, "none" all; `sample`: so many of them, drawn by `seed`. `target_label`:
    the label or class name to reach, or "next", "random", "least". A universal perturbation is
    fitted on the images `fit_images` of `fit_split`, by default on those that are attacked. `out`:
    the .npz that keeps the examples. The rest: as for `relrob.compare_runtimes`.

    Raises RelrobError; UsageError for a parameter that the attack does not have.
    """
    leave_unguarded()
    chosen, asked = source_filter(filter), Asked.of(attack, seed, **parameters)
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
    choice.refuse_fit(asked)
    path = _checked(out)
    reads = input_options(constant(input_scale), constant(mean), constant(std), channels, output)
    how = HowRead(reads, layout, runtime, memory)
    shown = choice.read(how, listener)
    opened = opened_file(network, shown, how)
    asked.model(opened.network)
    task = task_of(choice, asked, chosen, shown, opened.network, how, listener)
    if path is not None:
        check_writable(path, most_bytes(task.most, int(np.prod(shown.image_shape))))
    made = made_set(task, opened, listener)
    if path is not None:
        write_set(path, made.samples)
    return _result(made, opened, path, shown.reading.class_names)


def _result(
    made: Made, opened: Opened, path: Path | None, class_names: tuple[str, ...]
) -> AttackResult:
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
        class_names,
    )


def _checked(out: str | Path | None) -> Path | None:
    """The file to write, before the work. Raises UsageError, StoreError."""
    if out is None:
        return None
    path = Path(out)
    if path.suffix != ".npz":
        raise UsageError(f"output {path}", "a file name that ends in .npz", "-o adv.npz")
    check_writable(path)
    return path
