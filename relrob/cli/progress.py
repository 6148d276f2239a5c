"""Events as the user sees them: bars with rate and time left on a terminal, plain lines elsewhere,
nothing on demand."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from relrob.domain.events import Event, Listener, silent
from relrob.errors import capped, printable

# The most characters of an event.
MOST: Final = 1000
# Seconds between two plain lines of one stage.
INTERVAL: Final = 2.0
TITLES: Final = {
    "train": "training",
    "quantise": "quantising",
    "images": "images",
    "download": "download",
}


@contextmanager
def progress(as_json: bool, quiet: bool) -> Iterator[Listener]:
    """A listener for as long as the block lasts. It writes to standard error, and nothing at all
    with `as_json` or `quiet`."""
    if as_json or quiet:
        yield silent
    elif not sys.stderr.isatty() or Console(stderr=True).is_dumb_terminal:
        lines = Lines()
        try:
            yield lines
            lines.close()
        except BrokenPipeError as error:
            # Nobody reads the progress any more, which counts as Ctrl-C.
            raise click.Abort from error
    else:
        console = Console(stderr=True)
        with Progress(
            *_columns(console), console=console, redirect_stdout=False, redirect_stderr=False
        ) as bars:
            yield Bars(bars)


def _columns(console: Console) -> list[ProgressColumn]:
    """The columns of a bar: on a narrow terminal without the rate, and without colours with a bar
    that has ends."""
    width = max(4, min(40, console.width - 42))
    bar = EdgedBar(width) if console.no_color else BarColumn(width)
    told = [TextColumn("{task.description}"), bar, MofNCompleteColumn()]
    return [*told, *([RateColumn()] if console.width >= 60 else []), TimeRemainingColumn()]


def rate_text(per_second: float | None) -> str:
    """Units a second in a few characters.

    >>> rate_text(1234.5), rate_text(0.25), rate_text(None)
    ('1,234/s', '4.0 s each', '')
    """
    if not per_second:
        return ""
    return (
        f"{per_second:,.0f}/s"
        if per_second >= 10
        else f"{per_second:.1f}/s"
        if per_second >= 1
        else f"{1 / per_second:.1f} s each"
    )


def shown(event: Event) -> str:
    """The event's text with its control characters escaped: it may hold names that a file gave."""
    return capped(printable(event.text), MOST)


@final
class RateColumn(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        """The rate, empty until it is known."""
        return Text(rate_text(task.finished_speed or task.speed))


@final
class EdgedBar(ProgressColumn):
    """A bar that needs no colour: [====      ]."""

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__()

    def render(self, task: Task) -> Text:
        """The bar, of `width` columns between its ends."""
        done = round(self._width * task.percentage / 100)
        return Text(f"[{'=' * done}{' ' * (self._width - done)}]")


@final
class Bars:
    """One bar a stage; texts are lines above the bars, each once, but for images: there can be
    thousands."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._texts: dict[str, str] = {}
        self._done: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Print the event's text if it is new, and move the bar of its stage."""
        if event.text and event.stage != "images" and event.text != self._texts.get(event.stage):
            self._texts[event.stage] = event.text
            self._bars.console.print(shown(event), highlight=False, markup=False, soft_wrap=True)
        if event.total <= 0:
            return
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._bars.add_task(
                TITLES.get(event.stage, event.stage), total=event.total
            )
        elif event.done < self._done[event.stage]:
            # The stage begins again: another run.
            self._bars.reset(self._tasks[event.stage])
        self._done[event.stage] = event.done
        self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total)


@final
class Lines:
    """Plain lines: the first and the last of every stage, between them one every `INTERVAL`
    seconds; notes always."""

    def __init__(
        self,
        write: Callable[[str], None] = lambda line: click.echo(line, err=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._clock = clock
        self._started: dict[str, tuple[float, int]] = {}
        self._shown: dict[str, float] = {}
        self._done: dict[str, int] = {}
        self._held: dict[str, Event] = {}

    def __call__(self, event: Event) -> None:
        """Write the event now, or hold it until a later one replaces it."""
        now = self._clock()
        if event.total <= 0:
            if event.text:
                self._write(shown(event))
            return
        # The stage begins again: another run has its own first line, rate and time left.
        if event.done < self._done.get(event.stage, 0):
            self._started.pop(event.stage)
            self._shown.pop(event.stage, None)
        self._done[event.stage] = event.done
        self._started.setdefault(event.stage, (now, event.done))
        last = self._shown.get(event.stage)
        if last is None or event.done >= event.total or now - last >= INTERVAL:
            self._shown[event.stage] = now
            self._held.pop(event.stage, None)
            self._write(self._line(event, now))
        else:
            self._held[event.stage] = event

    def close(self) -> None:
        """Write the last event of each stage, if it was held back."""
        for event in self._held.values():
            self._write(self._line(event, self._clock()))
        self._held.clear()

    def _line(self, event: Event, now: float) -> str:
        """ "training 120/5160 (2%), 430/s, 12 s left: epoch 1/12 ..." """
        start, done = self._started[event.stage]
        rate = (event.done - done) / (now - start) if now > start else 0.0
        parts = [
            f"{TITLES.get(event.stage, event.stage)} {event.done}/{event.total} "
            f"({event.done * 100 // event.total}%)"
        ]
        if rate > 0:
            parts += [rate_text(rate)]
            if event.done < event.total:
                parts += [f"{(event.total - event.done) / rate:.0f} s left"]
        return ", ".join(parts) + (f": {shown(event)}" if event.text else "")
