"""Judges against the runtime that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Arithmetic, Dense
from relrob.judging.folded import FoldedDense, Judged
from relrob.judging.judges import FoldedJudge, RuntimeJudge, judge_of
from relrob.networks.evaluator import NEAR
from relrob.queries.properties import Label
from tests.judging.tally_cases import (
    CLASSES,
    LABEL,
    all_masks,
    small,
)
from tests.support import NumpyEvaluator, numpy_opened, random_dense


@pytest.mark.parametrize("softmax", [False, True])
def test_both_judges_give_the_runtimes_labels(softmax: bool) -> None:
    rungs = small(radius="6", features=8)
    masks = all_masks(rungs)
    for seed in range(5):
        opened = numpy_opened(random_dense(seed, (16, 12, CLASSES), softmax), (4, 4, 1))
        outputs = opened.evaluator.outputs(rungs.images(masks)).astype(np.float64)
        by_runtime, by_folding = (
            RuntimeJudge(opened, rungs, Label(LABEL)),
            judge_of(opened, rungs, Label(LABEL)),
        )
        assert isinstance(by_folding, FoldedJudge)
        for rows in (
            slice(0, 3),
            slice(None),
            slice(5, 6),
        ):  # fewer again: rows of an earlier block must not show
            for each in (by_runtime, by_folding):
                seen = each.see(masks[rows])
                assert seen.labels.tolist() == outputs[rows].argmax(axis=1).tolist()
                best = np.delete(outputs[rows], LABEL, axis=1).max(axis=1)
                assert np.allclose(seen.margins, outputs[rows, LABEL] - best, atol=1e-4)


@pytest.mark.parametrize(
    ("arithmetic", "dense"), [(Arithmetic.INTEGER, True), (Arithmetic.FLOAT32, False)]
)
def test_only_float_mlps_are_folded(arithmetic: Arithmetic, dense: bool) -> None:
    opened = numpy_opened(random_dense(0, (16, 12, CLASSES)), (4, 4, 1), black_box=not dense)
    opened = replace(opened, network=replace(opened.network, arithmetic=arithmetic))
    assert isinstance(judge_of(opened, small(), Label(LABEL)), RuntimeJudge)


@dataclass(frozen=True)
class Said:
    """Folded arithmetic that says the same whatever the points: one answer for each row asked."""

    judged: Judged

    def judge(self, masks: Bools) -> Judged:
        assert len(masks) == len(self.judged.labels)
        return self.judged


@pytest.mark.parametrize("probabilities", [False, True])
def test_thin_points_go_to_the_runtime_and_only_they(probabilities: bool) -> None:
    """Labels of thin points are the runtime's; their margins too, where it gives logits, else their
    sign."""
    rungs = small()
    opened = numpy_opened(random_dense(10, (16, 12, CLASSES), softmax=probabilities), (4, 4, 1))
    masks = all_masks(rungs)
    outputs = opened.evaluator.outputs(rungs.images(masks)).astype(np.float64)
    label = int(outputs[0].argmax())
    right, other = (
        np.flatnonzero((outputs.argmax(axis=1) == label) == same) for same in (True, False)
    )
    rows = np.concatenate([right[:3], other[:3]])
    assert len(rows) == 6
    folded = np.array([0.25, -0.25, np.nan] * 2, dtype=np.float32)
    for close in (
        np.ones(len(rows), dtype=np.bool_),
        np.arange(len(rows)) % 2 == 0,
        np.zeros(len(rows), np.bool_),
    ):
        said = Judged(np.full(len(rows), 7, dtype=np.int64), folded, close)
        judge = FoldedJudge(opened, rungs, Label(label), cast(FoldedDense, Said(said)))
        seen = judge.see(masks[rows])
        runtime = outputs[rows]
        assert seen.close_calls == close.sum()
        assert seen.labels.tolist() == np.where(close, runtime.argmax(axis=1), 7).tolist()
        best = np.delete(runtime, label, axis=1).max(axis=1)
        for at in range(len(rows)):
            if not close[at]:
                wanted = float(folded[at])
            elif not probabilities:
                wanted = float(runtime[at, label] - best[at])
            elif rows[at] in right:
                wanted = 0.25 if at % 3 == 0 else 0.0
            else:
                wanted = -0.25 if at % 3 == 1 else 0.0
            assert seen.margins[at] == pytest.approx(wanted, abs=1e-5, nan_ok=True)


@dataclass
class Counted:
    """The network in NumPy, which counts what it runs. Batches of another size than 1 or `exact`
    make the second output a little larger."""

    dense: Dense
    best_batch: int
    exact: tuple[int, ...] = ()
    runtime: str = "counted"
    ran: list[int] = field(default_factory=list)

    def outputs(self, images: Floats) -> Floats:
        self.ran.append(len(images))
        alone = [NumpyEvaluator(self.dense).outputs(row[None]) for row in images]
        found = np.concatenate(alone)
        if self.best_batch > 1 and len(images) not in self.exact:
            found[:, 1] *= np.float32(1 + 1e-6)
        return found


@pytest.mark.parametrize("exact", [(), (64,), (64, 70), (63, 64, 70)])
def test_close_calls_have_the_bits_of_images_alone(exact: tuple[int, ...]) -> None:
    """Whatever the sizes of batches that change them: 70 points are the first batch, then few."""
    rungs = small(radius="6", features=8)
    masks = all_masks(rungs)[:70]
    dense = random_dense(5, (16, 12, CLASSES))
    alone, batched = Counted(dense, 1), Counted(dense, 100, exact)
    opened = replace(numpy_opened(dense, (4, 4, 1)), evaluator=batched, replayer=alone)
    expected = Counted(dense, 1).outputs(rungs.images(masks)).astype(np.float64)
    best = np.delete(expected, LABEL, axis=1).max(axis=1)
    for rows in (slice(0, 9), slice(None), slice(0, 9), slice(20, 60)):
        judge = RuntimeJudge(opened, rungs, Label(LABEL), close=True)
        seen = judge.see(masks[rows])
        assert seen.labels.tolist() == expected[rows].argmax(axis=1).tolist()
        assert np.array_equal(seen.margins, expected[rows, LABEL] - best[rows])
    # A new judge asks nothing that an earlier one of the same network has seen.
    asked = {
        (): [70],
        (64,): [70],
        (64, 70): [70, 64, 63],
        (63, 64, 70): [70, 64, 63, 64, 64, 63, 70, 64, 64],
    }
    assert batched.ran == asked[exact]


@dataclass(frozen=True)
class Wide:
    """The label with near ties up to `gap`, or a sixteenth of it where as much is asked."""

    label: int
    gap: float

    def check(self, classes: int) -> None:
        Label(self.label).check(classes)

    def margins(self, outputs: Floats) -> Doubles:
        return Label(self.label).margins(outputs)

    def fails(self, outputs: Floats, said: Ints) -> Bools:
        return Label(self.label).fails(outputs, said)

    def near_ties(self, outputs: Floats, scale: float, share: float) -> Ints:
        top = np.sort(outputs.astype(np.float64))[:, -2:]
        return np.flatnonzero(top[:, 1] - top[:, 0] <= self.gap * share / NEAR)

    def described(self) -> tuple[str | int, ...]:
        return Label(self.label).described()


@pytest.mark.parametrize("exact", [(), (63, 64, 70)])
@pytest.mark.parametrize("close", [False, True])
def test_fewer_images_are_near_a_tie_where_batches_were_seen_to_change_no_bit(
    exact: tuple[int, ...], close: bool
) -> None:
    """Where they do change bits, the images near a tie run alone, or all of them."""
    rungs = small(radius="6", features=8)
    masks = all_masks(rungs)[:70]
    dense = random_dense(5, (16, 12, CLASSES))
    images = rungs.images(masks)
    gaps = np.diff(np.sort(Counted(dense, 1).outputs(images).astype(np.float64))[:, -2:])[:, 0]
    gap = float(np.median(gaps))
    alone, batched = Counted(dense, 1), Counted(dense, 100, exact)
    opened = replace(numpy_opened(dense, (4, 4, 1)), evaluator=batched, replayer=alone)
    seen = RuntimeJudge(opened, rungs, Wide(LABEL, gap), close, compared=True).see(masks)
    expected = Counted(dense, 1).outputs(images)
    near = (gaps <= (gap / 16 if exact else gap)).sum()
    compared = [64, 64] if exact else [64]
    assert alone.ran == [*compared, *([70] if close and not exact else [near] if near else [])]
    assert seen.labels.tolist() == expected.argmax(axis=1).tolist()
