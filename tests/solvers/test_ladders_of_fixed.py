"""Ladders on fixed-point networks: every solver against a referee who visits every point, and
certificates of what they prove."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob import registry
from relrob.bounding.ladder import LadderBounds
from relrob.certificates.checking.check import check
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.write import certificate
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import decide
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status
from relrob.networks.enclose import enclosure_of
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.open import Opened
from relrob.queries.findings import LadderProof
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.branch_ladder import Branch
from tests import naive
from tests.ball_cases import fixed_opened
from tests.bounding.test_ladder import some_part
from tests.certificate_cases import fails
from tests.networks.fixed.test_network import random_network

SEEDS = st.integers(0, 10**9)
SIZES = ((12, 3), (12, 5, 3), (12, 6, 4, 4))
REGIONS = (("1", "1/4"), ("2", "1/2"), ("1/2", "1/8"), ("4", "1"), ("3/2", "1/3"))


@dataclass(frozen=True, eq=False)
class Truth:
    """A question, its points as the referee lists them, and which of them the network gets
    wrong."""

    network: FixedNetwork
    opened: Opened
    image: NDArray[Any]
    rungs: RungSet
    label: int
    points: list[naive.NaivePoint]
    wrong: NDArray[np.bool_]

    def problem(self, counts: bool, certify: bool = False) -> Query[RungSet]:
        return Query(self.rungs, Label(self.label), (self.opened,), Budget(600), counts, certify)


def truth(seed: int, folder: Path) -> Truth:
    """Of eight networks the one that depends on the pixels most."""
    rng = np.random.default_rng(seed)
    sizes, bits = SIZES[seed % 3], int(rng.integers(2, 7))
    image = rng.integers(0, 256, (3, 4, 1), dtype=np.uint8)
    radius, step = (Fraction(text) for text in REGIONS[int(rng.integers(len(REGIONS)))])
    points = list(naive.points(image, radius, step, 6, 2))
    images = np.stack([point.image for point in points])
    tries = [random_network(int(rng.integers(10**6)), bits, sizes) for _ in range(8)]
    said = [network.evaluate(network.codes(images)).argmax(axis=1) for network in tries]
    best = (
        int(np.argmax([len(set(labels.tolist())) for labels in said])) if rng.random() < 0.6 else 0
    )
    label = int(said[best][0]) if rng.random() < 0.8 else int(rng.integers(sizes[-1]))
    rungs = rung_set(Ladder(radius, step, 6, 2), image)
    return Truth(
        tries[best],
        fixed_opened(tries[best], folder),
        image,
        rungs,
        label,
        points,
        said[best] != label,
    )


def check_solver(known: Truth, solver: Solver[RungSet], counts: bool) -> None:
    problem = known.problem(counts)
    assert solver.accepts(problem.points.region, [known.opened.network]) is None
    decision = decide(problem, solver)
    verdict, finding = decision.verdicts[0], decision.each[0]
    assert verdict.status is not (Status.ROBUST if known.wrong.any() else Status.NOT_ROBUST)
    assert not solver.complete or verdict.status is not Status.UNKNOWN
    assert verdict.disagreements == 0
    if finding.effective is not None:
        assert finding.effective == known.wrong.sum()
    if verdict.witness is not None:
        at = [
            number
            for number, point in enumerate(known.points)
            if point.moved == verdict.witness.moved
        ]
        assert known.wrong[at].all()
        assert np.array_equal(verdict.witness.image, known.points[at[0]].image)


@pytest.mark.parametrize("name", [entry.method for entry in registry.solvers("ladder")])
@settings(max_examples=20)
@given(seed=SEEDS, counts=st.booleans())
def test_every_solver_agrees_with_every_point(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, counts: bool
) -> None:
    check_solver(truth(seed, tmp_path_factory.getbasetemp()), solver_named(name), counts)


@settings(max_examples=40)
@given(SEEDS, st.booleans())
def test_branching_down_to_two_points_agrees_too(
    tmp_path_factory: pytest.TempPathFactory, seed: int, counts: bool
) -> None:
    check_solver(truth(seed, tmp_path_factory.getbasetemp()), Branch(leaf=2), counts)


@settings(max_examples=60)
@given(SEEDS)
def test_bounds_contain_every_point_of_a_part(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    known = truth(seed, tmp_path_factory.getbasetemp())
    enclosure = enclosure_of(known.opened.network)
    assert enclosure is not None
    part = some_part(known.rungs, seed)
    values = known.network.outputs(known.rungs.images(part.masks(0, 10**6))).astype(np.float64)
    last = enclosure.layers[-1]
    for label in range(known.network.classes):
        found = LadderBounds(enclosure, known.rungs, label).margins(part)
        assert (values >= np.clip(found.least, last.floor, last.cap)).all()
        assert (values <= np.clip(found.most, last.floor, last.cap)).all()


def test_all_kinds_of_questions_are_among_them(tmp_path: Path) -> None:
    kinds = {bool(truth(seed, tmp_path).wrong.any()) for seed in range(20)}
    assert kinds == {True, False}


def test_certificates_of_ladders_are_valid_and_forgeries_are_not(tmp_path: Path) -> None:
    made = bounded = 0
    for seed in range(60):
        known = truth(seed, tmp_path)
        decision = decide(known.problem(False, certify=True), Branch(leaf=2))
        proof = decision.each[0].proof
        if proof is None:
            continue
        assert isinstance(proof, LadderProof)
        assert not known.wrong.any()
        data = certificate(known.opened, known.rungs, known.image, known.label, "reference", proof)
        assert data is not None
        path = tmp_path / "one.json"
        path.write_bytes(data)
        report = check(path, tmp_path / "net.npz", run=True)
        assert report.valid, report.failure
        made, bounded = made + 1, bounded + any(leaf.bound for leaf in proof.leaves)
        content = json.loads(data)
        content["label"] = (known.label + 1) % known.network.classes
        path.write_bytes(canonical({**content, "seal": seal(content)}))
        assert fails(path, tmp_path / "net.npz", run=True)
    assert made > 10
    assert bounded > 3
