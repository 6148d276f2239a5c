"""Critical radii against referees of their own: every point of a ladder, the known distance of an
affine network, images drawn in proved regions; and solvers that lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.radius import Compared, Interval, RadiusRecord
from relrob.domain.region import Ball, Ladder, Norm, Region
from relrob.domain.verdict import Reason
from relrob.errors import AlarmError
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.queries.spots import Spots
from relrob.regions.nested import nest_of, placed
from relrob.relative.beside import Armed
from relrob.relative.radii import Radii
from relrob.relative.radius import RadiusSetting, measure, solvers_of
from tests import naive
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
ONE = random_dense(4, (36, 12, 4))
TWO = rounded(ONE, 4)
DENSE = (ONE, TWO)
NETWORKS = (numpy_opened(ONE, SHAPE), numpy_opened(TWO, SHAPE))
LADDER = Ladder(Fraction(16), Fraction(1), features=8, axes=4)
HOURS = 3600.0  # no test waits for it


def levels(index: int) -> Any:
    return np.random.default_rng(index).integers(0, 256, SHAPE, dtype=np.uint8)


def said(which: int, image: Floats) -> int:
    return int(NumpyEvaluator(DENSE[which]).outputs(image.reshape(1, -1)).argmax())


def label(index: int) -> int:
    return said(0, (levels(index) / np.float32(255)).astype(np.float32))


def setting(region: Any, precision: Fraction | None, **more: Any) -> RadiusSetting:
    given = {"solver": "auto", "seconds": HOURS, **more}
    return RadiusSetting(NETWORKS[0], NETWORKS[1], region, precision, **given)


def intervals(record: RadiusRecord) -> tuple[Interval, Interval]:
    assert record.reference is not None and record.quantised is not None
    return record.reference, record.quantised


@pytest.mark.parametrize("solver", ["auto", "enumerate"])
@pytest.mark.parametrize("index", range(8))
def test_radii_of_ladders_are_those_of_every_point(index: int, solver: str) -> None:
    image = levels(index)
    found = measure(setting(LADDER, None, solver=solver), index, image, label(index))
    every = list(naive.points(image, LADDER.radius, LADDER.step, 8, 4))
    costs = sorted({point.cost for point in every})
    for which, interval in enumerate(intervals(found.record)):
        wrong = [point.cost for point in every if said(which, point.image) != label(index)]
        assert interval.decided and not interval.reason
        assert interval.broken == min(wrong, default=None)
        below = [cost for cost in costs if not wrong or cost < min(wrong)]
        assert interval.proved == max(below, default=None)


def test_some_ladders_have_witnesses_and_some_have_none() -> None:
    ends = [
        interval.broken
        for index in range(8)
        for interval in intervals(
            measure(setting(LADDER, None), index, levels(index), label(index)).record
        )
    ]
    assert None in ends and len(set(ends)) > 4


@pytest.mark.parametrize("kind", [Norm.LINF, Norm.L1, Norm.L2])
def test_radii_of_an_affine_network_are_its_distance(kind: Norm) -> None:
    drawn = random_dense(9, (36, 3)).layers[0]
    image = (0.45 + 0.1 * np.random.default_rng(1).random(SHAPE)).astype(np.float32)
    outputs = image.reshape(-1) @ drawn.weights + drawn.bias
    true, margin = int(outputs.argmax()), np.diff(np.sort(outputs)[-2:])[0]
    # So near to the boundary that no pixel reaches black or white.
    bias = drawn.bias - (0.8 * margin * (np.arange(3) == true)).astype(np.float32)
    opened = numpy_opened(Dense((Layer(drawn.weights, bias, False),)), SHAPE)
    weights = drawn.weights.astype(float)
    outputs = image.reshape(-1).astype(float) @ weights + bias
    dual = {Norm.LINF: 1, Norm.L1: np.inf, Norm.L2: 2}[kind]
    known = min(
        (outputs[true] - outputs[k]) / np.linalg.norm(weights[:, true] - weights[:, k], dual)
        for k in range(3)
        if k != true
    )
    precision = Fraction(1, 1000)
    radii = RadiusSetting(opened, opened, Ball(kind, Fraction(2)), precision, "auto", HOURS)
    for interval in intervals(measure(radii, 0, image, true).record):
        assert interval.decided and interval.proved is not None and interval.broken is not None
        assert float(interval.proved) < known * (1 + 1e-5)
        assert known * (1 - 1e-5) < float(interval.broken)
        assert float(interval.broken - interval.proved) < 2 * float(precision)


@pytest.mark.parametrize("kind", [Norm.LINF, Norm.L1, Norm.L2])
def test_no_image_of_a_proved_region_is_wrong_and_every_witness_is(kind: Norm) -> None:
    rng, proved = np.random.default_rng(3), 0
    most = {Norm.LINF: Fraction(1, 4), Norm.L1: Fraction(5), Norm.L2: Fraction(1)}[kind]
    for index in range(3):
        image, true = levels(index), label(index)
        found = measure(setting(Ball(kind, most), most / 40), index, image, true)
        base = (image.reshape(-1) / np.float32(255)).astype(np.float32)
        for which, interval in enumerate(intervals(found.record)):
            radius = 0.999 * float(interval.proved or 0)
            order = {Norm.LINF: np.inf, Norm.L1: 1, Norm.L2: 2}[kind]
            for _ in range(300):
                way = rng.standard_normal(36) if kind is not Norm.LINF else rng.choice([-1, 1], 36)
                moved = base + radius * way / np.linalg.norm(way, order)
                assert said(which, np.clip(moved, 0, 1).astype(np.float32)) == true
            proved += radius > 0
        for view in found.witnesses:
            which = ("reference", "quantised").index(view.network)
            assert said(which, view.perturbed) != true
            moves = [
                abs(Fraction(float(a)) - Fraction(float(b)))
                for a, b in zip(view.perturbed, base, strict=True)
            ]
            broken = intervals(found.record)[which].broken
            assert broken is not None
            if kind is Norm.L2:
                assert broken**2 >= sum(move * move for move in moves)
            else:
                assert broken == (max(moves) if kind is Norm.LINF else sum(moves))
    assert proved >= 3


def test_a_network_that_is_wrong_on_the_image_itself_has_radius_0() -> None:
    index = next(i for i in range(200) if said(1, levels(i) / np.float32(255)) != label(i))
    found = measure(setting(LADDER, None), index, levels(index), label(index)).record
    quantised = intervals(found)[1]
    assert quantised.proved is None and quantised.broken == 0 and quantised.decided
    assert found.compared is Compared.LESS


def test_an_image_that_the_reference_gets_wrong_is_not_asked_about() -> None:
    found = measure(setting(LADDER, None), 0, levels(0), (label(0) + 1) % 4)
    assert found.record.reference is None and found.record.compared is None
    assert found.witnesses == ()


def test_nothing_is_proved_of_a_black_box() -> None:
    box = numpy_opened(ONE, SHAPE, black_box=True)
    box = type(box)(Network(**{**vars(box.network), "black_box": "a layer"}), *vars_of(box))
    asked = RadiusSetting(
        box, NETWORKS[1], Ball(Norm.LINF, Fraction(1, 2)), Fraction(1, 8), "auto", HOURS
    )
    interval = intervals(measure(asked, 1, levels(1), label(1)).record)[0]
    assert interval.proved == 0 and interval.proved_by == "clean image"
    assert not interval.decided or interval.broken is not None
    assert solvers_of("auto", asked.region, box.network) == ("auto",)


def vars_of(opened: Any) -> tuple[Any, Any, str]:
    return opened.evaluator, opened.replayer, opened.role


class Liar:
    """A solver that calls every region proved."""

    name, complete = "liar", False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[Any]) -> Findings:
        """A proof of nothing."""
        base = query.points.base.astype(np.float64)
        stays = (np.zeros_like(base),)
        return alone(tuple(Finding(True, (), None, 0, corners=stays) for _ in query.networks))


def weak(index: int, network: int) -> tuple[Radii, Floats]:
    """An image that the network gets wrong within 1/4 at a single corner, and that corner."""
    nest = nest_of(Ball(Norm.LINF, Fraction(1, 4)), Fraction(1, 40), levels(index))
    radii = Radii(nest, NETWORKS[network], label(index), Spots(index))
    radii.search("auto", Deadline(HOURS), 1.0)
    assert radii.witness is not None
    return Radii(nest, NETWORKS[network], label(index), Spots(index)), radii.witness.image


def test_a_witness_inside_a_region_that_was_called_proved_is_an_alarm() -> None:
    radii, image = weak(1, 0)
    radii.proved = radii.nest.top  # what a solver that lies, and no spot check, would leave
    with pytest.raises(AlarmError, match="inside the region"):
        radii.meet(radii.nest.top, image, "pgd")


@dataclass(frozen=True)
class Proposes:
    """An attack that proposes one image."""

    image: Floats
    norm: Norm = Norm.LINF

    def run(self, victim: Any, images: Floats, goal: Any, rng: Any) -> Floats:
        return np.repeat(self.image[None, :], len(images), 0)


def test_an_attack_that_breaks_a_proof_is_an_alarm_and_one_beyond_it_comes_nearer() -> None:
    _, image = weak(1, 0)
    arms = (Armed("some:x=1", Proposes(image), (None, None)),)
    region, unit = Ball(Norm.LINF, Fraction(1, 4)), Fraction(1, 40)
    honest = measure(setting(region, unit, arms=lambda _: arms), 1, levels(1), label(1))
    assert intervals(honest.record)[0].broken is not None
    with pytest.raises(AlarmError):
        measure(setting(region, unit, solver=Liar(), arms=lambda _: arms), 1, levels(1), label(1))


def test_a_witness_of_one_network_is_tried_on_the_other() -> None:
    radii, image = weak(1, 0)
    assert radii.meet(radii.nest.top, image, "pgd") and radii.witness is not None
    other = Radii(radii.nest, NETWORKS[0], label(1), Spots(1))
    other.lend(radii.witness)
    assert other.interval.broken == radii.interval.broken
    assert other.interval.broken_by == "transfer"


def test_time_that_is_up_leaves_an_interval_and_its_reason() -> None:
    found = measure(
        setting(Ball(Norm.LINF, Fraction(1)), Fraction(1, 2550), seconds=1e-9),
        1,
        levels(1),
        label(1),
    )
    for interval in intervals(found.record):
        assert interval.proved == 0 and not interval.decided and "time limit" in interval.reason


def test_a_longer_search_never_knows_less() -> None:
    nest = nest_of(Ball(Norm.LINF, Fraction(1, 4)), Fraction(1, 255), levels(2))
    radii = Radii(nest, NETWORKS[0], label(2), Spots(2))
    radii.search("bounds", Deadline(HOURS), 1.0)
    before = (radii.proved, radii.broken)
    radii.search("auto", Deadline(HOURS), 1.0)
    assert radii.proved >= before[0] and radii.broken <= before[1]
    assert radii.interval.decided


class Sees:
    """A solver that proposes one image of the network of the reference, and knows nothing else."""

    name, complete = "sees", False

    def __init__(self, image: Floats) -> None:
        self.image = image

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[Any]) -> Findings:
        """The image where it lies in the region, and of that network alone."""
        known = query.networks[0] is NETWORKS[0]
        point = placed(query.points, self.image) if known else None
        proposals = () if point is None else (point,)
        return alone((Finding(False, proposals, None, 0, stopped=Reason.UNBOUNDED),))


def test_measure_tries_the_witness_of_the_reference_on_the_quantised_network() -> None:
    """Its own solver finds nothing, so only the loan can break it."""
    _, image = weak(1, 0)
    far = np.clip(levels(1).reshape(-1) / 255 + 1.9 * (image - levels(1).reshape(-1) / 255), 0, 1)
    assert said(0, image) != label(1) and said(1, far.astype(np.float32)) != label(1)
    region, unit = Ball(Norm.LINF, Fraction(1, 2)), Fraction(1, 40)
    found = measure(setting(region, unit, solver=Sees(image)), 1, levels(1), label(1)).record
    reference, quantised = intervals(found)
    assert reference.broken_by == "sees" and quantised.broken_by == "transfer"
    assert quantised.broken is not None and reference.broken is not None
    assert reference.broken <= Fraction(1, 4)
    assert reference.proved == quantised.proved == 0, "what a solver leaves open is no proof"


def test_a_proof_of_a_region_that_holds_a_witness_is_an_alarm() -> None:
    radii, image = weak(1, 0)
    assert radii.meet(radii.nest.top, image, "pgd") and radii.broken < radii.nest.top
    with pytest.raises(AlarmError, match="inside the region"):
        radii._prove(radii.nest.top, "liar")


def test_a_gap_of_one_radius_is_not_decided() -> None:
    radii, image = weak(1, 0)
    assert radii.meet(radii.nest.top, image, "pgd")
    radii.proved = radii.broken - 2  # as if a solver had proved it
    assert not radii.interval.decided
    radii.proved = radii.broken - 1
    assert radii.interval.decided


def test_a_farther_witness_does_not_replace_a_nearer_one() -> None:
    radii, image = weak(1, 0)
    assert radii.meet(radii.nest.top, image, "pgd")
    near, base = radii.interval.broken, radii.nest.points(radii.nest.top).base
    farther = np.clip(base + 1.2 * (image - base), 0, 1).astype(np.float32)
    assert said(0, farther) != label(1)
    radii.meet(radii.nest.top, farther, "apgd")
    assert radii.interval.broken == near and radii.interval.broken_by == "pgd"
