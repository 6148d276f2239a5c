"""`relrob verify --export`: questions that another solver (cvc5) answers as enumeration does."""

from __future__ import annotations

import csv
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import z3

import relrob
import relrob_datasets
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.domain.region import Ladder
from relrob.encoding.encode import encode
from relrob.encoding.smtlib import smtlib
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.regions.ladder import rung_set
from relrob.regions.part import whole
from tests.solvers.test_smt_ladder import cvc5_says
from tests.support import NumpyEvaluator, random_dense, rounded, shared_data


def files(folder: Path) -> dict[str, object]:
    """Sixteen images and two networks; what `relrob.verify` needs."""
    one = random_dense(11, (36, 12, 3))
    images = np.random.default_rng(5).integers(0, 256, size=(16, 6, 6), dtype=np.uint8)
    pixels = images.reshape(16, 36).astype(np.float32) / np.float32(255)
    said = NumpyEvaluator(one).outputs(pixels).argmax(axis=1)
    np.savez(folder / "data.npz", images=images, labels=said, classes=3)
    (folder / "ref.onnx").write_bytes(to_onnx(one))
    (folder / "q.onnx").write_bytes(to_onnx(rounded(one, 4)))
    return {
        "reference": folder / "ref.onnx",
        "quantised": folder / "q.onnx",
        "radius": "1",
        "step": "1/8",
        "features": 8,
        "axes": 3,
        "dataset": str(folder / "data.npz"),
        "images": "all",
        "out": folder / "run",
    }


def of_balls(folder: Path) -> dict[str, object]:
    """The same, without what a ladder alone uses."""
    given = files(folder) | {"radius": "1/20"}
    return {
        name: value for name, value in given.items() if name not in ("step", "features", "axes")
    }


def test_cvc5_answers_as_enumeration_does(tmp_path: Path) -> None:
    pytest.importorskip("cvc5")
    given = files(tmp_path)
    relrob.verify(**given, solver="enumerate", export=tmp_path / "q.smt2")  # type: ignore[arg-type]
    with (tmp_path / "run" / "images.csv").open(encoding="utf-8", newline="") as table:
        records = list(csv.DictReader(table))
    answers: Counter[tuple[str, str]] = Counter()
    for record in records:
        for name in ("reference", "quantised"):
            text = (tmp_path / f"q-{record['index']}-{name}.smt2").read_text(encoding="utf-8")
            answers[cvc5_says(text), record[f"{name}_verdict"]] += 1
    assert sum(answers.values()) == 32
    assert answers["unsat", "NOT_ROBUST"] == 0 and answers["sat", "ROBUST"] <= 2
    assert min(answers["unsat", "ROBUST"], answers["sat", "NOT_ROBUST"]) >= 5


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    given = files(tmp_path)
    with pytest.raises(UsageError, match=r"ends in \.smt2"):
        relrob.verify(**given, export=tmp_path / "q.txt")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_z3_and_cvc5_agree_on_the_network_of_the_paper() -> None:
    """784-512-512-10, F = 10, 20 images: parts with at most 20 open ReLUs, asked about all classes,
    also what bounds rule out."""
    pytest.importorskip("cvc5")
    network = load_network(
        shared_data("duncan2020/mnist_weights_keras1.h5"), image_shape=(28, 28, 1), classes=10
    )
    data, runs, enclosure = (
        relrob_datasets.load("mnist", "test"),
        open_network(network),
        enclosure_of(network),
    )
    assert enclosure is not None
    answers: Counter[tuple[str, bool]] = Counter()
    for index in range(20):
        for radius, step in (("10", "1/4"), ("20", "1/2")):
            rungs = rung_set(Ladder(Fraction(radius), Fraction(step), 10), data.images[index])
            label = int(data.labels[index])
            bounds = LadderBounds(enclosure, rungs, label)
            part, found = whole(rungs), survey(bounds, whole(rungs), every=True)
            while found.unstable > 20 and len(part.free) > 1:
                part = part.split(max(part.free, key=lambda g: found.slopes[g]))[index % 2]
                found = survey(bounds, part, every=True)
            text = smtlib(encode(bounds, found))
            wrong = runs.outputs(rungs.images(part.masks(0, part.count))).argmax(axis=1) != label
            solver = z3.SolverFor("QF_LRA")
            solver.from_string(text)
            assert str(solver.check()) == cvc5_says(text)
            answers[cvc5_says(text), bool(wrong.any())] += 1
    assert answers["unsat", True] == 0
    assert answers["unsat", False] >= 10


@pytest.mark.parametrize("region", ["linf", "l1"])
def test_balls_are_exported_too(region: str, tmp_path: Path) -> None:
    pytest.importorskip("cvc5")
    given = of_balls(tmp_path) | {"quantised": None, "images": "1:4"}
    given |= {"quantise": "fixed:6", "region": region, "export": tmp_path / "q.smt2"}
    relrob.verify(**given)  # type: ignore[arg-type]
    with (tmp_path / "run" / "images.csv").open(encoding="utf-8", newline="") as table:
        records = list(csv.DictReader(table))
    answers: Counter[tuple[str, str]] = Counter()
    for record in records:
        for name in ("reference", "quantised"):
            text = (tmp_path / f"q-{record['index']}-{name}.smt2").read_text(encoding="utf-8")
            assert ("QF_LIA" in text) == (name == "quantised" and region == "linf")
            answers[cvc5_says(text), record[f"{name}_verdict"]] += 1
    assert answers["unsat", "NOT_ROBUST"] == 0
    assert answers["unsat", "ROBUST"] >= 2


def test_a_round_ball_is_not_exported(tmp_path: Path) -> None:
    given = of_balls(tmp_path) | {"images": "0:2"}
    with pytest.raises(UsageError, match="ladder, lattice, l1, linf"):
        relrob.verify(**given, region="l2", export=tmp_path / "q.smt2")  # type: ignore[arg-type]
