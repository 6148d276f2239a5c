"""Attacks beside verdicts: what is found is what a plain forward pass says of it, inside is inside
by exact arithmetic, and inside a region that is called ROBUST it is an alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.fgsm import Fgsm
from relrob.attacks.goal import Goal
from relrob.attacks.pgd import Pgd
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic
from relrob.domain.record import AttackRecord
from relrob.domain.region import Ball, Ladder, Lattice, Norm, Region
from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.errors import AlarmError
from relrob.networks.open import Opened
from relrob.regions.ladder import rung_set
from relrob.regions.points import points_of
from relrob.relative.beside import Armed, Around, beside
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
ONE = random_dense(4, (36, 20, 4))
TWO = rounded(ONE, 3)
NETWORKS = (numpy_opened(ONE, SHAPE), numpy_opened(TWO, SHAPE))
MODELS = (DenseGradients(ONE), DenseGradients(TWO))
RADIUS = Fraction(1, 10)
LINF = Ball(Norm.LINF, RADIUS)


def verdict(status: Status) -> Verdict:
    """Of some solver."""
    unknown = status is Status.UNKNOWN
    image = np.zeros(36, np.float32)
    return Verdict(
        status,
        Arithmetic.FLOAT32,
        "numpy",
        "bounds",
        reason=Reason.TIME if unknown else None,
        witness=Witness(image, (), Fraction(0), 1, -1.0) if status is Status.NOT_ROBUST else None,
    )


def pixels(index: int) -> Floats:
    """A seeded image."""
    return np.random.default_rng(index).random(SHAPE).astype(np.float32)


def said(which: int, image: Floats) -> int:
    return int(NumpyEvaluator((ONE, TWO)[which]).outputs(image[None, :]).argmax())


def around(index: int, region: Region = LINF, status: Status = Status.UNKNOWN) -> Around:
    image = pixels(index)
    found = tuple(said(which, image.ravel()) for which in range(2))
    return Around(index, found[0], points_of(region, image), found, [verdict(status)] * 2)


def armed(attack: Any, text: str = "some") -> Armed:
    return Armed(text, attack, MODELS)


def both_right(region: Region = LINF) -> list[int]:
    """Indices of images that both networks get right."""
    return [i for i in range(60) if len(set(around(i, region).said)) == 1]


@dataclass(frozen=True)
class Proposes:
    """An attack that proposes what it is told."""

    make: Callable[[Floats], Floats]
    norm: Norm = Norm.LINF

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        return self.make(images)


def stepped(which: int, image: Around, eps: float) -> Floats:
    """FGSM by hand: x + eps sign(dJ/dx)."""
    target = np.eye(4, dtype=np.float32)[[image.label]]
    base = image.points.base
    _, slopes = MODELS[which].pulled(base[None, :], lambda logits: softmax(logits) - target)
    moved: Floats = np.clip(base + np.float32(eps) * np.sign(slopes[0]), 0, 1).astype(np.float32)
    return moved


def moved_by(proposal: Floats, base: Floats) -> Fraction:
    """The L-infinity distance, exactly."""
    pairs = zip(proposal, base, strict=True)
    return max(abs(Fraction(float(a)) - Fraction(float(b))) for a, b in pairs)


@dataclass(frozen=True)
class Draws:
    """An attack that keeps the first number that it draws."""

    starts: list[float]
    norm: Norm = Norm.L2

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        self.starts.append(rng.random())
        return images


def told(proposal: Floats) -> Armed:
    """An attack that proposes this image."""
    return Armed("told", Proposes(lambda images: proposal[None, :]), MODELS)


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.12, 0.4])
def test_what_is_found_is_true_of_a_plain_forward_pass(eps: float) -> None:
    """Each field against the networks in NumPy, and membership by fractions; at 0.1 a pixel may lie
    outside by its rounding, and is moved in."""
    kinds = set[tuple[bool, bool, bool]]()
    for index in both_right():
        image = around(index)
        for which in range(2):
            proposal = stepped(which, image, eps)
            found = beside([told(proposal)], NETWORKS, image, 0)[which]
            fooled = said(which, proposal) != image.label
            moved = moved_by(proposal, image.points.base)
            assert found.network == ("reference", "quantised")[which]
            assert found.found is fooled or found.inside
            assert found.on_model is fooled
            if moved <= RADIUS:
                assert found.inside is fooled
            if moved > RADIUS * Fraction(1001, 1000):
                assert not found.inside
            if fooled and not found.inside:
                assert found.distance == float(moved)
                assert found.label == said(which, proposal)
                assert found.transfers is (said(1 - which, proposal) != image.label)
            kinds.add((found.found, found.inside, bool(found.transfers)))
    inside = eps <= 0.1
    assert (True, inside, True) in kinds
    assert eps > 0.2 or (False, False, False) in kinds
    assert (True, not inside, True) not in kinds


def softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_an_image_inside_a_region_called_robust_is_an_alarm() -> None:
    beaten = [
        i for i in both_right() if beside([armed(Pgd(0.1))], NETWORKS, around(i), 0)[1].inside
    ]
    assert beaten
    words = f"image {beaten[0]}: the .* network gives .* at an image of pgd inside .* that bounds"
    with pytest.raises(AlarmError, match=words) as caught:
        beside([armed(Pgd(0.1), "pgd")], NETWORKS, around(beaten[0], status=Status.ROBUST), 0)
    assert caught.value.exit_code == 4
    assert "nothing is pronounced" in str(caught.value)
    for status in (Status.UNKNOWN, Status.NOT_ROBUST):
        beside([armed(Pgd(0.1))], NETWORKS, around(beaten[0], status=status), 0)


def test_the_alarm_names_the_network_whose_verdict_it_contradicts() -> None:
    for index in both_right():
        found = beside([armed(Pgd(0.1))], NETWORKS, around(index), 0)
        if [each.inside for each in found] == [False, True]:
            image = around(index)
            one_sided = replace(image, verdicts=[verdict(Status.ROBUST), verdict(Status.UNKNOWN)])
            beside([armed(Pgd(0.1))], NETWORKS, one_sided, 0)
            other = replace(image, verdicts=[verdict(Status.UNKNOWN), verdict(Status.ROBUST)])
            with pytest.raises(AlarmError, match="the quantised network"):
                beside([armed(Pgd(0.1))], NETWORKS, other, 0)
            return
    raise AssertionError("no image on which PGD fools the quantised network alone")


@pytest.mark.parametrize(
    "region",
    [
        LINF,
        Ladder(Fraction(1, 2), Fraction(1, 4), 8, 3),
        Lattice(Fraction(1, 2), Fraction(1, 4)),
        Ball(Norm.L1, Fraction(1, 100)),
        Ball(Norm.L0, Fraction(1)),
    ],
    ids=lambda region: region.kind,
)
def test_what_lies_outside_a_robust_region_is_no_alarm(region: Region) -> None:
    """All pixels are moved far: a distance, and no contradiction."""
    some = [around(i, region, Status.ROBUST) for i in both_right(region)[:6]]
    found = [each for image in some for each in beside([armed(Fgsm(0.6))], NETWORKS, image, 0)]
    assert any(each.found for each in found)
    assert not any(each.inside for each in found)


def wrong_in(region: Ladder, index: int) -> list[Floats]:
    """The points of a ladder that fool the quantised network, by running all of them."""
    rungs = rung_set(region, pixels(index))
    points = rungs.images(rungs.knapsack.masks(0, rungs.count))
    return [point for point in points if said(1, point) != around(index, region).label]


def test_a_witness_of_a_ladder_counts_as_inside() -> None:
    region = Ladder(Fraction(4), Fraction(1, 2), 8, 3)
    found_in = {index: wrong_in(region, index) for index in both_right(region)}
    index = next(index for index, wrong in found_in.items() if wrong)
    image, point = around(index, region), found_in[index][0]
    assert beside([told(point)], NETWORKS, image, 0)[1].inside
    base = image.points.base
    further = (base + np.float32(1.25) * (point - base)).astype(np.float32)
    found = beside([told(further)], NETWORKS, image, 0)[1]
    assert found.inside
    both = [moved_by(each, base) for each in (point, further) if said(1, each) != image.label]
    assert found.distance == float(min(both))
    back = (base - (point - base)).astype(np.float32)
    assert not beside([told(back)], NETWORKS, image, 0)[1].inside
    with pytest.raises(AlarmError):
        beside([told(point)], NETWORKS, replace(image, verdicts=[verdict(Status.ROBUST)] * 2), 0)


def test_no_network_is_attacked_where_it_is_wrong_already() -> None:
    for index in range(60):
        image = around(index)
        if image.said[1] != image.label:
            found = beside([armed(Fgsm(0.1))], NETWORKS, image, 0)
            assert [each.network for each in found] == ["reference"]
            return
    raise AssertionError("no image that the quantised network gets wrong")


def test_records_do_not_depend_on_other_images_and_follow_the_seed() -> None:
    """PGD starts at random: the same image and seed give the same record, another seed need not."""
    pgd = armed(Pgd(0.3, steps=1), "pgd")
    first = both_right()[:8]
    found = {i: beside([pgd], NETWORKS, around(i), 7) for i in first}
    assert {i: beside([pgd], NETWORKS, around(i), 7) for i in reversed(first)} == found
    assert {i: beside([pgd], NETWORKS, around(i), 8) for i in first} != found
    draws = Draws([])
    for index in first[:3]:
        beside([Armed("draws", draws, (None, None))], NETWORKS, around(index), 0)
    assert draws.starts[0::2] == draws.starts[1::2]
    assert len(set(draws.starts)) == 3


def test_a_crash_of_an_attack_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(images: Floats) -> Floats:
        raise ZeroDivisionError("by hand")

    arms = [Armed("fails", Proposes(fails), (None, None)), armed(Fgsm(0.1), "fgsm")]
    found = beside(arms, NETWORKS, around(both_right()[0]), 0)
    assert [each.attack for each in found] == ["fails", "fails", "fgsm", "fgsm"]
    assert found[0].remark == "stopped with an error (by hand)"
    assert (found[0].found, found[0].inside, found[0].on_model) == (False, False, None)
    assert "fails stopped with an error on image" in caplog.text


@dataclass(frozen=True)
class NoNumber:
    """A runtime that answers NaN away from one image."""

    base: Floats
    runtime: str = "numpy"
    best_batch: int = 1

    def outputs(self, images: Floats) -> Floats:
        out = np.full((len(images), 4), np.nan, np.float32)
        out[(images == self.base).all(axis=1)] = (0, 0, 0, 1)
        return out


def test_no_number_is_no_class_and_wrong() -> None:
    image = pixels(0)
    runs = NoNumber(image.ravel())
    opened = Opened(NETWORKS[0].network, runs, runs)
    robust = Around(0, 3, points_of(LINF, image), (3, 3), [verdict(Status.UNKNOWN)] * 2)
    found = beside([armed(Fgsm(0.05))], (opened, opened), robust, 0)
    assert [(each.inside, each.label, each.transfers) for each in found] == [(True, -1, True)] * 2


def test_a_record_that_contradicts_itself_does_not_exist() -> None:
    AttackRecord("a", "reference", True, 0.5, 3, None, False)
    for inside, distance, transfers in (
        (True, None, None),
        (False, 0.5, None),
        (False, None, True),
    ):
        with pytest.raises(ValueError, match="found"):
            AttackRecord("a", "reference", inside, distance, -1, None, transfers)
