"""HopSkipJump and Boundary: distances in closed form, ART's, starts and targets."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.attack import Attacked, attacked
from relrob.attacks.boundary import Boundary
from relrob.attacks.goal import Goal
from relrob.attacks.hop_skip_jump import HopSkipJump
from relrob.attacks.parameters import named
from relrob.domain.arrays import Floats
from relrob.domain.region import Norm
from tests.attacks.black_box import band, drawn, linear, plane, run, score
from tests.support import numpy_opened, random_dense


def test_hopskipjump_reaches_the_l2_distance_of_a_plane() -> None:
    weights, bias = plane()
    found = run(HopSkipJump(steps=25), linear(), drawn(10))
    truth = np.abs(score(found.images, weights, bias)) / np.linalg.norm(weights)
    gaps = found.distances(Norm.L2)
    assert (gaps >= truth * (1 - 1e-4)).all()
    assert np.median(gaps / truth) < 1.02
    assert (gaps / truth < 1.1).all()


def test_hopskipjump_reaches_the_linf_distance_of_a_plane() -> None:
    weights, bias = plane()
    found = run(HopSkipJump(steps=25, norm=Norm.LINF), linear(), drawn(10))
    truth = np.abs(score(found.images, weights, bias)) / np.abs(weights).sum()
    gaps = found.distances(Norm.LINF)
    assert (gaps >= truth * (1 - 1e-4)).all()
    assert np.median(gaps / truth) < 1.1


def test_both_reach_the_distance_of_a_two_layer_network() -> None:
    weights, bias = plane()
    half = 0.8
    images = drawn(20)
    images = images[np.abs(score(images, weights, bias)) < half - 0.05]
    truth = (half - np.abs(score(images, weights, bias))) / np.linalg.norm(weights)
    for attack, most in ((HopSkipJump(steps=25), 1.3), (Boundary(steps=200), 1.5)):
        found = run(attack, band(half=half), images)
        assert found.success.all()
        ratio = found.distances(Norm.L2) / truth
        assert (ratio >= 1 - 1e-4).all()
        assert np.median(ratio) < most


def test_boundary_walks_to_the_plane() -> None:
    weights, bias = plane()
    few, many = (run(Boundary(steps=steps), linear(), drawn(8)) for steps in (2, 150))
    truth = np.abs(score(many.images, weights, bias)) / np.linalg.norm(weights)
    assert np.median(many.distances(Norm.L2) / truth) < 1.2
    assert np.median(few.distances(Norm.L2) / truth) > 2


def test_the_last_bisection_ends_on_the_boundary() -> None:
    images = drawn(8)
    plain, finished = (
        run(Boundary(steps=5, finish=each), linear(), images) for each in (False, True)
    )
    weights, bias = plane()
    assert (finished.distances(Norm.L2) < plain.distances(Norm.L2)).all()
    height = np.abs(score(finished.adversarial, weights, bias))
    assert (height < 0.01 * np.abs(score(plain.adversarial, weights, bias))).all()
    assert (finished.queries - plain.queries == 10).all()


def _art(text: str, images: Floats) -> tuple[Attacked, Attacked]:
    """Our attack and ART's of the same steps, on one network."""
    opened = numpy_opened(random_dense(5, (16, 24, 3)), (4, 4, 1))
    goal = Goal(opened.evaluator.outputs(images).argmax(axis=1))
    name, steps = text.split(":")
    ours, theirs = named(f"{name}:steps={steps}"), named(f"art:{name}:max_iter={steps}")
    return (
        attacked(ours[1], ours[0], opened, images, goal),
        attacked(theirs[1], theirs[0], opened, images, goal),
    )


@pytest.mark.parametrize(
    ("text", "low", "high"), [("hopskipjump:8", 0.7, 1.02), ("boundary:15", 0.8, 1.1)]
)
def test_the_distances_are_those_of_art(text: str, low: float, high: float) -> None:
    pytest.importorskip("art", reason="needs pip install 'relrob[art]'")
    images = np.random.default_rng(3).random((24, 16), dtype=np.float32)
    ours, theirs = _art(text, images)
    both = ours.success & theirs.success
    assert ours.success.all() and both.sum() >= 12
    ratio = ours.distances(Norm.L2)[both].mean() / theirs.distances(Norm.L2)[both].mean()
    assert low < ratio < high
    assert ours.queries[both].mean() < 1.15 * theirs.queries[both].mean() + 30


def bright(images: Floats) -> Floats:
    """Class 1 for images whose mean is above 0.8, which uniform noise never is."""
    mean = images.mean(axis=1) - np.float32(0.8)
    return np.stack([np.zeros_like(mean), mean], axis=1)


@pytest.mark.parametrize("made", [HopSkipJump, Boundary])
def test_a_start_that_uniform_noise_misses_is_found_among_other_pictures(
    made: type[HopSkipJump] | type[Boundary],
) -> None:
    dark = 0.05 * drawn(4)
    alone = run(made(steps=3, start="uniform"), bright, dark)
    assert not alone.success.any()
    assert np.array_equal(alone.adversarial, dark)
    assert alone.queries.tolist() == [101] * 4
    assert run(made(steps=3), bright, dark).success.all()


@pytest.mark.parametrize("made", [HopSkipJump, Boundary])
def test_a_target_is_reached_from_another_image_of_the_call(
    made: type[HopSkipJump] | type[Boundary],
) -> None:
    images = np.random.default_rng(7).random((3, 16), dtype=np.float32)

    def near(images_: Floats) -> Floats:
        """Labels 1 and 2 in boxes around two images, which no picture of ours falls into."""
        one, two = (0.4 - np.abs(images_ - images[row]).max(axis=1) for row in (1, 2))
        return np.stack([np.zeros_like(one), one, two], axis=1)

    targets = np.array([2, 2, 1])
    found = run(made(steps=5), near, images, classes=3, targets=targets)
    assert found.found.tolist() == targets.tolist()
    apart = np.linalg.norm(images[[2, 2, 1]] - images, axis=1)
    assert (found.distances(Norm.L2) < 0.95 * apart).all()
