"""The open parts of a search, the most threatened one first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar, final

T = TypeVar("T")


@dataclass(order=True)
class _Entry(Generic[T]):
    threat: float
    age: int
    part: T = field(compare=False)


@final
class Frontier(Generic[T]):
    """A heap of at most `most` parts; what comes on top of these, and what is put back, waits on a
    stack that is emptied first, so that memory stays bounded: a search goes deep then."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._heap: list[_Entry[T]] = []
        self._stack: list[T] = []

    def __len__(self) -> int:
        return len(self._heap) + len(self._stack)

    def __iter__(self) -> Iterator[T]:
        """All parts: the stack's, the oldest first, then the heap's, the most threatened first and
        the others in no order."""
        yield from self._stack
        yield from (entry.part for entry in self._heap)

    def push(self, threat: float, age: int, part: T) -> None:
        """Keep an open part. The smallest `threat` comes first; of equal ones, the smallest
        `age`."""
        if self._most is not None and len(self._heap) >= self._most:
            self._stack.append(part)
        else:
            heapq.heappush(self._heap, _Entry(threat, age, part))

    def put_back(self, part: T) -> None:
        """A part that was taken, and not finished: it comes next."""
        self._stack.append(part)

    def pop(self) -> T:
        """The next part. Raises IndexError where there is none."""
        return self._stack.pop() if self._stack else heapq.heappop(self._heap).part
