"""Branching on the signs of pre-activations: bounds on a part against images of it, verdicts beyond
plain bounds, certificates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob.bounding.ball import BallBounds
from relrob.bounding.relaxation import Phase
from relrob.certificates.checking.ball import _Ball
from relrob.certificates.checking.check import check
from relrob.certificates.checking.deployed import read_deployed
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.ball import ball_certificate
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Reason, Status
from relrob.networks.enclosure import float32_enclosure
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened
from relrob.queries.findings import PhaseProof
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from relrob_solvers.branch_ball import Phases
from tests.ball_cases import sampled
from tests.certificate_cases import fails, image_of, networks_in
from tests.networks.test_real import real
from tests.support import numpy_opened, random_dense

KINDS: tuple[Ball | Lattice, ...] = (
    Ball(Norm.LINF, Fraction(1, 10)),
    Ball(Norm.L1, Fraction(2)),
    Ball(Norm.L2, Fraction(1, 2)),
    Ball(Norm.L0, Fraction(2)),
    Lattice(Fraction(2), Fraction(1, 8)),
)
SMALL = (
    Ball(Norm.LINF, Fraction(1, 18)),
    Ball(Norm.L1, Fraction(1)),
    Ball(Norm.L2, Fraction(1, 4)),
)
SEEDS = st.integers(0, 10**9)


def forward(dense: Dense, images: Floats) -> list[Doubles]:
    """Pre-activations of every layer in float64."""
    values, found = images.astype(np.float64), []
    for layer in dense.layers:
        found.append(values @ layer.weights.astype(np.float64) + layer.bias)
        values = np.maximum(found[-1], 0)
    return found


class Part:
    """A random network and ball, and the part of it in which some neurons have the signs that they
    have at one image of it; images of the part, their margins, random slopes and pulls."""

    def __init__(self, seed: int, region: Ball | Lattice) -> None:
        self.rng = np.random.default_rng(seed)
        self.dense = random_dense(seed % 1000, (36, 10, 8, 4))
        self.ball, self.label = ball_set(region, image_of(seed)), int(self.rng.integers(4))
        images = sampled(self.ball, seed, 300)
        values = forward(self.dense, images)
        chosen = int(self.rng.integers(len(images)))
        self.phases, inside = [], np.ones(len(images), dtype=np.bool_)
        for sums in values[:-1]:
            fixed = self.rng.permutation(sums.shape[1])[: int(self.rng.integers(0, 4))]
            sides = np.zeros(sums.shape[1])
            sides[fixed] = np.where(sums[chosen, fixed] > 0, 1, -1)
            inside &= (sums[:, fixed] * sides[fixed] >= 0).all(axis=1)
            self.phases.append(Phase(sides, self.rng.exponential(0.5, len(sides)) * (sides != 0)))
        outputs = values[-1][inside]
        self.margins = outputs[:, [self.label]] - np.delete(outputs, self.label, axis=1)
        self.alphas: tuple[Doubles, ...] = tuple(
            self.rng.random(sums.shape[1:]) for sums in values[:-1]
        )


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(KINDS))
def test_bounds_on_a_part_hold_for_its_images(seed: int, region: Ball | Lattice) -> None:
    part = Part(seed, region)
    bounds = BallBounds(float32_enclosure(part.dense), part.ball, part.label)
    phases = tuple(part.phases)
    plain = bounds.margins(None, phases)
    alphas, tuned_phases = bounds.tuned(plain, phases)
    for found in (plain, bounds.margins(part.alphas, phases), bounds.margins(alphas, tuned_phases)):
        assert not found.empty, "the image whose signs these are"
        assert (part.margins >= found.low).all()
        assert (part.margins <= found.high).all()
    assert all((phase.betas >= 0).all() for phase in tuned_phases)


@settings(max_examples=40)
@given(SEEDS, st.sampled_from([region for region in KINDS if region.kind != "l2"]))
def test_what_the_checker_derives_on_a_part_holds_for_its_images(
    seed: int, region: Ball | Lattice
) -> None:
    """For any slopes and pulls, on the network over the reals."""
    part = Part(seed, region)
    facts = read_deployed(real_network(part.dense), to_onnx(part.dense))
    hull = _Ball(
        region.kind, region.radius, [Fraction(float(pixel)) for pixel in part.ball.base]
    ).hull()
    slopes = [
        {n: (float(alpha), float(1 - alpha)) for n, alpha in enumerate(layer)}
        for layer in part.alphas
    ]
    signs = [
        {int(n): (int(phase.sides[n]), float(phase.betas[n])) for n in np.flatnonzero(phase.sides)}
        for phase in part.phases
    ]
    derived = Derivation(facts, part.label).margin(hull, slopes, signs)
    assert derived is not None
    assert float(derived) <= part.margins.min()


def real_network(dense: Dense) -> Network:
    """Over the reals."""

    return real(dense).network


def test_pulls_help_and_a_part_without_images_is_seen() -> None:
    helped = 0
    for seed in range(30):
        part = Part(seed, KINDS[seed % 2])
        bounds = BallBounds(float32_enclosure(part.dense), part.ball, part.label)
        without = tuple(replace(phase, betas=np.zeros_like(phase.betas)) for phase in part.phases)
        plain = bounds.margins(None, without)
        alphas, tuned_phases = bounds.tuned(plain, without)
        with_betas = bounds.margins(alphas, tuned_phases).low.min()
        without_betas = bounds.margins(alphas, without).low.min()
        helped += bool(with_betas > without_betas + 1e-6)
        known = plain.every[0]
        for n in np.flatnonzero((known.low > 1e-3) | (known.high < -1e-3))[:2]:
            sides = without[0].sides.copy()
            sides[n] = -1 if known.low[n] > 0 else 1
            assert bounds.margins(None, (replace(without[0], sides=sides), *without[1:])).empty
    assert helped > 5


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    return networks_in(tmp_path_factory.mktemp("networks"))


def question(
    each: Opened, seed: int, region: Ball | Lattice
) -> tuple[Query[BallSet], NDArray[Any]]:
    image = image_of(seed)
    ball: BallSet = ball_set(region, image)
    label = int(each.replayer.outputs(ball.base[None, :]).argmax())
    return Query(ball, Label(label), (each,), Budget(3), certify=True), image


CASES = [
    ("float", "1/18", 2),
    ("float", "1/18", 4),
    ("dynamic", "1/25", 2),
    ("dynamic", "1/18", 7),
    ("int8", "1/25", 2),
]
Case = tuple[Path, Path, dict[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, networks: dict[str, Opened]) -> list[Case]:
    """Certificates of several leaves: (file, network's file, content)."""
    folder, found = tmp_path_factory.mktemp("certificates"), list[Case]()
    for kind, radius, seed in CASES:
        each, region = networks[kind], Ball(Norm.LINF, Fraction(radius))
        problem, image = question(each, seed, region)
        finding = decide(replace(problem, budget=Budget(600)), "branch").each[0]
        assert finding.proved
        assert isinstance(finding.proof, PhaseProof)
        assert len(finding.proof.leaves) > 1
        data = ball_certificate(
            each.network, region, image, problem.label, "reference", finding.proof
        )
        assert data is not None
        path = folder / f"{kind}-{len(found)}.json"
        path.write_bytes(data)
        found.append((path, Path(each.network.path), json.loads(data)))
    return found


def test_certificates_of_several_parts_are_valid(written: list[Case]) -> None:
    for path, file, content in written:
        report = check(path, file)
        assert report.valid, report.failure
        assert f"{len(content['proof']['leaves'])} parts of the region, none left out" in "\n".join(
            report.verified
        )


Leaves = list[dict[str, Any]]
FORGERIES: dict[str, Callable[[Leaves], object]] = {
    "a part left out": lambda leaves: leaves.pop(),
    "a part twice": lambda leaves: leaves.append(deepcopy(leaves[0])),
    "the other side": lambda leaves: leaves[0]["path"][-1].__setitem__(
        2, -leaves[0]["path"][-1][2]
    ),
    "another neuron": lambda leaves: leaves[0]["path"][-1].__setitem__(
        1, leaves[0]["path"][-1][1] + 1
    ),
    "a layer that is none": lambda leaves: leaves[0]["path"][-1].__setitem__(0, 7),
    "a path of nothing": lambda leaves: leaves[0].__setitem__("path", []),
    "a pull below 0": lambda leaves: leaves[0]["pulls"][leaves[0]["path"][-1][0]].__setitem__(
        0, -1e-12
    ),
    "a pull too many": lambda leaves: leaves[0]["pulls"][0].append(0.0),
    "no pulls": lambda leaves: leaves[0].__setitem__("pulls", []),
    "said to be empty": lambda leaves: leaves[0].__setitem__("margin", None),
    "a part for the whole": lambda leaves: leaves.__setitem__(
        slice(None), [{**leaves[0], "path": [], "pulls": [[] for _ in leaves[0]["pulls"]]}]
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_parts_fail(written: list[Case], tmp_path: Path, name: str) -> None:
    for _, file, content in written[::2]:
        other = deepcopy(content)
        FORGERIES[name](other["proof"]["leaves"])
        target = tmp_path / "forged.json"
        target.write_bytes(canonical({**other, "seal": seal(other)}))
        assert fails(target, file)


# What branching proves in a fraction of a second, and bounds alone do not.
BEYOND = {("float", 0), ("float", 2), ("float", 6), ("dynamic", 0), ("dynamic", 1)}


def test_verdicts_go_beyond_bounds_and_no_image_refutes_them(networks: dict[str, Opened]) -> None:
    beyond, found = set[tuple[str, int]](), Counter[Status]()
    for kind in ("float", "dynamic", "int8"):
        for seed in range(10):
            problem, _ = question(networks[kind], seed, SMALL[seed % 3])
            if (kind, seed) in BEYOND:
                problem = replace(problem, budget=Budget(120))
            verdict = decide(problem, "branch").verdicts[0]
            plain = decide(problem, "bounds").verdicts[0]
            assert {verdict.status, plain.status} != {Status.ROBUST, Status.NOT_ROBUST}
            if verdict.status is Status.ROBUST and plain.status is Status.UNKNOWN:
                beyond.add((kind, seed))
            found[verdict.status] += 1
            assert not verdict.disagreements
            if verdict.status is Status.ROBUST:
                outputs = networks[kind].replayer.outputs(sampled(problem.points, seed, 60))
                assert (outputs.argmax(axis=1) == problem.label).all()
            else:
                assert verdict.reason in (None, Reason.TIME, Reason.BOUNDS)
    assert beyond >= BEYOND
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST]) > 3


def test_no_time_is_unknown(networks: dict[str, Opened]) -> None:
    problem, _ = question(networks["float"], 4, Ball(Norm.LINF, Fraction(1, 18)))
    verdict = decide(replace(problem, budget=Budget(1e-9)), "branch").verdicts[0]
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.TIME)


def test_a_tie_without_hidden_layers_leaves_no_neuron_to_split() -> None:
    """Both outputs are the first pixel. The label is right on every image, since a tie gives the
    first label, and no bound is above 0."""
    weights = np.zeros((36, 2), np.float32)
    weights[0] = 1
    dense = Dense((Layer(weights, np.zeros(2, np.float32), relu=False),))
    for region in KINDS:
        query = Query(
            ball_set(region, image_of(0)), Label(0), (numpy_opened(dense, (6, 6, 1)),), Budget(5)
        )
        finding = Phases().solve(query).each[0]
        assert not finding.proved
        assert not finding.proposals
        assert finding.stopped is Reason.BOUNDS
