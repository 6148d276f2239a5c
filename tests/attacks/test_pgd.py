"""PGD, APGD-CE and APGD-T: in their balls, against ART and closed forms, seeded."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.apgd_run import AutoPgd
from relrob.attacks.attack import distances
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.attacks.projection import Around, ends, steepest
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Norm
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from tests.attacks.art_nets import art_classifier
from tests.attacks.floats import floats
from tests.attacks.test_steps import DENSE, art_images, cases, same, tried
from tests.support import random_dense

ALL = ("pgd", "apgd-ce", "apgd-t")
NORMS = (Norm.LINF, Norm.L2)


def linear(seed: int = 0) -> Dense:
    """A linear network of two classes among four: distances to the boundary are known."""
    weights = np.zeros((36, 4), np.float32)
    weights[:, 0] = np.random.default_rng(seed).standard_normal(36)
    weights[:, 1] = -weights[:, 0]
    return Dense((Layer(weights, floats([0, 0, -50, -60]), relu=False),))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ALL)
def test_a_linear_network_breaks_beyond_its_distance_and_not_before(name: str, norm: Norm) -> None:
    dense = linear()
    rng = np.random.default_rng(1)
    # Images so far inside [0,1] that no clip matters.
    images = (0.5 + 0.1 * rng.uniform(-1, 1, (40, 36))).astype(np.float32)
    logits = DenseGradients(dense).logits(images).astype(np.float64)
    direction = 2 * dense.layers[0].weights[:, 0].astype(np.float64)
    dual = np.abs(direction).sum() if norm is Norm.LINF else np.linalg.norm(direction)
    least = np.abs(logits[:, 0] - logits[:, 1]) / dual
    true = labels(logits.astype(np.float32))
    eps = float(np.median(least))
    found = tried(f"{name}:eps={eps}:norm={norm}:steps=30", dense, images, Goal(true))
    sure = np.abs(least - eps) > eps * 1e-3
    assert np.array_equal(found.success[sure], (least < eps)[sure])
    assert 0.4 < found.success.mean() < 0.6
    assert found.distances(norm).max() <= eps


@pytest.mark.parametrize(("norm", "eps"), [(Norm.LINF, 0.06), (Norm.L2, 0.4)])
@pytest.mark.parametrize("name", ALL)
def test_proposals_stay_in_their_ball_and_the_seed_decides(
    name: str, norm: Norm, eps: float
) -> None:
    images, true = cases(30)
    text = f"{name}:eps={eps}:norm={norm}:steps=10:restarts=2"
    found, again = (tried(text, DENSE, images, Goal(true)) for _ in range(2))
    assert found.adversarial.tobytes() == again.adversarial.tobytes()
    assert found.distances(norm).max() <= eps
    assert found.adversarial.min() >= 0 and found.adversarial.max() <= 1
    other = tried(text, DENSE, images, Goal(true), seed=1)
    assert other.adversarial.tobytes() != found.adversarial.tobytes()
    assert found.on_model is not None and np.array_equal(found.success, found.on_model)
    step = np.array(found.history[-1])
    assert np.array_equal(np.isfinite(step), found.success)


@pytest.mark.parametrize(("norm", "eps"), [(Norm.LINF, 0.08), (Norm.L2, 0.5)])
def test_pgd_from_the_clean_image_is_arts(norm: Norm, eps: float) -> None:
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs ART")
    images, true = cases()
    step = eps / 5
    attack = evasion.ProjectedGradientDescent(
        art_classifier(DENSE),
        norm=np.inf if norm is Norm.LINF else 2,
        eps=eps,
        eps_step=step,
        max_iter=8,
        verbose=False,
    )
    expected = art_images(attack, images, Goal(true))
    text = f"pgd:eps={eps}:step={step}:steps=8:random=false:norm={norm}"
    found = tried(text, DENSE, images, Goal(true))
    if norm is Norm.LINF:
        assert same(found.adversarial, expected, 0.99)
    broken = labels(DenseGradients(DENSE).logits(expected)) != true
    assert np.mean(broken == found.success) > 0.97


@pytest.mark.parametrize(("norm", "eps"), [(Norm.LINF, 0.04), (Norm.L2, 0.25)])
def test_apgd_breaks_no_fewer_images_than_arts_and_than_pgd(norm: Norm, eps: float) -> None:
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs ART")
    images, true = cases(100)
    attack = evasion.AutoProjectedGradientDescent(
        art_classifier(DENSE),
        norm=np.inf if norm is Norm.LINF else 2,
        eps=eps,
        eps_step=2 * eps,
        max_iter=20,
        nb_random_init=1,
        loss_type="cross_entropy",
        verbose=False,
    )
    np.random.seed(0)
    theirs = labels(DenseGradients(DENSE).logits(art_images(attack, images, Goal(true)))) != true
    rates = {
        name: tried(f"{name}:eps={eps}:steps=20:norm={norm}", DENSE, images, Goal(true)).success
        for name in ALL
    }
    assert 0.2 < theirs.mean() < 0.95
    assert rates["apgd-ce"].mean() >= theirs.mean() - 0.02
    assert rates["apgd-t"].mean() >= rates["pgd"].mean() - 0.01
    assert rates["apgd-ce"].mean() >= rates["pgd"].mean() - 0.02


@pytest.mark.parametrize("name", ALL)
def test_a_target_is_reached_or_nothing_is(name: str) -> None:
    images, true = cases(40)
    goal = Goal(true, (true + 2) % 5)
    found = tried(f"{name}:eps=0.3:steps=20", DENSE, images, goal)
    assert found.success.mean() > 0.5
    assert np.array_equal(found.success, found.found == goal.targets)


@pytest.mark.parametrize("name", ALL)
def test_restarts_run_what_is_left_alone(name: str) -> None:
    images, true = cases(40)
    one, more = (
        tried(f"{name}:eps=0.05:steps=10:restarts={count}", DENSE, images, Goal(true))
        for count in (1, 4)
    )
    assert more.success.sum() >= one.success.sum()
    assert more.gradients[more.success].mean() < more.gradients[~more.success].mean()
    assert len(more.history) >= len(one.history)


@pytest.mark.parametrize("name", ALL)
def test_a_constant_network_does_not_break(name: str) -> None:
    constant = Dense((Layer(np.zeros((36, 5), np.float32), np.arange(5, dtype=np.float32), False),))
    images, _ = cases(4)
    found = tried(f"{name}:eps=0.5:steps=5", constant, images, Goal(np.full(4, 4)))
    assert not found.success.any() and np.isfinite(found.adversarial).all()


def test_apgd_t_needs_four_classes_and_counts_its_targets() -> None:
    images, _ = cases(3)
    with pytest.raises(UsageError, match=r"apgd-t on 3 classes.*apgd-ce"):
        tried("apgd-t", random_dense(0, (36, 3)), images, Goal(np.zeros(3, int)))
    images, true = cases(20)
    few, all_ones = (
        tried(f"apgd-t:eps=0.005:steps=5:targets={count}", DENSE, images, Goal(true))
        for count in (2, 9)
    )
    assert few.gradients.max() == 1 + 2 * 6 and all_ones.gradients.max() == 1 + 4 * 6


def test_the_first_target_is_the_runner_up() -> None:
    images = (0.5 + 0.1 * np.random.default_rng(6).uniform(-1, 1, (10, 36))).astype(np.float32)
    true = labels(DenseGradients(linear()).logits(images))
    found = tried("apgd-t:eps=0.4:steps=10:targets=1", linear(), images, Goal(true))
    assert found.success.all() and np.array_equal(found.found, 1 - true)


def test_auto_pgd_halves_its_step_on_the_way_to_a_peak() -> None:
    """The loss is largest where the first pixel is 0.55, inside the ball: whole steps jump over
    it."""
    weights = np.zeros((36, 2), np.float32)
    weights[0] = 1, -1
    hidden = Layer(weights, floats([-0.55, 0.55]), relu=True)
    rows = floats([[0, -10, 0, 0], [0, -10, 0, 0]])
    dense = Dense((hidden, Layer(rows, floats([1, 0, -9, -9]), relu=False)))
    images = np.full((5, 36), 0.5, np.float32)
    found = tried("apgd-ce:eps=0.1:steps=60", dense, images, Goal(np.zeros(5, int)))
    assert not found.success.any()
    assert np.abs(found.adversarial[:, 0] - 0.55).max() < 0.003


def test_checkpoints_of_auto_pgd() -> None:
    # Croce & Hein 2020, Sec. 3: p_1 = 0.22, p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06).
    places, gap = [0.22], 0.22
    while places[-1] + max(gap - 0.03, 0.06) <= 1.0 + 1e-9:
        gap = max(gap - 0.03, 0.06)
        places.append(places[-1] + gap)
    assert AutoPgd(100, 0.75).checkpoints() == [round(100 * place) for place in places]
    assert AutoPgd(1, 0.75).checkpoints() == [1]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0.3, 1e-3, 1e-7, 1e-9])
def test_projections_end_inside_as_exact_numbers(norm: Norm, eps: float) -> None:
    rng = np.random.default_rng(4)
    images = rng.random((50, 36), dtype=np.float32)
    images[:5], images[5:10] = 0, 1
    around = Around(images, eps, norm)
    for candidates in (
        (images + rng.standard_normal(images.shape)).astype(np.float32),
        around.drawn(rng),
        around.drawn(rng, outermost=True),
        images,
    ):
        found = around.nearest(candidates)
        assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
        assert distances(found, images, norm).max() <= eps
    assert np.array_equal(around.nearest(images), images)


def test_the_nearest_image_of_an_l2_ball() -> None:
    image, far = floats([[0.5, 0.5]]), floats([[0.5 + 0.3, 0.5 + 0.4]])
    assert np.allclose(Around(image, 0.25, Norm.L2).nearest(far), [[0.65, 0.7]], atol=1e-6)
    assert np.array_equal(Around(image, 0.6, Norm.L2).nearest(far), far)
    low, high = ends(floats([[0.1, 0.9]]), 0.25)
    assert np.allclose(low, [[0, 0.65]]) and np.allclose(high, [[0.35, 1]])


def test_drawn_images_fill_their_ball() -> None:
    rng = np.random.default_rng(5)
    images = np.full((500, 9), 0.5, np.float32)
    for norm in NORMS:
        around = Around(images, 0.2, norm)
        inside, edge = around.drawn(rng), around.drawn(rng, outermost=True)
        lengths = distances(inside, images, norm)
        assert lengths.min() < 0.17 < lengths.max()
        assert np.allclose(distances(edge, images, norm), 0.2, atol=1e-6)
        assert np.abs((inside - images).mean(axis=0)).max() < 0.02


def test_the_steepest_move_has_length_one() -> None:
    gradients: Floats = floats([[3, -4], [1e-30, 0], [0, 0]])
    assert np.allclose(steepest(gradients, Norm.L2), floats([[0.6, -0.8], [1, 0], [0, 0]]))
    assert np.array_equal(steepest(gradients, Norm.LINF), floats([[1, -1], [1, 0], [0, 0]]))
    with pytest.raises(UsageError, match="norm l1"):
        Around(gradients, 0.1, Norm.L1)


def test_texts_of_the_family() -> None:
    assert named("apgd-ce")[0] == "apgd-ce:eps=0.1:steps=100:restarts=1:rho=0.75:norm=linf"
    with pytest.raises(UsageError, match=r"rho 2.*up to 1"):
        named("apgd-t:rho=2")
