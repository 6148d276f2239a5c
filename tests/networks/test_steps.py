"""The steps that a walk through a graph keeps, and what it says of those that it cannot place."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.networks.steps import Step, Trail, exact
from relrob.networks.weighted import Affine, Weighted

LAYER = Weighted("", "dense", np.ones((2, 4)), (4,), "float32", 2)


def step(factor: float, shift: float = 0.0) -> Step:
    return exact(Affine(np.full(1, factor), np.full(1, shift)))


def told(trail: Trail[str], source: str) -> tuple[bool, bool, list[float], list[float]]:
    """Are the steps before a layer known, and those before activations? Their factors."""
    layer = trail.put_before(LAYER, source)
    before = [float(each.factor.ravel()[0]) for each in layer.before]
    earlier = [float(each.factor[0]) for each, _ in layer.earlier]
    return layer.known, layer.traced, before, earlier


def test_steps_before_an_activation_are_one() -> None:
    trail = Trail[str]()
    trail.add("x", "a", step(2.0, 1.0))
    trail.add("a", "b", step(3.0))
    trail.end(["b"], "c", sure=True)
    trail.add("c", "d", step(5.0))
    trail.pass_on("d", "e")
    assert told(trail, "e") == (True, True, [5.0], [6.0])
    ((whole, off),) = trail.put_before(LAYER, "e").earlier
    assert (whole.shift[0], off.factor[0], off.shift[0]) == (3.0, 0.0, 0.0)
    assert told(trail, "x") == (True, True, [], [])


@pytest.mark.parametrize("parts", [True, False])
def test_an_activation_in_parts_hides_a_step_and_a_sum_does_not(parts: bool) -> None:
    """x * sigmoid(x) is made of x alone; of two values what stands before each is another's."""
    trail = Trail[str]()
    trail.add("x", "a", step(2.0))
    trail.end(["a"], "s", sure=True)
    trail.end(["a", "s"] if parts else ["s", "z"], "m", sure=False)
    assert told(trail, "m") == (not parts, not parts, [], [])
    trail.end(["m"], "r", sure=True)
    trail.add("r", "q", step(4.0))
    # An activation ends what stands before it, whether that is known or not.
    assert told(trail, "q") == (True, not parts, [4.0], [])


@pytest.mark.parametrize("sure", [True, False])
def test_a_step_that_is_not_read_leaves_a_doubt(sure: bool) -> None:
    trail = Trail[str]()
    trail.end(["x"], "a", sure=False, unread=True)
    trail.end(["a"], "b", sure=sure)
    assert told(trail, "b") == (sure, False, [], [])


def test_so_does_one_whose_channels_are_lost() -> None:
    trail = Trail[str]()
    trail.add("x", "a", step(2.0))
    trail.add("a", "b", step(3.0))
    trail.pass_on("b", "c", trail.at("b")[1:])
    assert told(trail, "c") == (False, False, [3.0], [])
    # The value itself is as it was.
    assert told(trail, "b") == (True, True, [2.0, 3.0], [])


@pytest.mark.parametrize("count", [4, 3])
def test_steps_of_channels_and_of_all_values_are_one_where_these_fit(count: int) -> None:
    """Two channels stand last in each of two places; in three values they do not."""
    trail = Trail[str]()
    trail.add("x", "a", exact(Affine(np.array([2.0, 3.0]), np.zeros(2))))
    trail.add("a", "b", exact(Affine(np.arange(1.0, count + 1), np.ones(count))))
    trail.end(["b"], "c", sure=True)
    layer = trail.put_before(LAYER, "c")
    assert [whole.factor.tolist() for whole, _ in layer.earlier] == [[2.0, 6.0, 6.0, 12.0]][
        : count - 3
    ]
    assert layer.traced == (count == 4)


def test_only_whole_steps_tell_where_a_rectifier_may_have_been() -> None:
    trail = Trail[str]()
    trail.add("x", "a", step(2.0)._replace(cut=True))
    trail.add("a", "b", step(3.0))
    assert trail.put_before(LAYER, "b").cuts == (1,)
    assert trail.put_before(LAYER, "b", trail.at("b")[1:]).cuts == ()
