"""A study of stages whose files are made up: networks that are noise, squares for images, and
outcomes that follow from the width of the network. Nothing is trained or attacked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from relrob.attacks.adversarial_set import AdversarialSet, Origin
from relrob.attacks.selection import Filter
from relrob.attacks.set_file import set_bytes
from relrob.domain.region import Norm
from relrob.domain.stage import Stage
from relrob.store.stage_directory import folder_of, keep
from relrob.store.stage_document import Row
from relrob.store.stage_outcomes import FILE, Outcomes
from relrob.study.pipeline.campaign import wanted, write_index
from relrob.study.pipeline.spec import Pipeline

SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
MADE = {"relrob": "0", "numpy": "2", "processors": "2", "threads": "1"}
# A grey level that only clean images have: it must not be found in what is published.
CLEAN = 0.9


def made_study(pipeline: Pipeline, directory: Path, groups: tuple[str, ...]) -> None:
    """Finish the stages of these groups, and those that they read; the index has all."""
    directory.mkdir(parents=True, exist_ok=True)
    write_index(pipeline, directory)
    for number, stage in enumerate(wanted(pipeline, groups)):
        folder = folder_of(directory, stage.digest)
        folder.mkdir(parents=True)
        rows = [_MAKERS[stage.kind](stage, folder, np.random.default_rng(number))]
        keep(directory, stage, rows, 60.0, MADE)


def bits(stage: Stage) -> int:
    """The width of the network that a stage made or attacked, 32 where it is not quantised."""
    text = str(stage.axes.get("compress", ""))
    return int(text.split(":")[1]) if text.startswith(("dorefa", "q:")) else 32


def _train(stage: Stage, folder: Path, rng: np.random.Generator) -> Row:
    (folder / "net.keras").write_bytes(rng.bytes(1000))
    (folder / "recipe.txt").write_text(f"{stage.described}\n", encoding="utf-8")
    accuracy = round(0.99 + 1e-4 * rng.random(), 6)
    return {"accuracy": accuracy, "images": 10_000, "parameters": 100, "density": 1.0}


def _distribution(stage: Stage, folder: Path, rng: np.random.Generator) -> Row:
    grid = np.arange(-256, 257) / 64.0
    curve = np.clip(0.5 + grid / 8 + (grid >= 0) / bits(stage), 0, 1)
    told = {"grid": grid.tolist(), "weights": curve.tolist(), "activations": curve.tolist()}
    (folder / "cdf.json").write_text(json.dumps(told), encoding="utf-8")
    return {"weights_zero": 1 / bits(stage), "weights_largest": 1.0, "activations_zero": 0.5}


def _attack(stage: Stage, folder: Path, rng: np.random.Generator) -> Row:
    count, data = int(stage.options["images"]), str(stage.options["dataset"])
    places = np.sort(np.random.default_rng(0).choice(10_000, count, replace=False))
    shape = SHAPES[data]
    images = np.zeros((count, *shape), np.float32)
    images[:, 4:12, 4:12] = CLEAN
    moved = np.clip(images + rng.normal(0, 0.1, images.shape), 0, 1).astype(np.float32)
    labels = places % 10
    origin = Origin(
        str(stage.options["attack"]), Norm.L2, 0, "net.keras", "ab" * 32, "keras", "float32", "",
        data, "test", "cd" * 32, 10, True, Filter.NONE, "0",
    )  # fmt: skip
    flat, none = (count, -1), np.zeros(count, np.int64)
    adversarial, clean = moved.reshape(flat), images.reshape(flat)
    samples = AdversarialSet(
        origin, shape, adversarial, clean, places, labels, labels, (labels + 1) % 10, none, none
    )
    (folder / "adv.npz").write_bytes(set_bytes(samples))
    return _judged(folder, stage, rng, data, places)


def _evaluate(stage: Stage, folder: Path, rng: np.random.Generator) -> Row:
    source = stage.inputs["samples"]
    places = np.arange(int(source.options["images"]))
    return _judged(folder, stage, rng, str(source.options["dataset"]), places)


def _judged(folder: Path, stage: Stage, rng: np.random.Generator, data: str, places: Any) -> Row:
    """The row, and the outcomes that it is the means of; the fewer bits, the more are right."""
    right = rng.random(len(places)) < 0.2 + 0.5 / bits(stage)
    no = np.zeros(len(places), np.bool_)
    l0, l2, linf = rng.uniform(1, 4, (3, len(places))).astype(np.float32)
    told = Outcomes(data, places, right, no, ~no, ~right, no, l0, l2, linf)
    (folder / FILE).write_bytes(told.encode())
    row: Row = {"samples": len(places), "success": int((~right).sum())}
    for name in ("adversarial_accuracy", "targeted_rate", "l0", "l2", "linf", "transfer_rate"):
        each = told.each(name)
        assert each is not None
        row[name] = float(np.nanmean(each)) if not np.isnan(each).all() else None
    return row | {"unrecognisable": 0.0, "unrecognisable_in_top_2": 0}


_MAKERS = {
    "train": _train,
    "distribution": _distribution,
    "attack": _attack,
    "evaluate": _evaluate,
    "compress": _train,
}
