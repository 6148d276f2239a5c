"""Native libraries without their own output and signal handlers: some write to file descriptor 2
and catch Ctrl-C."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

log = logging.getLogger(__name__)


def checked(solver: Any) -> Any:
    """The answer of a z3 solver. Raises KeyboardInterrupt after a Ctrl-C, which z3 catches while it
    searches and answers with "unknown"."""
    answer = solver.check()
    if str(answer) == "unknown" and solver.reason_unknown() == "interrupted from keyboard":
        raise KeyboardInterrupt
    return answer


@contextmanager
def quiet_native() -> Iterator[None]:
    """Keep the output of C++ code and `print` away from the terminal; log it at DEBUG afterwards.

    The whole process is affected while the block lasts: keep it short and free of progress bars.
    """
    with heard() as lines:
        yield
    for line in lines:
        log.debug("%s", line)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Keep the output of C++ code and `print` away from the terminal. The list has its lines after
    the block, also where the block raises. The whole process is affected, as by `quiet_native`.
    """
    lines: list[str] = []
    sys.stderr.flush()
    printed = StringIO()
    # In memory: it works on a full disk.
    with os.fdopen(os.memfd_create("heard"), "rb") as sink:
        saved = os.dup(2)
        try:
            os.dup2(sink.fileno(), 2)
            with redirect_stdout(printed):
                yield lines
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            text = printed.getvalue() + sink.read().decode(errors="replace")
            lines += text.splitlines()
