"""Ties at the top: two outputs in quarters, so that which points tie is known by hand; and balls of
networks that have no bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.record import Record, Set
from relrob.domain.region import Ball, Ladder, Norm, Search
from relrob.networks.evaluator import labels, tied
from relrob.networks.open import Opened
from relrob.queries.query import Budget
from relrob.relative.classify import Setting, classify
from relrob.relative.search import SearchSetting, classify_search
from relrob.relative.sets import Effective
from tests.support import numpy_opened, random_dense

SHAPE = (1, 2, 1)
IMAGE = np.array([100, 164], np.uint8).reshape(SHAPE)  # 0.39 and 0.64, in quarters 0.5 and 0.75


@dataclass(frozen=True)
class Quarters:
    """Outputs are the two pixels, the second one with a bonus, rounded to quarters."""

    bonus: float
    runtime: str = "numpy"
    best_batch: int = 64

    def outputs(self, images: Floats) -> Floats:
        wide = images.astype(np.float64) + np.array([0, self.bonus])
        found: Floats = (np.rint(wide * 4) / 4).astype(np.float32)
        return found


def network(bonus: float) -> Opened:
    opened = numpy_opened(random_dense(0, (2, 2)), SHAPE, black_box=True)
    opened = replace(opened, network=replace(opened.network, black_box="made by hand"))
    return Opened(opened.network, Quarters(bonus), Quarters(bonus))


def record(radius: str, quantised: float, image: np.ndarray = IMAGE) -> Record:
    """The reference is robust: its second output is ahead by 2."""
    ladder = Ladder(Fraction(radius), Fraction(1, 4), 2, 1)
    setting = Setting(
        network(2.0), network(quantised), ladder, "enumerate", Budget(20), counts=True
    )
    return classify(setting, 0, image, 1).record


def test_a_witness_that_is_a_tie_is_said_to_be_one() -> None:
    """One move makes both outputs 0.75, or both 0.5; two moves put the first ahead."""
    found = record("1/4", 0.0)
    assert (found.set, found.quantised_margin, found.ties) == (Set.RFP, 0.0, "quantised")
    assert (record("1/2", 0.0).quantised_margin, record("1/2", 0.0).ties) == (-0.25, "")
    assert (record("1/4", 1.0).set, record("1/4", 1.0).ties) == (Set.RQFP, "")


def test_clean_ties_are_told_of_each_network() -> None:
    """At 0.5 and 0.5 the first output wins, so a tie of the reference is an image of L_ic."""
    even = np.array([128, 128], np.uint8).reshape(SHAPE)
    assert record("1/4", 0.0, even).ties == "clean quantised"
    ladder = Ladder(Fraction(1, 4), Fraction(1, 4), 2, 1)
    setting = Setting(network(0.0), network(1.0), ladder, "enumerate", Budget(20), counts=True)
    found = classify(setting, 0, even, 1).record
    assert (found.set, found.ties) == (Set.L_IC, "clean reference")


def test_a_search_tells_ties_too() -> None:
    region = Search(Fraction(1, 4), Fraction(1, 4), 1, 3, 200, strict=True)
    setting = SearchSetting((network(2.0), network(0.0)), region, Effective.CLOSEST)
    found = classify_search(setting, 0, IMAGE, 1).record
    assert (found.set, found.ties) == (Set.RFP, "quantised")


def test_points_without_a_run_are_counted_for_each_network() -> None:
    """Every point of a ladder of black boxes is run."""
    found = record("1/4", 1.0)
    assert (found.reference_proved, found.quantised_proved, found.proved) == (0, 0, 0)


def test_tied_rows() -> None:
    outputs = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [np.inf, np.inf, 0], [np.nan, 1, 1]])
    assert tied(outputs.astype(np.float32)).tolist() == [True, True, False, True, False]
    assert labels(outputs.astype(np.float32)).tolist() == [0, 1, 0, 0, -1]


def test_balls_without_bounds_end_fooled_or_unknown_and_say_why() -> None:
    ball = Ball(Norm.LINF, Fraction(1, 4))
    found = classify(Setting(network(2.0), network(0.0), ball, "auto", Budget(20)), 0, IMAGE, 1)
    assert (found.record.reference_verdict, found.record.quantised_verdict) == (
        "UNKNOWN",
        "NOT_ROBUST",
    )
    assert found.record.reason == (
        "reference: a search met no witness, and there are no bounds on this network (made by hand)"
    )
    assert (found.record.set, found.record.decided_by) == (Set.UNKNOWN, "witness,witness")
    (view,) = found.witnesses
    assert view.quantised_label == 0
