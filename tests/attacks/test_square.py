"""Square: what it can and cannot reach, its ball, its schedule, and outputs without a signal."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from relrob.attacks.attack import attacked
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.attacks.square import Square
from relrob.attacks.squares import eta
from relrob.domain.arrays import Floats
from relrob.domain.record import NO_SIGNAL
from relrob.domain.region import Norm
from tests.attacks.black_box import drawn, labelled, linear, plane, run, score
from tests.support import numpy_opened, random_dense


def test_it_reaches_exactly_the_images_of_a_plane_that_can_be_reached() -> None:
    """Its best point of an L-infinity ball is a corner, which signs of single pixels give."""
    weights, bias = plane()
    images = drawn(24)
    truth = np.abs(score(images, weights, bias)) / np.abs(weights).sum()
    eps = float(np.median(truth))
    found = run(Square(eps=eps, queries=1500, rescale=True), linear(), images)
    assert not found.success[truth > eps].any()
    assert found.success[truth < 0.9 * eps].all()


def test_it_reaches_a_plane_within_an_l2_ball() -> None:
    weights, bias = plane()
    images = drawn(24)
    truth = np.abs(score(images, weights, bias)) / np.linalg.norm(weights)
    eps = float(np.median(truth))
    found = run(Square(eps=eps, norm=Norm.L2, queries=1500, rescale=True), linear(), images)
    assert not found.success[truth > eps].any()
    assert found.success[truth < 0.5 * eps].all()


@pytest.mark.parametrize("eps", [0.1, 1 / 255, 8 / 255])
def test_its_images_lie_in_the_ball_as_exact_numbers(eps: float) -> None:
    found = run(Square(eps=eps, queries=30), linear(), drawn(6))
    for image, moved in zip(found.images, found.adversarial, strict=True):
        for old, new in zip(image.tolist(), moved.tolist(), strict=True):
            assert abs(Fraction(new) - Fraction(old)) <= Fraction(eps)
            assert 0 <= new <= 1


def test_its_images_lie_in_an_l2_ball() -> None:
    found = run(Square(eps=0.5, norm=Norm.L2, queries=30), linear(), drawn(6))
    assert (found.distances(Norm.L2) <= 0.5).all()
    assert (found.distances(Norm.L2) > 0.49).any()


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_labels_alone_are_no_signal_and_are_not_called_robust(norm: Norm) -> None:
    images = drawn(8)
    logits = linear()

    def one_hot(images: Floats) -> Floats:
        return np.asarray(np.eye(2, dtype=np.float32)[logits(images).argmax(axis=1)])

    weights, bias = plane()
    eps = 0.5 * float(np.abs(score(images, weights, bias)).min()) / np.abs(weights).sum()
    found = run(Square(eps=eps, norm=norm, queries=50), one_hot, images)
    assert not found.success.any()
    assert found.words == dict.fromkeys(range(8), NO_SIGNAL)
    assert run(Square(eps=eps, norm=norm, queries=50), logits, images).words == {}


def test_an_image_that_is_broken_by_labels_alone_has_no_remark() -> None:
    images, logits = drawn(8), linear()
    labels_only = np.eye(2, dtype=np.float32)
    found = run(Square(eps=0.9, queries=300), lambda x: labels_only[logits(x).argmax(1)], images)
    assert set(found.words) == set(np.flatnonzero(~found.success).tolist())
    assert found.success.any()


@pytest.mark.parametrize("loss", ["margin", "ce"])
def test_probabilities_tell_as_much_as_logits(loss: str) -> None:
    """A margin of probabilities near 1 is flat; that of their logarithms is the logits'."""
    dense = random_dense(2, (16, 20, 4))
    images = np.random.default_rng(0).random((20, 16), dtype=np.float32)
    opened = numpy_opened(dense, (4, 4, 1))

    def logits(x: Floats) -> Floats:
        return np.asarray(3 * opened.evaluator.outputs(x))

    def softmax(x: Floats) -> Floats:
        wide = np.exp(logits(x).astype(np.float64))
        return np.asarray(wide / wide.sum(axis=1, keepdims=True), np.float32)

    attack = Square(eps=0.15, queries=300, loss=loss, rescale=True)
    one, other = (run(attack, function, images, classes=4) for function in (logits, softmax))
    assert 3 < one.success.sum() < 20
    assert (one.success == other.success).mean() >= 0.9


def test_the_squares_shrink_as_autoattack_has_it() -> None:
    """The steps at which AutoAttack halves p, of 10,000; p = 0.8."""
    attack = Square()
    steps = {0: 1, 10: 1, 11: 2, 50: 2, 51: 4, 200: 4, 201: 8, 501: 16, 1000: 16, 1001: 32}
    steps |= {2001: 64, 4000: 64, 4001: 128}
    for step, parts in steps.items():
        assert attack.covered(step) == 0.8 / parts
    scaled = Square(queries=1000, rescale=True)
    assert scaled.covered(1) == 0.8
    assert scaled.covered(2) == 0.4
    assert scaled.covered(801) == 0.8 / 512


def test_the_bump_of_l2() -> None:
    """By hand: rectangles of weight 1 and 1/4 around the centre of one row, and around that of two
    rows; each half of length 1, then both."""
    row = np.array([0.25, 1.25, 0.25])
    two = np.array([[0.25, 0.25, 0.25], [0.25, 1.25, 0.25]])
    by_hand = np.concatenate([[row / np.linalg.norm(row)], -two / np.linalg.norm(two)])
    by_hand /= np.sqrt(2)
    assert np.allclose(eta(3, False), by_hand, atol=1e-6)
    assert np.allclose(eta(3, True), by_hand.T, atol=1e-6)
    assert np.isclose(np.linalg.norm(eta(8, False)), 1)


def test_it_breaks_as_many_as_art_does() -> None:
    pytest.importorskip("art", reason="needs pip install 'relrob[art]'")
    opened = numpy_opened(random_dense(5, (64, 24, 10)), (8, 8, 1))
    images = np.random.default_rng(3).random((40, 64), dtype=np.float32)
    goal = Goal(labelled(opened.evaluator.outputs, images))
    rates = []
    for text in ("square:eps=0.25:queries=150:rescale=true", "art:square:eps=0.25:max_iter=150"):
        full, attack = named(text)
        rates.append(attacked(attack, full, opened, images, goal).success.mean())
    assert 0.2 < rates[0] < 1
    assert rates[0] >= rates[1] - 0.1
