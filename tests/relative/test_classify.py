"""Every field of a record and of a witness comes from the network that it names: two networks that
differ in everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from relrob.domain.arrays import Bools
from relrob.domain.network import Network
from relrob.domain.record import COUNTS_CUT, Set
from relrob.domain.region import Ladder, Region
from relrob.domain.verdict import Reason
from relrob.networks.evaluator import margins
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, Share, Transfer
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from tests.support import NumpyEvaluator, numpy_opened, random_dense

SHAPE = (6, 6, 1)
LADDER = Ladder(Fraction(4), Fraction(1, 2), 7, 3)
IMAGE = np.random.default_rng(3).integers(0, 256, size=SHAPE, dtype=np.uint8)
TRANSFER = Transfer(Share(50, 40, 30), Share(9, 8, 7), Share(6, 5, 4))


@dataclass(frozen=True)
class Told:
    """A solver that answers what it is given."""

    findings: Findings
    name: str = "told"
    complete: bool = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        return self.findings


@dataclass(frozen=True)
class Pair:
    """Two networks with the same clean label, the ladder, and masks that fool one, the other, both
    or none."""

    reference: Opened
    quantised: Opened
    rungs: RungSet
    label: int
    only_reference: Bools
    only_quantised: Bools
    both: Bools
    none: Bools


@pytest.fixture(scope="module")
def pair() -> Pair:
    rungs = rung_set(LADDER, IMAGE)
    masks = rungs.knapsack.masks(0, rungs.count)
    images = rungs.images(masks)
    networks = [random_dense(seed, (36, 12, 3)) for seed in range(60)]
    said = [NumpyEvaluator(dense).outputs(images).argmax(axis=1) for dense in networks]
    for one in range(60):
        for two in range(60):
            label = int(said[one][0])
            first, second = said[one] != label, said[two] != label
            kinds = (first & ~second, ~first & second, first & second, ~first & ~second)
            if int(said[two][0]) == label and all(kind.any() for kind in kinds):
                opened = [numpy_opened(networks[k], SHAPE) for k in (one, two)]
                found = [masks[np.flatnonzero(kind)[-1]] for kind in kinds]
                return Pair(opened[0], opened[1], rungs, label, *found)
    raise AssertionError("no such pair of networks")


def setting(pair: Pair, findings: Findings, rule: Effective = Effective.CLOSEST) -> Setting:
    return Setting(
        pair.reference, pair.quantised, LADDER, Told(findings), Budget(600), rule, counts=True
    )


def fooled(mask: Bools, effective: int | None, margin: float, close_calls: int) -> Finding:
    return Finding(False, (mask,), margin, 11, effective=effective, close_calls=close_calls)


def test_every_field_is_the_right_networks(pair: Pair) -> None:
    each = (fooled(pair.only_reference, 50, -7.5, 13), fooled(pair.only_quantised, 45, -6.5, 17))
    result = classify(setting(pair, Findings(each, TRANSFER, 21)), 4, IMAGE, pair.label)
    record = result.record
    assert (record.index, record.label, record.reference_label, record.quantised_label) == (
        4,
        *[pair.label] * 3,
    )
    assert (record.reference_effective, record.quantised_effective) == (50, 45)
    assert (record.transferred, record.same_class) == (40, 30)
    assert (record.closest_effective, record.closest_transferred) == (9, 8)
    assert (record.reference_margin, record.quantised_margin) == (-7.5, -6.5)
    assert (record.points, record.evaluated, record.proved) == (
        pair.rungs.count,
        21,
        pair.rungs.count - 21,
    )
    assert (record.thin, record.disagreements, record.decided_by, record.reason) == (
        13,
        0,
        "told,told",
        "",
    )
    for view, mask, name in zip(
        result.witnesses,
        (pair.only_reference, pair.only_quantised),
        ("reference", "quantised"),
        strict=True,
    ):
        image = pair.rungs.images(mask[None, :])
        outputs = [opened.replayer.outputs(image) for opened in (pair.reference, pair.quantised)]
        assert (view.network, view.index, view.label, view.shape) == (name, 4, pair.label, SHAPE)
        assert np.array_equal(view.perturbed, image[0])
        assert np.array_equal(view.original, pair.rungs.base)
        assert (view.reference_label, view.quantised_label) == tuple(
            int(o.argmax()) for o in outputs
        )
        shown = (view.reference_margin, view.quantised_margin)
        assert shown == tuple(float(margins(o, pair.label)[0]) for o in outputs)
        assert Fraction(view.cost) == pair.rungs.cost(mask)
        assert view.moved == tuple(int(g) for g in np.flatnonzero(mask))


@pytest.mark.parametrize(
    ("rule", "share", "expected"),
    [
        (Effective.CLOSEST, Transfer(Share(9, 4, 0), Share(2, 2, 0), Share(1, 0, 0)), Set.R0),
        (Effective.FARTHEST, Transfer(Share(9, 4, 0), Share(2, 2, 0), Share(1, 0, 0)), Set.RQ),
        (Effective.ALL, Transfer(Share(9, 4, 0), Share(2, 2, 0), Share(1, 0, 0)), Set.MIXED),
        (Effective.CLOSEST, Transfer(Share(9, 9, 0), Share(3, 1, 0), Share(1, 1, 0)), Set.MIXED),
    ],
)
def test_the_rule_chooses_its_share(
    pair: Pair, rule: Effective, share: Transfer, expected: Set
) -> None:
    each = (fooled(pair.both, share.all.effective, -1, 0), fooled(pair.both, 9, -1, 0))
    found = classify(setting(pair, Findings(each, share, 5), rule), 0, IMAGE, pair.label)
    assert found.record.set is expected


@pytest.mark.parametrize(("which", "expected"), [("only_reference", Set.RQ), ("both", Set.R0)])
def test_without_counts_the_witness_is_tried_on_the_quantised_network(
    pair: Pair, which: str, expected: Set
) -> None:
    each = (fooled(getattr(pair, which), None, -1, 0), fooled(pair.only_quantised, None, -1, 0))
    record = classify(setting(pair, Findings(each, None, 5)), 0, IMAGE, pair.label).record
    assert record.set is expected
    assert (record.transferred, record.closest_effective, record.proved) == (None, None, 0)


@pytest.mark.parametrize("rule", Effective)
@pytest.mark.parametrize("cut", [(True, False), (False, True), (True, True), (False, False)])
def test_a_set_that_rests_on_one_witness_says_that_counts_were_ended(
    pair: Pair, cut: tuple[bool, bool], rule: Effective
) -> None:
    first = fooled(pair.both, None, -1, 0)
    each = (replace(first, cut=cut[0]), replace(first, cut=cut[1]))
    record = classify(setting(pair, Findings(each, None, 5), rule), 0, IMAGE, pair.label).record
    assert record.set is Set.R0
    assert record.reason == (COUNTS_CUT if any(cut) else "")
    # A robust quantised network takes no perturbation over: no count could say otherwise.
    sure = Finding(True, (pair.none,), 0.5, 3, effective=0)
    found = Findings((replace(first, proposals=(pair.only_reference,), cut=True), sure), None, 5)
    record = classify(setting(pair, found, rule), 0, IMAGE, pair.label).record
    assert (record.set, record.reason) == (Set.RQ, "")


@pytest.mark.parametrize("solver", ["auto", "branch", "enumerate"])
def test_counts_without_time_for_them_are_said_to_be_ended(pair: Pair, solver: str) -> None:
    asked = Setting(pair.reference, pair.quantised, LADDER, solver, Budget(1e-6), counts=True)
    record = classify(asked, 0, IMAGE, pair.label).record
    verdicts = {record.reference_verdict, record.quantised_verdict}
    assert record.transferred is None
    assert (record.reason == COUNTS_CUT) == (verdicts == {"NOT_ROBUST"})
    assert record.reason
    assert classify(replace(asked, counts=False), 0, IMAGE, pair.label).record.reason != COUNTS_CUT
    whole = classify(replace(asked, budget=Budget(600)), 0, IMAGE, pair.label).record
    assert (whole.reason, whole.transferred is None) == ("", False)


def test_reasons_and_disagreements_of_both_networks_are_kept(pair: Pair) -> None:
    late = Finding(False, (), 1.0, 3, stopped=Reason.TIME)
    loose = Finding(False, (), 2.0, 3, stopped=Reason.BOUNDS)
    record = classify(setting(pair, Findings((late, loose), None, 3)), 0, IMAGE, pair.label).record
    assert record.set is Set.UNKNOWN
    assert record.reason == f"reference: {Reason.TIME.value}; quantised: {Reason.BOUNDS.value}"
    wrong = (fooled(pair.none, 1, -1, 0), fooled(pair.none, 1, -1, 0))
    record = classify(setting(pair, Findings(wrong, TRANSFER, 3)), 0, IMAGE, pair.label).record
    assert (record.set, record.disagreements) == (Set.UNKNOWN, 2)
    assert record.reason.count(Reason.REPLAY.value) == 2


def test_one_network_undecided_leaves_points_unproved(pair: Pair) -> None:
    sure = Finding(True, (pair.none,), 0.5, 3, effective=0)
    for each in (
        (sure, fooled(pair.only_quantised, None, -1, 0)),
        (sure, Finding(False, (), 1, 3, stopped=Reason.TIME)),
    ):
        assert (
            classify(setting(pair, Findings(each, None, 3)), 0, IMAGE, pair.label).record.proved
            == 0
        )
    both = classify(setting(pair, Findings((sure, sure), TRANSFER, 3)), 0, IMAGE, pair.label).record
    assert (both.set, both.proved) == (Set.RQFP, pair.rungs.count - 3)
