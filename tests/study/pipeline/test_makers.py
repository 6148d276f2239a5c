"""Each published study from its file to its claims and figures, on a few images and an epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.api.pipeline import show_stages, stage_figures
from relrob.store.stage_directory import checked_file, finished
from relrob.store.stage_outcomes import FILE, decode
from relrob.study.pipeline.campaign import wanted, write_index
from relrob.study.pipeline.shelf import Shelf
from relrob.study.pipeline.spec import Pipeline, read_pipeline
from relrob.study.pipeline.work import work
from relrob.study.spec import builtin
from relrob_datasets import load
from relrob_datasets.dataset import Dataset
from relrob_datasets.manifest import Manifest

Made = Callable[[str, tuple[str, ...], dict[str, str]], tuple[Pipeline, Path]]
METRICS = ("adversarial_accuracy", "evasion_rate", "targeted_rate", "transfer_rate", "l0", "l2",
           "linf", "unrecognisable", "l2_recognisable")  # fmt: skip


def few(of: Dataset, count: int, name: str) -> Dataset:
    """The first images of MNIST, for CIFAR-10 as larger ones of three equal channels."""
    images: Any = of.images[:count]
    if name == "cifar10":
        images = np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))), 3, axis=3)
    return replace(of, name=name, images=images, labels=of.labels[:count], sha256="0" * 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Runs groups of a built-in study in this process, on few images of MNIST."""
    patch = pytest.MonkeyPatch()
    whole = {split: load("mnist", split) for split in ("train", "test")}

    def known(manifest: Manifest, split: str) -> Dataset:
        return few(whole[split], 600 if split == "train" else 200, manifest.name)

    def run(name: str, groups: tuple[str, ...], values: dict[str, str]) -> tuple[Pipeline, Path]:
        text = re.sub(
            r'(\[\[train\]\]\nname = ".*")', r"\1\nepochs = 1\nlimit = 240", builtin()[name]
        )
        for key, value in values.items():
            text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            assert count
        pipeline = read_pipeline(name, text, "quick")
        directory, shelf = tmp_path_factory.mktemp(name), Shelf()
        write_index(pipeline, directory)
        for stage in wanted(pipeline, groups):
            work(directory, stage, pipeline.kinds[stage.kind].target, shelf)
        return pipeline, directory

    # The package has a function of the module's name.
    patch.setattr(import_module("relrob_datasets.catalogue"), "load_known", known)
    yield run
    patch.undo()


def check(pipeline: Pipeline, directory: Path, groups: tuple[str, ...]) -> dict[str, Any]:
    """Means over the images of the file are the columns of the row; returns the document."""
    looked = 0
    for stage in wanted(pipeline, groups):
        done = finished(directory, stage.digest)
        assert done is not None
        if stage.kind not in ("attack", "evaluate"):
            continue
        outcomes = decode(checked_file(directory, done, FILE).read_bytes(), "")
        (row,) = done.rows
        assert len(outcomes.places) == row["samples"]
        for metric in METRICS:
            each = outcomes.each(metric)
            assert each is not None
            if row[metric] is None:
                continue
            assert np.nanmean(each) == pytest.approx(row[metric], abs=2e-6), (stage.group, metric)
            looked += 1
    assert looked
    return show_stages(directory)


def test_shrestha_and_its_pictures(made: Made) -> None:
    groups = ("mnist-fgsm", "mnist-boundary-way", "mnist-weights", "mnist-fgsm-small", "mnist-uap")
    few_ = {"seeds": "[0]", "runs": "[0, 1]", "bits": '["dorefa:1"]', "images": "8"}
    pipeline, directory = made("shrestha2024", groups, few_)
    document = check(pipeline, directory, groups)
    done = {each["group"]: each["done"] for each in document["groups"]}
    assert (done["mnist-fgsm"], done["mnist-weights"], done["mnist-cw"]) == (4, 2, 0)
    assert any(claim["claim"].startswith("Mnist A: 23.") for claim in document["claims"])
    drawn = {name.rpartition(".")[0] for name in stage_figures(directory)}
    assert drawn == {"attacks-by-bits-mnist", "boundary-way-mnist", "fgsm-small-mnist",
                     "weights-1-bit"}  # fmt: skip


def test_zhao_in_three_scenarios(made: Made) -> None:
    attacks = [f"lenet5-ifgsm-{end}" for end in ("full-comp", "comp-full", "apart")]
    groups = (*attacks, "lenet5-distribution")
    few_ = {"seeds": "[0, 1]", "densities": '["surgery:0.1"]', "widths": '["q:4:1"]'}
    pipeline, directory = made("zhao2018", groups, {**few_, "images": "8"})
    document = check(pipeline, directory, groups)
    rows = {each["group"]: each["rows"] for each in document["groups"]}
    apart = {(row["seed"], row["target.seed"]) for row in rows["lenet5-ifgsm-apart"]}
    assert apart == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert all(row["density"] < 0.2 for row in rows["lenet5-pruned"])
    names = {name for name in stage_figures(directory) if name.startswith("distributions")}
    assert names == {"distributions.svg", "distributions.pdf"}


def test_matachana_and_its_matrix(made: Made) -> None:
    groups = ("transfer", "targeted")
    text = builtin()["matachana2020"]
    models = re.findall(r"(?m)^(?:source|target) = (\[.*\])$", text)[0]
    few_ = {"runs": "[0]", "images": "20", "targets": "[3]", "targeted": '["full", "q2"]'}
    few_ |= {"source": '["full", "q2"]', "target": '["full", "q2"]'}
    assert '"pp4"' in models
    pipeline, directory = made(
        "matachana2020", groups, {**few_, "at_ten": '"sgd-uap:eps=10/255:epochs=1"'}
    )
    document = check(pipeline, directory, groups)
    rows = {each["group"]: each["rows"] for each in document["groups"]}
    assert [(r["source"], r["target"]) for r in rows["transfer"]] == [
        ("full", "full"), ("full", "q2"), ("q2", "full"), ("q2", "q2")
    ]  # fmt: skip
    assert {row["target_label"] for row in rows["targeted"]} == {3}
    assert json.dumps(document["claims"]).count("SVHN is not in this study") == 2
