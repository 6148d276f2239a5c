"""Events that the library sends while it works; the command line turns them into lines and bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Progress of a stage, or a note.

    `stage`: "train", "quantise", "images", "download" or "note"; `text`: a line; `done` of `total`
    units, where `total` is 0 if it is not known.
    """

    stage: str
    text: str = ""
    done: int = 0
    total: int = 0


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that ignores every event."""
