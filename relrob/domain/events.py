"""Events that the library sends while it works; the command line turns them into lines and bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """`stage`: what is being done ("train", "quantise", "images", "download", "note"); `done` of
    `total` units; `text`: a line.

    `total` 0 means that the length is not known.
    """

    stage: str
    text: str = ""
    done: int = 0
    total: int = 0


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that ignores every event."""
