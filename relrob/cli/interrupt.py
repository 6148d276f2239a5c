"""Ctrl-C: exit code 130 and one line, at any moment and whatever becomes of the KeyboardInterrupt.
SIGTERM, of a scheduler or a container that ends: 143 and one line, at once.

Nothing heavy is imported.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

CODE = 130
_TERMINATED = 143
# The commands that keep what is finished on the disk.
RESUMED = frozenset({"verify", "audit", "radius", "study", "train"})
# On standard error, with the remedy for the command.
LINE = "relrob: {word}; the same command {remedy}\n"
# The same under --json, on standard output.
DOCUMENT = """{{
  "error": {{
    "given": "{word}",
    "accepted": "",
    "hint": "the same command, which {remedy}",
    "exit_code": {code}
  }}
}}
"""
# Seconds for the program to end in good order.
PATIENCE = 20
_IMPORTING = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
# Progress bars hide the cursor.
_SHOW_CURSOR = "\x1b[?25h"
_happened = False
_said = False
# The descriptor that the line goes to: standard error, which relrob.system.quiet may redirect.
_errors = 2


def listen() -> None:
    """Take over Ctrl-C and SIGTERM, unless the parent process wanted them ignored."""
    global _errors  # noqa: PLW0603 - of the process, as signals are
    # Standard error may be closed.
    with suppress(OSError):
        _errors = os.dup(2)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    sys.unraisablehook = _unraisable
    signal.signal(signal.SIGALRM, _leave)
    signal.signal(signal.SIGINT, _interrupt)


def happened() -> bool:
    """True after a Ctrl-C, whatever exception it became."""
    return _happened


def ignore() -> None:
    """Ignore a late Ctrl-C: the work is over. SIGTERM ends the program as it ends any other."""
    if signal.getsignal(signal.SIGTERM) is _leave:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.alarm(0)


def as_json() -> bool:
    """Is --json among the words of the command line?"""
    options = sys.argv[1:]
    return "--json" in options[: options.index("--") if "--" in options else None]


def remedy() -> str:
    """What the command of the command line does when it is typed again."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    return "takes up a run where it stopped" if command in RESUMED else "begins anew"


def say(before: str = "", code: int = CODE) -> None:
    """Write the line of an exit code once, past all buffers, and under --json the document."""
    global _said
    again, _said = _said, True
    told = {"word": "interrupted" if code == CODE else "terminated", "remedy": remedy()}
    line = "" if again else LINE.format(**told)
    document = DOCUMENT.format(**told, code=code) if as_json() and not again else ""
    # Nobody may read them any more.
    with suppress(OSError):
        os.write(_errors, f"{before}{line}".encode())
    with suppress(OSError):
        os.write(1, document.encode())


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt. Leave at once the second time, and out of an import, which would
    turn it into another error."""
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
    """End now, with all workers. Files on the disk are whole at any moment."""
    code = _TERMINATED if number == signal.SIGTERM else CODE
    processes = sys.modules.get("multiprocessing")
    for child in processes.active_children() if processes else ():
        child.kill()
    say(_SHOW_CURSOR if os.isatty(_errors) else "", code)
    os._exit(code)


def _unraisable(event: sys.UnraisableHookArgs) -> None:
    """Leave where Python would drop the KeyboardInterrupt: in a finaliser, or in a callback from
    native code."""
    if _happened:
        _leave()
    sys.__unraisablehook__(event)
