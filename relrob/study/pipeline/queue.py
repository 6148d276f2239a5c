"""The order of stages: each as soon as its own inputs are there, and the time that is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from relrob.domain.stage import Stage
from relrob.store.stage_document import Finished
from relrob.study.pipeline.work import time_text

# The finished stage of a digest, None where it is to be made.
Look = Callable[[str], Finished | None]


@final
class Queue:
    """Stages by number, inputs first, of which `ready` are those to be made now.

    A stage is looked at when its inputs are finished, not before: where one was made again with
    another result, the stage is made again too. `whole`: does a finished stage have all its files?
    One that lacks some is made again only where a stage that reads it is to be made.
    """

    def __init__(
        self, stages: Sequence[Stage], look: Look, whole: Callable[[Finished], bool]
    ) -> None:
        self._stages, self._look, self._whole = stages, look, whole
        self.ready: deque[int] = deque()
        self.times = Times()
        numbers = {stage.digest: number for number, stage in enumerate(stages)}
        self._readers: list[list[int]] = [[] for _ in stages]
        self._missing = [0] * len(stages)
        self._open = set(range(len(stages)))
        for number, stage in enumerate(stages):
            inputs = {numbers[digest] for digest in stage.links.values()}
            self._missing[number] = len(inputs)
            for each in inputs:
                self._readers[each].append(number)
        self._turn([number for number, missing in enumerate(self._missing) if not missing])

    @property
    def done(self) -> int:
        """Stages that are finished."""
        return len(self._stages) - len(self._open)

    def finish(self, number: int, seconds: float) -> None:
        """The stage of that number was made; those that read it may be ready now."""
        self.times.add(self._stages[number], seconds)
        self._close(number)

    def left(self, workers: int) -> str:
        """ "2 h 30 min left", "" where nothing tells."""
        seconds = sum(self.times.of(self._stages[number]) for number in self._open)
        return f"about {time_text(seconds / workers)} left" if seconds else ""

    def _close(self, number: int) -> None:
        self._open.discard(number)
        freed = []
        for reader in self._readers[number]:
            self._missing[reader] -= 1
            if not self._missing[reader]:
                freed.append(reader)
        self._turn(freed)

    def _turn(self, numbers: Sequence[int]) -> None:
        """Close those of the stages that are finished; the others are ready."""
        for number in numbers:
            found = self._look(self._stages[number].digest)
            if found is None or (not self._whole(found) and self._is_read(number)):
                self.ready.append(number)
            else:
                self.times.add(self._stages[number], found.seconds)
                self._close(number)

    def _is_read(self, number: int) -> bool:
        """Is a stage to be made that reads this one, or that reads one of these for such a
        reason?"""
        for reader in self._readers[number]:
            found = self._look(self._stages[reader].digest)
            if found is None or (not self._whole(found) and self._is_read(reader)):
                return True
        return False


@dataclass
class Times:
    """Seconds of finished stages, to guess those of others: the mean of the group, or else of the
    kind on the same data set, or else of the kind."""

    seconds: dict[tuple[str, ...], list[float]] = field(default_factory=dict)

    def add(self, stage: Stage, seconds: float) -> None:
        """A stage took so long."""
        for key in _keys(stage):
            self.seconds.setdefault(key, []).append(seconds)

    def of(self, stage: Stage) -> float:
        """What a stage will take; 0 where none of its kind was made."""
        known = next((self.seconds[key] for key in _keys(stage) if key in self.seconds), [0.0])
        return sum(known) / len(known)


def _keys(stage: Stage) -> list[tuple[str, ...]]:
    return [
        ("group", stage.group),
        ("kind", stage.kind, str(stage.options.get("dataset"))),
        ("kind", stage.kind),
    ]
