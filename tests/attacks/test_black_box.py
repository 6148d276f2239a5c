"""Attacks by outputs and labels: what holds for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relrob.attacks.attack import Attack, attacked
from relrob.attacks.boundary import Boundary
from relrob.attacks.goal import Goal
from relrob.attacks.hop_skip_jump import HopSkipJump
from relrob.attacks.parameters import named
from relrob.attacks.square import Square
from relrob.domain.arrays import Floats
from relrob.domain.region import Norm
from relrob.errors import UsageError
from tests.attacks.black_box import drawn, labelled, linear, opened_function, run

ATTACKS: dict[str, Any] = {
    "square": Square(eps=0.3, queries=200),
    "square in l2": Square(eps=1.0, norm=Norm.L2, queries=200),
    "boundary": Boundary(steps=8),
    "hopskipjump": HopSkipJump(steps=4),
    "hopskipjump in linf": HopSkipJump(steps=4, norm=Norm.LINF),
}
each = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@each
def test_it_breaks_a_linear_network(attack: Attack) -> None:
    found = run(attack, linear(), drawn(12))
    assert found.success.all()
    assert found.clean.tolist() == labelled(linear(), found.images).tolist()


@each
def test_it_finds_nothing_on_a_network_of_one_label(attack: Attack) -> None:
    def constant(images: Floats) -> Floats:
        return np.stack([1 + images[:, 0], -images[:, 1], -images[:, 2]], axis=1)

    found = run(attack, constant, drawn(5), classes=3)
    assert not found.success.any()
    assert all(np.isinf(step).all() for step in found.history)


@each
def test_no_image_changes_the_course_of_another(attack: Attack) -> None:
    images = drawn(9)
    together = run(attack, linear(), images)
    for row in (0, 4, 8):
        alone = run(attack, linear(), images[row : row + 1])
        assert np.array_equal(alone.adversarial[0], together.adversarial[row])
        assert alone.queries[0] == together.queries[row]


@each
def test_one_seed_gives_the_same_bytes_and_another_does_not(attack: Attack) -> None:
    first, again, other = (run(attack, linear(), drawn(5), seed=seed) for seed in (3, 3, 4))
    assert first.adversarial.tobytes() == again.adversarial.tobytes()
    assert first.adversarial.tobytes() != other.adversarial.tobytes()


@each
def test_every_query_is_counted(attack: Attack) -> None:
    images = drawn(6)
    opened, counted = opened_function(linear(), 2)
    found = attacked(attack, "test", opened, images, Goal(labelled(linear(), images)))
    assert found.queries.sum() == counted.seen


@each
def test_an_image_that_is_wrong_already_stays_and_costs_one_query(attack: Attack) -> None:
    images = drawn(4)
    opened, _ = opened_function(linear(), 2)
    wrong = 1 - labelled(linear(), images)
    found = attacked(attack, "test", opened, images, Goal(wrong))
    assert found.success.all()
    assert np.array_equal(found.adversarial, images)
    assert found.queries.tolist() == [1, 1, 1, 1]


@each
def test_the_history_never_rises_and_ends_at_the_least_distance(attack: Attack) -> None:
    found = run(attack, linear(), drawn(7))
    steps = np.array(found.history)
    assert (steps[1:] <= steps[:-1]).all()
    assert np.allclose(steps[-1], found.distances(attack.norm), atol=1e-6)


@each
def test_more_restarts_are_never_worse(attack: Attack) -> None:
    images = drawn(6)
    text = {Square: "square", Boundary: "boundary"}.get(type(attack), "hopskipjump")
    given = {key: str(value) for key, value in vars(attack).items()} | {"restarts": "3"}
    _, more = named(text, **given)
    goal = Goal(labelled(linear(), images))
    gaps = []
    for one in (attack, more):
        opened, _ = opened_function(linear(), 2)
        found = attacked(one, "test", opened, images, goal)
        gaps.append(np.where(found.success, found.distances(attack.norm), np.inf))
    assert (gaps[1] <= gaps[0]).all()


@each
@pytest.mark.parametrize("shape", [(1, 16, 1), (16, 1, 1), (2, 4, 2), (1, 2, 8)])
def test_images_of_any_shape_are_attacked(attack: Attack, shape: tuple[int, int, int]) -> None:
    images = drawn(4)
    opened, _ = opened_function(linear(), 2, shape)
    found = attacked(attack, "test", opened, images, Goal(labelled(linear(), images)))
    assert found.success.mean() >= 0.5
    assert ((found.adversarial >= 0) & (found.adversarial <= 1)).all()


@pytest.mark.parametrize(
    "text",
    [
        "square:eps=0",
        "square:eps=1.5",
        "square:norm=l1",
        "square:loss=dlr",
        "square:queries=0",
        "square:first=2",
        "boundary:steps=0",
        "boundary:adapt=1",
        "boundary:delta=0",
        "boundary:start=far",
        "boundary:norm=linf",
        "hopskipjump:norm=l0",
        "hopskipjump:evaluations=0",
        "hopskipjump:restarts=0",
        "hopskipjump:start=far",
    ],
)
def test_a_parameter_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        named(text)
