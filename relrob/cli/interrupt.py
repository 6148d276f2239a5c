"""Ctrl-C: exit code 130 and one line, at any moment and whatever becomes of the KeyboardInterrupt.
Imports nothing heavy."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

CODE = 130
LINE = "relrob: interrupted; the same command takes up a run where it stopped\n"
PATIENCE = 20  # seconds for the program to end in good order
_IMPORTING = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
_SHOW_CURSOR = "\x1b[?25h"  # progress bars hide it
_happened = False
_said = False
# where the line goes: standard error, also while relrob.system.quiet keeps native code from it
_errors = 2


def listen() -> None:
    """From now on Ctrl-C is ours, unless whoever started us wanted it ignored."""
    global _errors  # noqa: PLW0603 - of the process, as signals are
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    with suppress(OSError):  # closed
        _errors = os.dup(2)
    sys.unraisablehook = _unraisable
    signal.signal(signal.SIGALRM, _leave)
    signal.signal(signal.SIGINT, _interrupt)


def happened() -> bool:
    """Has there been a Ctrl-C, whatever exception it came out as?"""
    return _happened


def ignore() -> None:
    """The work is over: a late Ctrl-C, if it is ours, changes nothing."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.alarm(0)


def say(before: str = "") -> None:
    """The line, once, written past all buffers."""
    global _said
    line, _said = "" if _said else LINE, True
    with suppress(OSError):  # nobody reads it
        os.write(_errors, f"{before}{line}".encode())


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; leave at once the second time, and out of an import, which would
    make another error of it."""
    global _happened  # noqa: PLW0603 - of the process, as signals are
    if _happened or _importing(frame):
        _leave()
    _happened = True
    signal.alarm(PATIENCE)
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _leave(number: int = 0, frame: FrameType | None = None) -> None:
    """End now, and all workers. What is on the disk is whole at any moment."""
    processes = sys.modules.get("multiprocessing")
    for child in processes.active_children() if processes else ():
        child.kill()
    say(_SHOW_CURSOR if os.isatty(_errors) else "")
    os._exit(CODE)


def _unraisable(event: sys.UnraisableHookArgs) -> None:
    """Where Python would drop the KeyboardInterrupt and go on: in a finaliser, or in a callback
    from native code."""
    if _happened:
        _leave()
    sys.__unraisablehook__(event)
