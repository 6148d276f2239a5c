"""Goals, victims, attacks and their texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest

from relrob.attacks.attack import attacked, distances, generator
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.goal import Goal
from relrob.attacks.losses import Loss, cross_entropy, dlr, margin, seeds_of
from relrob.attacks.parameters import named
from relrob.attacks.table import ATTACKS
from relrob.attacks.universal import Universal
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Norm
from relrob.errors import ShapeError, UsageError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.registry import load
from tests import attack_cases as cases
from tests.attacks.floats import floats
from tests.support import numpy_opened, random_dense

SHAPE = (2, 2, 1)
# Class 1 where the first pixel is above 1/2, else class 0; class 2 never.
STEP = Dense((Layer(floats([[-1, 1, 0]] + [[0, 0, 0]] * 3), floats([0.5, -0.5, -9]), False),))


def victim_of(images: int, dense: Dense = STEP) -> Victim:
    return Victim(numpy_opened(dense, SHAPE), images, DenseGradients(dense))


@dataclass(frozen=True)
class Proposes:
    """An attack that proposes what it is told to."""

    what: Callable[[Floats], Floats]
    norm: Norm = Norm.LINF

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        return self.what(images)


def tried(what: Callable[[Floats], Floats], images: Floats, goal: Goal) -> Any:
    return attacked(
        Proposes(what),
        "proposes",
        numpy_opened(STEP, SHAPE),
        images,
        goal,
        model=DenseGradients(STEP),
    )


IMAGES = floats([[0.2, 0.1, 0.9, 0.5], [0.4, 0, 0, 0]])


def test_a_goal_is_another_label_or_a_target() -> None:
    goal = Goal(np.array([3, 4, 5]))
    assert goal.reached(np.array([3, 5, -1])).tolist() == [False, True, True]
    assert goal.reached(np.array([4]), np.array([1])).tolist() == [False]
    aimed = Goal(np.array([3, 4]), np.array([7, 8]))
    assert aimed.reached(np.array([7, 7])).tolist() == [True, False]
    assert aimed.of(np.array([1])).reached(np.array([8])).tolist() == [True]
    with pytest.raises(ShapeError, match="2 target labels for 3 images"):
        Goal(np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="read-only"):
        goal.labels[0] = 1


def test_nothing_that_an_attack_says_is_believed() -> None:
    goal = Goal(np.array([0, 0]))
    nothing = tried(lambda images: images, IMAGES, goal)
    assert nothing.success.tolist() == [False, False] and nothing.on_model.tolist() == [False] * 2
    broken = tried(lambda images: images + np.float32(0.15), IMAGES, goal)
    assert broken.clean.tolist() == [0, 0] and broken.found.tolist() == [0, 1]
    assert broken.success.tolist() == [False, True] == broken.on_model.tolist()
    assert np.allclose(broken.distances(Norm.LINF), 0.15, atol=1e-7)


def test_proposals_are_clipped_and_have_no_nan() -> None:
    wild = floats([[-3, np.nan, np.inf, 2], [np.nan, np.nan, np.nan, -np.inf]])
    found = tried(lambda _: wild, IMAGES, Goal(np.array([0, 0])))
    assert found.adversarial.tolist() == [[0, IMAGES[0, 1], 1, 1], [IMAGES[1, 0], 0, 0, 0]]
    assert found.adversarial.dtype == np.float32


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="proposed images"):
        tried(lambda images: images[:1], IMAGES, Goal(np.array([0, 0])))
    with pytest.raises(ShapeError, match="1 labels for 2 images"):
        tried(lambda images: images, IMAGES, Goal(np.array([0])))
    with pytest.raises(ShapeError, match="images"):
        tried(lambda images: images, IMAGES[:, :3], Goal(np.array([0, 0])))


def test_the_replay_runs_images_alone() -> None:
    class Whole:
        """A runtime whose batches give other labels than its single images."""

        runtime, best_batch = "numpy", 8

        def __init__(self, flipped: bool) -> None:
            self._flipped = flipped

        def outputs(self, images: Floats) -> Floats:
            one = floats([[0, 1, 0] if self._flipped else [1, 0, 0]])
            return np.repeat(one, len(images), axis=0)

    network = numpy_opened(STEP, SHAPE).network
    opened = Opened(network, Whole(True), Whole(False))
    found = attacked(
        Proposes(lambda images: images), "proposes", opened, IMAGES, Goal(np.array([0, 0]))
    )
    assert found.success.tolist() == [False, False] and found.on_model is None


def test_queries_and_passes_are_counted_by_image() -> None:
    victim = victim_of(3)
    rows = np.array([0, 2, 2])
    victim.labels(np.repeat(IMAGES[:1], 3, axis=0), rows)
    victim.logits(np.repeat(IMAGES[:1], 3, axis=0), rows)
    victim.pulled(IMAGES, np.array([0, 1]), np.zeros_like)
    victim.jacobian(IMAGES[:1], np.array([1]), np.array([[0, 1, 2]]))
    assert victim.queries.tolist() == [1, 0, 2]
    assert victim.gradients.tolist() == [2, 4, 2]


def test_the_history_holds_the_least_distance_so_far() -> None:
    victim = victim_of(2)
    for step in ([np.inf, 3.0], [2.0, 4.0], [2.5, 1.0]):
        victim.note(np.array(step))
    assert [each.tolist() for each in victim.history] == [[np.inf, 3], [2, 3], [2, 1]]
    victim.remark(np.array([1]), "no signal")
    assert victim.words == {1: "no signal"}


def test_a_jacobian_is_the_weights_of_a_linear_network() -> None:
    dense = random_dense(0, (4, 5))
    victim = victim_of(2, dense)
    logits, found = victim.jacobian(IMAGES, np.arange(2), np.array([[0, 4], [3, 3]]))
    assert np.allclose(logits, IMAGES @ dense.layers[0].weights + dense.layers[0].bias, atol=1e-6)
    columns = dense.layers[0].weights.T
    assert np.allclose(found[0], columns[[0, 4]]) and np.allclose(found[1], columns[[3, 3]])


def test_an_attack_without_gradients_says_what_to_try() -> None:
    victim = Victim(numpy_opened(STEP, SHAPE), 2)
    with pytest.raises(UsageError, match=r"no gradients.*square, boundary or hopskipjump"):
        victim.logits(IMAGES, np.arange(2))


LOSSES: dict[str, Callable[[Goal], Loss]] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "dlr": lambda goal: dlr(goal.labels, (goal.labels + 1) % 6),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("targeted", [False, True])
def test_the_slope_of_a_loss_is_its_derivative(name: str, targeted: bool) -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((20, 6)).astype(np.float32) * 3
    true = rng.integers(0, 6, 30)
    rows = np.arange(5, 25)
    loss = LOSSES[name](Goal(true, (true + 2) % 6 if targeted else None))
    _, slope = loss(logits, rows)
    wide: Any = logits.astype(np.float64)
    for place in range(6):
        up, down = wide.copy(), wide.copy()
        up[:, place] += 1e-5
        down[:, place] -= 1e-5
        change = (loss(up, rows)[0] - loss(down, rows)[0]) / 2e-5
        assert np.allclose(slope[:, place], change, atol=1e-4)


def test_losses_are_above_their_threshold_where_the_goal_is_reached() -> None:
    logits = np.random.default_rng(2).standard_normal((50, 5)).astype(np.float32)
    goal = Goal(np.zeros(50, int))
    value, _ = margin(goal)(logits, np.arange(50))
    assert np.array_equal(value > 0, goal.reached(labels(logits)))


def test_a_sure_network_keeps_a_slope() -> None:
    logits = floats([[60, 0, 1]])
    _, slope = cross_entropy(Goal(np.array([0])))(logits, np.array([0]))
    assert slope[0, 0] < 0 < slope[0, 1] < slope[0, 2]
    assert np.isclose(slope[0, 0], -slope[0, 1:].sum(), rtol=1e-5)


def test_seeds_follow_the_chunks() -> None:
    logits = np.random.default_rng(3).standard_normal((7, 4)).astype(np.float32)
    loss = cross_entropy(Goal(np.array([0, 1, 2, 3, 0, 1, 2])))
    rows = np.array([6, 5, 4, 3, 2, 1, 0])
    seeds, values = seeds_of(loss, rows)
    parts = [seeds(logits[:3]), seeds(logits[3:])]
    expected = loss(logits, rows)
    assert np.array_equal(np.concatenate(parts), expected[1])
    assert np.array_equal(np.concatenate(values), expected[0])


def test_distances_of_two_images() -> None:
    one, other = floats([[0, 0.5, 1, 0.25]]), floats([[0, 0, 0, 0.25]])
    found = {norm: float(distances(one, other, norm)[0]) for norm in Norm}
    assert found == {Norm.L0: 2, Norm.L1: 1.5, Norm.L2: 1.25**0.5, Norm.LINF: 1}
    assert distances(one + np.float32(5e-7), one, Norm.L0)[0] == 0


def test_random_numbers_follow_from_seed_and_text() -> None:
    draws = [generator(seed, text).random() for seed in (0, 1) for text in ("a", "b")]
    assert len(set(draws)) == 4 and generator(1, "b").random() == draws[3]


def test_a_text_names_all_parameters() -> None:
    text, attack = named("fgsm:eps=8/255")
    assert text == f"fgsm:eps={8 / 255}" and named(text) == (text, attack)
    assert named("pgd", norm="l2", eps=1)[0].endswith("norm=l2")
    assert named("pgd", steps=None)[0] == named("pgd")[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fsgm", r"attack 'fsgm'.*fgsm"),
        ("fgsm:0.1", r"'0.1' in attack.*parameter=value"),
        ("fgsm:steps=3", r"no parameter 'steps'.*eps"),
        ("fgsm:eps=much", r"eps 'much'.*a number, such as 8/255"),
        ("fgsm:eps=1/0", r"eps '1/0'"),
        ("fgsm:eps=0", r"eps 0.*above 0"),
        ("fgsm:eps=2", r"eps 2.*up to 1"),
        ("fgsm:eps=nan", r"eps nan"),
        ("ifgm:eps=inf", r"eps inf"),
        ("ifgm:eps=1e39", r"eps 1e\+39.*up to 1e\+15"),
        ("boundary:delta=1e300", r"delta 1e\+300.*up to 1e\+15"),
        ("pgd:steps=1.5", r"steps '1.5'.*a whole number"),
        ("pgd:steps=0", r"steps 0.*1 or more"),
        ("pgd:random=maybe", r"random 'maybe'.*true or false"),
        ("pgd:norm=l3", r"norm 'l3'.*l1, l2, linf"),
        ("pgd:norm=l1", r"norm l1.*linf, l2"),
        ("ifgsm:clip_ref=last", r"clip_ref 'last'.*previous, clean, none"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        named(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", [entry for entry in ATTACKS if not entry.extra], ids=str)
def test_an_attack_that_learns_nothing_says_so(entry: Any) -> None:
    """On a network of one label, for the images that it labels so; others are broken already."""
    short = {"square": ":queries=20", "boundary": ":steps=2", "hopskipjump": ":steps=2"}
    found = cases.attack(
        entry.name + short.get(entry.name, ""),
        cases.constant(4),
        cases.images(3),
        labels=np.array([1, 0, 1]),
    )
    words = "no start" if entry.needs == "labels" else "no signal"
    assert found.success.tolist() == [False, True, False]
    assert found.words == {0: words, 2: words}


@pytest.mark.parametrize("entry", [entry for entry in ATTACKS if not entry.extra], ids=str)
def test_every_attack_of_the_table_is_frozen_and_named(entry: Any) -> None:
    text, attack = named(entry.name)
    values: Any = attack
    assert isinstance(attack.norm, Norm) and entry.needs in ("gradients", "outputs", "labels")
    assert entry.universal is isinstance(attack, Universal)
    assert text.split(":")[len(entry.name.split(":")) :] == [
        f"{field.name}={getattr(attack, field.name)}" for field in fields(values)
    ]
    assert named(text) == (text, attack)
    assert type(attack) is load(entry.target) and len(entry.summary) < 100
