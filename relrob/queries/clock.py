"""The time that may be spent on a network."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, final


class Watch(Protocol):
    """Time that is spent on a network, in seconds. A `relrob.judging.tally.Tally` is charged for
    what is done for its network; a `Deadline` runs by itself."""

    @property
    def limit(self) -> float:
        """The most that may be spent."""
        ...

    @property
    def spent(self) -> float:
        """What was spent."""
        ...

    @property
    def late(self) -> bool:
        """True when the limit has passed."""
        ...

    def clock(self) -> AbstractContextManager[None]:
        """Charge the time of the block."""
        ...


@final
class Deadline:
    """A moment at which to stop, `seconds` from now, as a watch."""

    def __init__(self, seconds: float) -> None:
        self.limit = time.perf_counter() + seconds

    @property
    def spent(self) -> float:
        """Now."""
        return time.perf_counter()

    @property
    def left(self) -> float:
        """Seconds until then."""
        return self.limit - self.spent

    @property
    def late(self) -> bool:
        """True when the moment has passed."""
        return self.spent > self.limit

    def clock(self) -> AbstractContextManager[None]:
        """Time passes by itself."""
        return nullcontext()
