"""Images in batches where they have the bits of images alone, and alone where they have not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.networks.deployed import (
    COMPARED,
    SeenBatches,
    changes_bits,
    deployed_outputs,
    filled,
    labelled_outputs,
    with_near_ties_alone,
)
from relrob.networks.open import Opened
from tests.support import numpy_opened, random_dense


@dataclass
class Rounds:
    """Two outputs of an image: its sum, and a second one. In a batch of `least` or more, the first
    is moved from `place` on, by `by`; in a smaller one everywhere, by `small`. In any batch it is
    multiplied by `factor`."""

    best_batch: int = 1
    place: int = 1 << 30
    by: float = 0.0
    second: float = 0.0
    least: int = 0
    small: float = 0.0
    factor: float = 1.0
    ran: list[int] = field(default_factory=list)
    runtime: str = "rounds"

    def outputs(self, images: Floats) -> Floats:
        self.ran.append(len(images))
        found = np.stack([images.sum(axis=1), np.full(len(images), self.second)], axis=1)
        for start in range(0, len(images), self.best_batch):
            part = found[start : start + self.best_batch]
            part[:, 0] *= self.factor if len(part) > 1 else 1.0
            if 1 < len(part) < self.least:
                part[:, 0] += self.small
            else:
                part[self.place :, 0] += self.by
        return found.astype(np.float32)


def opened_on(batched: Rounds) -> tuple[Opened, Rounds]:
    """A network on it, and the evaluator of single images."""
    alone = Rounds(second=batched.second)
    opened = numpy_opened(random_dense(0, (4, 2)), (2, 2, 1))
    return replace(opened, evaluator=batched, replayer=alone), alone


def run(batched: Rounds, images: Floats) -> tuple[Floats, Rounds]:
    """The outputs, and the evaluator of single images."""
    opened, alone = opened_on(batched)
    return deployed_outputs(opened, images), alone


IMAGES = np.random.default_rng(3).random((300, 4), dtype=np.float32) + np.float32(0.01)


@pytest.mark.parametrize("place", [0, 40, 99])
def test_other_bits_anywhere_in_a_batch_run_every_image_alone(place: int) -> None:
    found, alone = run(Rounds(best_batch=100, place=place, by=1e-3, second=-1), IMAGES)
    assert np.array_equal(found, Rounds(second=-1).outputs(IMAGES))
    assert alone.ran == [COMPARED, 300]


def test_equal_bits_run_in_batches() -> None:
    found, alone = run(Rounds(best_batch=100, second=-1), IMAGES)
    assert np.array_equal(found, Rounds(second=-1).outputs(IMAGES))
    assert alone.ran == [COMPARED]


def test_images_near_a_tie_always_run_alone() -> None:
    """Here a batch moves nothing but an image between those that are compared."""
    images = IMAGES[:100].copy()
    images[1] = 0.25
    found, alone = run(Rounds(best_batch=100, second=1), images)
    assert alone.ran[1] >= 1
    assert found[1].tolist() == [1, 1]
    assert alone.ran[1] < 20


def test_a_runtime_that_takes_one_image_is_not_asked_twice() -> None:
    batched = Rounds(best_batch=1)
    found, alone = run(batched, IMAGES)
    assert batched.ran == [] and alone.ran == [300]
    assert len(found) == 300


def test_other_bits_in_a_small_batch_count_as_well() -> None:
    """Few images run in a batch of `COMPARED`, which may round in a way of its own."""
    opened, _ = opened_on(Rounds(best_batch=100, second=-1, least=100, small=1e-3))
    assert changes_bits(opened, IMAGES[:100])
    assert SeenBatches().change(opened, IMAGES[:100]) is True
    assert np.array_equal(
        deployed_outputs(opened, IMAGES[:100]), Rounds(second=-1).outputs(IMAGES[:100])
    )


def test_the_first_batch_that_shows_something_is_remembered() -> None:
    opened, alone = opened_on(Rounds(best_batch=100, second=-1))
    seen = SeenBatches()
    assert seen.change(opened, IMAGES[: COMPARED - 1]) is True
    assert alone.ran == []
    assert seen.change(opened, IMAGES[:100]) is False
    assert seen.change(opened, IMAGES[:5]) is False
    assert seen.change(opened, IMAGES) is False
    assert alone.ran == [COMPARED, COMPARED]
    moved, _ = opened_on(Rounds(best_batch=100, place=0, by=1e-3, second=-1))
    other = SeenBatches()
    assert other.change(moved, IMAGES) is True
    assert other.change(moved, IMAGES[:5]) is True


def test_images_that_show_nothing_are_not_believed() -> None:
    """Black images have the same bits in a batch, where no neuron is active; others have not."""
    black = np.zeros((COMPARED, 4), np.float32)
    opened, _ = opened_on(Rounds(best_batch=100, factor=1 + 1e-6, second=-1))
    assert not changes_bits(opened, black)
    assert SeenBatches().change(opened, black) is True


def test_one_logit_near_zero_runs_alone() -> None:
    """Beside its 0 it looks sure, however small it is: other images tell how large logits are."""
    opened, alone = opened_on(Rounds(best_batch=100, by=-2e-6, place=0, second=0))
    one = replace(opened, network=replace(opened.network, dense=None, head="logit"))
    images = np.concatenate([IMAGES[:4], np.full((4, 4), 2.5e-7, np.float32)])
    expected = Rounds(second=0).outputs(images)
    assert (one.evaluator.outputs(images)[4:, 0] < 0).all() and (expected[4:, 0] > 0).all()
    found = with_near_ties_alone(one, one.evaluator.outputs(images), images)
    assert np.array_equal(found[4:], expected[4:])
    assert alone.ran == [COMPARED, 4]


@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_few_images_fill_a_batch(count: int) -> None:
    images = filled(IMAGES[:count])
    assert len(images) == max(count, COMPARED)
    assert np.array_equal(images[:count], IMAGES[:count])
    assert (images[count:] == IMAGES[0]).all()


def labelled(batched: Rounds, images: Floats) -> tuple[Floats, Rounds]:
    opened, alone = opened_on(batched)
    return labelled_outputs(opened, images), alone


def test_rounding_in_a_batch_changes_no_label_that_is_no_near_tie() -> None:
    """Outputs are of the size of 2; a near tie is a gap of 2 / 1024."""
    found, alone = labelled(Rounds(best_batch=100, by=1e-5, place=0, second=-1), IMAGES)
    assert alone.ran == [COMPARED]
    assert np.array_equal(found.argmax(axis=1), Rounds(second=-1).outputs(IMAGES).argmax(axis=1))
    assert not np.array_equal(found, Rounds(second=-1).outputs(IMAGES))


def test_images_of_small_margin_run_alone_where_a_batch_rounds_otherwise() -> None:
    """Where it gives the same bits, near ties alone do."""
    sums = IMAGES.sum(axis=1)
    tie = float(np.median(sums))
    found, alone = labelled(Rounds(best_batch=100, by=1e-5, place=0, second=tie), IMAGES)
    near = np.abs(sums - tie) <= 0.1 * np.maximum(sums, tie)
    assert 0 < near.sum() < 150
    assert alone.ran == [COMPARED, near.sum()]
    assert np.array_equal(found[near], Rounds(second=tie).outputs(IMAGES)[near])
    _, alone = labelled(Rounds(best_batch=100, second=tie), IMAGES)
    tied = np.abs(sums - tie) <= 2.0**-10 * np.maximum(sums, tie)
    assert alone.ran == ([COMPARED, tied.sum()] if tied.any() else [COMPARED])


@pytest.mark.parametrize("place", [0, 40, 99])
def test_more_than_rounding_in_a_batch_runs_every_image_alone(place: int) -> None:
    found, alone = labelled(Rounds(best_batch=100, place=place, by=1e-3, second=-1), IMAGES)
    assert np.array_equal(found, Rounds(second=-1).outputs(IMAGES))
    assert alone.ran == [COMPARED, 300]
