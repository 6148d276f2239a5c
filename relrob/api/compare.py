"""The runtimes of a file compared, as `relrob runtimes` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relrob.api.subjects import chosen_images
from relrob.audit.classes import SKILL
from relrob.audit.runtime_report import RuntimeReport
from relrob.audit.runtimes import SAMPLE, SLOW, Sampling, compare
from relrob.domain.arrays import Ints
from relrob.domain.contract import InputOptions, constant, input_options
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import NetworkError, UsageError
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.sniff import sniff
from relrob.study.data import in_units, labelled
from relrob_datasets.dataset import Images
from relrob_datasets.first import class_names, load_images_guarded
from relrob_datasets.names import naming
from relrob_datasets.read_as import ReadAs


def compare_runtimes(
    network: str | Path,
    *,
    dataset: str = "mnist",
    split: str = "test",
    images: str | Sequence[int] = "all",
    runtimes: str | Sequence[str] = (),
    sample: str | int = "auto",
    seed: int = 0,
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
) -> RuntimeReport:
    """The labels of a file on each runtime that executes it, image by image.

    `images`: text as for `relrob verify`, or indices. `runtimes`: names, by default all that can
    execute the format. `sample`: "auto" gives runtimes above 1 ms an image a sample of 1,000; a
    number gives every runtime a sample of so many; "all" gives none one. `seed` draws the sample.
    `classes`, `labels`, `range` and `images_layout`: how the data are read (docs/data.md);
    `labels="reference"` is for images without labels. `input_scale`, `mean`, `std`, `channels`,
    `output`: the input contract (docs/inputs.md). `memory`: GiB that the first reading of a file
    may take.

    A runtime that is not there, or that refuses the file, is named in the report with its reason.
    Raises RelrobError.
    """
    how = _sampling(str(sample), seed)
    reads = input_options(constant(input_scale), constant(mean), constant(std), channels, output)
    asked = tuple(runtimes.split(",") if isinstance(runtimes, str) else runtimes)
    names = tuple(name.strip() for name in asked if name.strip())
    known = class_names(None if classes is None else str(classes), memory)
    shown = load_images_guarded(dataset, split, memory, ReadAs(known, labels, range, images_layout))
    for sentence in shown.reading.sentences:
        listener(Event("note", sentence))
    opened = _network(network, shown, names, layout, in_units(reads, shown), memory)
    data = labelled(shown, opened)
    chosen = chosen_images(data, images)
    places = tuple(int(index) for index in chosen)
    report = compare(opened, data, names, listener, images=places, sampling=how, memory=memory)
    if told := _near_chance(report, data.labels[chosen]):
        listener(Event("note", told))
    return report


def _near_chance(report: RuntimeReport, labels: Ints) -> str:
    """A hint where no runtime is right much more often than the most frequent class; else ""."""
    chance = float(np.bincount(labels).max() / len(labels))
    best = max((share for share in report.accuracy.values() if share is not None), default=1.0)
    if chance == 1 or (best - chance) / (1 - chance) >= SKILL:
        return ""
    return (
        f"at most {best:.1%} of the labels are right, the most frequent class is {chance:.1%} of "
        "them: a network that reads pixels otherwise needs --layout chw, --input-scale, --mean and "
        "--std, or --channels bgr; relrob audit tries them"
    )


def _sampling(sample: str, seed: int) -> Sampling:
    """The words of `--sample`. Raises UsageError."""
    if seed < 0:
        raise UsageError(f"seed {seed}", "a whole number, 0 or more", "--seed 0")
    if sample in ("auto", "all"):
        return Sampling(SAMPLE, seed, SLOW if sample == "auto" else float("inf"))
    if not (sample.isascii() and sample.isdigit() and len(sample) < 10):
        raise UsageError(f"sample {sample!r}", "auto, all or a number of images", "--sample 1000")
    return Sampling(int(sample), seed, 0.0)


def _network(
    path: str | Path,
    data: Images,
    names: Sequence[str],
    layout: str,
    inputs: InputOptions,
    memory: float | None,
) -> Network:
    """The file on the first of the runtimes that reads and runs it in a child; by default those of
    `.tflite` files in turn, because TFLM runs files that LiteRT refuses."""
    asked: dict[str, Any] = {
        "image_shape": data.image_shape,
        "classes": data.classes,
        "more_classes": not data.classes_known,
        "layout": layout,
        "inputs": inputs,
    }
    several = sniff(Path(path)) == "tflite"
    others = ("builtin", "reference", "tflm") if several else ()
    turns: tuple[str | None, ...] = tuple(names) or (None, *others)
    first: NetworkError | UsageError | None = None
    for runtime in turns:
        try:
            with naming(data):
                try_network(path, memory=memory, runtime=runtime, **asked)
            return load_network(path, runtime=runtime, **asked)
        except (NetworkError, UsageError) as error:
            first = first or error
    raise first or UsageError("no runtime", "one or more")
