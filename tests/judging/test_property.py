"""Properties other than a label: judged by the runtime, point by point, or refused; never answered
as if they asked for a label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest

from relrob import registry
from relrob.deciding.decide import decide
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.errors import UsageError
from relrob.judging.folded import FoldedDense
from relrob.judging.judges import (
    FoldedJudge,
    NearestJudge,
    RuntimeJudge,
    judge_of,
    nearest_judge,
)
from relrob.judging.nearest import NearestDense
from relrob.networks.enclose import enclosure_of
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from tests.judging.tally_cases import CLASSES, all_masks, small
from tests.judging.test_judges import Counted
from tests.support import numpy_opened, random_dense

SIZES = (16, 12, CLASSES)


@dataclass(frozen=True)
class AtLeast:
    """Output `number` is `least` at least: a half-space of outputs, as in VNN-LIB or of a
    regression. Labels do not tell it."""

    number: int
    least: float
    knows_ties: bool = True

    def check(self, classes: int) -> None:
        assert self.number < classes

    def margins(self, outputs: Floats) -> Doubles:
        return np.asarray(outputs[:, self.number].astype(np.float64) - self.least)

    def fails(self, outputs: Floats, said: Ints) -> Bools:
        return np.asarray(~(outputs[:, self.number] >= self.least))

    def near_ties(self, outputs: Floats, scale: float, share: float) -> Ints:
        near = np.abs(self.margins(outputs)) < 1e-2
        return np.flatnonzero(near if self.knows_ties else np.ones(len(outputs), np.bool_))

    def described(self) -> tuple[str | int, ...]:
        return "AtLeast", self.number, repr(self.least)


def between(outputs: Floats, number: int, share: float = 0.3) -> AtLeast:
    """A property that fails on about a `share` of the points, and on none exactly at its end."""
    ordered = np.sort(outputs[:, number].astype(np.float64))
    at = int(share * len(ordered))
    return AtLeast(number, float(ordered[at - 1 : at + 1].mean()))


@pytest.mark.parametrize("seed", range(4))
def test_enumeration_counts_the_points_that_fail(seed: int) -> None:
    """Counts, transfer, margins and the witness, against plain Python over every point."""
    rungs = small(seed=seed)
    masks = all_masks(rungs)
    pair = [numpy_opened(random_dense(seed + at, SIZES), (4, 4, 1)) for at in (0, 100)]
    rows = [opened.evaluator.outputs(rungs.images(masks)) for opened in pair]
    wanted = between(rows[0], seed % CLASSES)
    query = Query(rungs, wanted, tuple(pair), Budget(600), counts=True)
    decision = decide(query, "enumerate")
    bad = [[float(row[wanted.number]) < wanted.least for row in each] for each in rows]
    said = [each.argmax(axis=1).tolist() for each in rows]
    assert 0 < sum(bad[0]) < len(masks)
    assert [found.effective for found in decision.each] == [sum(each) for each in bad]
    both = [at for at in range(len(masks)) if bad[0][at] and bad[1][at]]
    assert decision.transfer is not None
    assert decision.transfer.all.transferred == len(both)
    assert decision.transfer.all.same_class == sum(said[0][at] == said[1][at] for at in both)
    for verdict, each, fails in zip(decision.verdicts, rows, bad, strict=True):
        assert (verdict.status is Status.NOT_ROBUST) == any(fails)
        least = float(each[:, wanted.number].astype(np.float64).min() - wanted.least)
        assert verdict.margin == pytest.approx(least, abs=1e-6)


def test_a_property_that_holds_everywhere_is_robust_whatever_the_labels() -> None:
    rungs = small()
    opened = numpy_opened(random_dense(3, SIZES), (4, 4, 1))
    outputs = opened.evaluator.outputs(rungs.images(all_masks(rungs)))
    other = int(outputs[0].argmin())
    query = Query(rungs, AtLeast(other, float(outputs[:, other].min()) - 1), (opened,), Budget(600))
    assert decide(query, "enumerate").verdicts[0].status is Status.ROBUST
    label = replace(query, wanted=Label(other))
    assert decide(label, "enumerate").verdicts[0].status is Status.NOT_ROBUST
    assert query.digest != label.digest


@pytest.mark.parametrize("knows_ties", [True, False])
def test_points_near_the_end_of_a_property_run_alone(knows_ties: bool) -> None:
    """Batches change bits of the second output. A property that knows no ties has every image run
    alone."""
    rungs = small(radius="6", features=8)
    masks, dense = all_masks(rungs), random_dense(5, SIZES)
    alone, batched = Counted(dense, 1), Counted(dense, 100)
    opened = replace(numpy_opened(dense, (4, 4, 1)), evaluator=batched, replayer=alone)
    exact = Counted(dense, 1).outputs(rungs.images(masks))
    point = np.median(exact[exact[:, 1] > 0, 1][:51])
    # The point fails by the last bit, unless it runs in a batch, which lifts it.
    least = float(np.nextafter(point, np.float32(np.inf)))
    wanted = replace(AtLeast(1, least), knows_ties=knows_ties)
    assert point in exact[:, 1]
    seen = RuntimeJudge(opened, rungs, wanted).see(masks)
    assert seen.fails.tolist() == (exact[:, 1] < least).tolist()
    assert seen.labels.tolist() == exact.argmax(axis=1).tolist()
    assert (sum(alone.ran) == len(masks)) is not knows_ties


def test_what_knows_labels_alone_refuses() -> None:
    rungs, wanted = small(), AtLeast(0, 0.0)
    dense = random_dense(0, SIZES)
    opened = numpy_opened(dense, (4, 4, 1))
    enclosure = enclosure_of(opened.network)
    assert enclosure is not None
    for refused in (
        lambda: FoldedDense(dense, rungs, wanted),
        lambda: NearestDense((), 255, rungs, wanted, ()),
        lambda: FoldedJudge(opened, rungs, wanted, cast(FoldedDense, None)),
        lambda: NearestJudge(opened, rungs, wanted, enclosure),
        lambda: Query(rungs, wanted, (opened,), Budget(600)).label,
    ):
        with pytest.raises(UsageError, match=r"about AtLeast; accepted: a query about a label"):
            refused()
    assert isinstance(judge_of(opened, rungs, wanted), RuntimeJudge)
    assert isinstance(nearest_judge(opened, rungs, wanted, enclosure), RuntimeJudge)
    assert isinstance(judge_of(opened, rungs, Label(0)), FoldedJudge)


@pytest.mark.parametrize("kind", ["ladder", "linf"])
@pytest.mark.parametrize("holds", [True, False])
def test_every_solver_refuses_or_answers_the_property(kind: str, holds: bool) -> None:
    """The label is right everywhere, or nowhere, where the property says the opposite."""
    opened = numpy_opened(random_dense(1, SIZES), (4, 4, 1))
    ladder = small(radius="1/3")
    points: Any = ladder
    if kind == "linf":
        points = ball_set(Ball(Norm.LINF, Fraction(1, 10**6)), ladder.base.reshape(4, 4))
    outputs = opened.replayer.outputs(points.base[None])[0]
    number = int(outputs.argmin() if holds else outputs.argmax())
    least = float(outputs[number]) + (-100 if holds else 100)
    query = Query(points, AtLeast(number, least), (opened,), Budget(5), counts=kind == "ladder")
    expected = Status.ROBUST if holds else Status.NOT_ROBUST
    answered = set()
    for method in ("auto", *(entry.method for entry in registry.solvers(kind))):
        try:
            answered.add((method, decide(query, method).verdicts[0].status))
        except UsageError as error:
            assert "AtLeast" in str(error) or "takes" in str(error) or "fixed" in str(error)
    assert answered == ({("enumerate", expected)} if kind == "ladder" else set())
