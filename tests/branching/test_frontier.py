"""The frontier: the most threatened first, memory bounded, nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relrob.branching.frontier import Frontier

KEYS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), max_size=30)


@given(KEYS)
def test_parts_come_by_threat_and_then_by_age(keys: list[tuple[int, int]]) -> None:
    frontier = Frontier[tuple[int, int]]()
    for threat, age in keys:
        frontier.push(threat, age, (threat, age))
    assert len(frontier) == len(keys)
    assert [frontier.pop() for _ in keys] == sorted(keys)
    assert not frontier


@given(KEYS, st.integers(0, 5))
def test_what_is_too_much_comes_first_and_nothing_is_lost(
    keys: list[tuple[int, int]], most: int
) -> None:
    frontier = Frontier[int](most)
    for number, (threat, age) in enumerate(keys):
        frontier.push(threat, age, number)
    beyond = list(range(most, len(keys)))
    assert sorted(frontier) == list(range(len(keys)))
    taken = [frontier.pop() for _ in keys]
    assert taken[: len(beyond)] == beyond[::-1]
    assert [keys[number] for number in taken[len(beyond) :]] == sorted(keys[:most])


def test_what_is_put_back_comes_next() -> None:
    frontier = Frontier[str](10)
    frontier.push(-1.0, 0, "threatened")
    frontier.push(0.0, 1, "less")
    first = frontier.pop()
    frontier.put_back(first)
    assert next(iter(frontier)) == frontier.pop() == first == "threatened"
    assert frontier.pop() == "less"
